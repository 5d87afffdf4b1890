"""Universities, in and out."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming
from chitlaq.services.auth.universities.address_rules import AddressRule

MOST_CHARACTERS = 4_000_000


class University(msgspec.Struct, frozen=True):
    """A university as operators see it; ``code`` is what their own lists call it."""

    id: UUID
    code: str | None
    name: str
    country: str
    domains: list[str]
    rules: list[AddressRule]


class Universities(msgspec.Struct, frozen=True):
    items: list[University]


class Import(Incoming, frozen=True):
    """A CSV file; without ``apply``, nothing is changed."""

    csv: Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS)]
    apply: bool = False


class Change(msgspec.Struct, frozen=True):
    """One thing that an import adds, or changes in what was known before."""

    action: Literal["add", "change"]
    university: str
    what: str


class Imported(msgspec.Struct, frozen=True):
    """What an import does, or would do; the file's universities and domains, changed or not."""

    changes: list[Change]
    universities: int
    domains: int
