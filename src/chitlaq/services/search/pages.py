"""Lists of what was found: with how many there are, if they are few enough to be counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


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
