"""Lists of what was found: how many there are, if they are few enough to be counted, and what was ignored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")


Reason = Literal[
    "no_words", "no_value", "unknown_value", "misplaced", "too_many", "elsewhere", "not_found"
]


class Ignored(msgspec.Struct, frozen=True):
    """What of the query was not searched for, and why (docs/search.md)."""

    text: str
    reason: Reason


class FoundPage(msgspec.Struct, Generic[T]):
    """A page of what was found; ``next_cursor`` is null on the last one.

    ``total`` is how many the viewer may see; if ``is_total_exact`` is false, there are more than that.
    """

    items: Sequence[T]
    page: int
    limit: int
    next_cursor: str | None
    total: int
    is_total_exact: bool
    ignored: Sequence[Ignored]
