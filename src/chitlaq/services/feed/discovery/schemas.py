"""Tags that rise, as they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class TrendingTag(msgspec.Struct, frozen=True):
    """``tag`` as in the address of its feed, ``spelling`` as most write it; counts are of the last day."""

    tag: str
    spelling: str
    authors: int
    posts: int


class TrendingTags(msgspec.Struct, frozen=True):
    """Most remarkable first."""

    items: Sequence[TrendingTag]
