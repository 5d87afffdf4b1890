"""Registration and accounts, in and out."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chitlaq.core import addresses
from chitlaq.core.http.schemas import Incoming, normalize, require_name
from chitlaq.services.auth.accounts import usernames

Address = Annotated[str, msgspec.Meta(max_length=254)]
Password = Annotated[str, msgspec.Meta(max_length=256)]
"""One that somebody chooses; which may be chosen says ``passwords/policy.py``."""
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
DisplayName = Annotated[str, msgspec.Meta(max_length=80)]
Language = Literal["en", "tr"]


class Registration(Incoming, frozen=True):
    """A registration; the address determines the university."""

    email: Address
    password: Password
    username: Annotated[str, msgspec.Meta(max_length=30)]
    display_name: DisplayName
    language: Language = "en"

    def __post_init__(self) -> None:
        super().__post_init__()
        normalize(self, "email", addresses.checked)
        normalize(self, "username", usernames.checked)
        require_name("display_name", self.display_name)
        msgspec.structs.force_setattr(self, "display_name", self.display_name.strip())


class Verification(Incoming, frozen=True):
    """The token from the mail.

    ``password`` becomes the account's, and must be sent if the address was registered several times.
    ``username`` is sent if the wanted one was taken meanwhile.
    """

    token: Short
    password: Password | None = None
    username: Annotated[str, msgspec.Meta(max_length=30)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.username is not None:
            normalize(self, "username", usernames.checked)


class Resend(Incoming, frozen=True):
    email: Address

    def __post_init__(self) -> None:
        super().__post_init__()
        normalize(self, "email", addresses.checked)


class User(msgspec.Struct, frozen=True):
    """An account as its owner sees it."""

    id: UUID
    username: str
    display_name: str
    email: str
    university: str
    verified: bool


class Registered(msgspec.Struct, frozen=True):
    user: User
    verification: str


class Verified(msgspec.Struct, frozen=True):
    user: User
