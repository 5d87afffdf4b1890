"""Where a list of texts goes on: after one that has been ranked, or with what is older than all of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from chitlaq.core.http import paging

_FORM = struct.Struct(">BBHI16s")
_OLDER, _EXACT = 1, 2


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a list.

    Args:
        after: the last one that was shown, or with ``is_older`` the oldest one before it.
        is_older: whether the ranked ones are all shown.
        shown: how many of the ranked ones were shown.
        way: how the query is understood.
        total: what the first page said.
    """

    after: UUID
    is_older: bool
    shown: int
    way: int
    total: int
    is_total_exact: bool

    def encoded(self) -> str:
        flags = _OLDER * self.is_older | _EXACT * self.is_total_exact
        packed = _FORM.pack(flags, self.way, self.shown, self.total, self.after.bytes)
        return paging.encoded(packed)

    @classmethod
    def of(cls, cursor: str) -> Self:
        """Read a cursor.

        Raises:
            Problem: 422 if it is none.
        """
        flags, way, shown, total, after = paging.decoded(cursor, _FORM.unpack)
        is_older, is_exact = bool(flags & _OLDER), bool(flags & _EXACT)
        return cls(UUID(bytes=after), is_older, shown, way, total, is_exact)
