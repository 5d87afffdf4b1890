"""Tags by their beginning."""

from __future__ import annotations

import msgspec


class FoundTag(msgspec.Struct, frozen=True):
    """A tag as its latest post spells it. ``posts`` are those that the viewer may see, up to a bound."""

    tag: str
    posts: int
    is_count_exact: bool
