"""Reports, in."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from chitlaq.core.http.schemas import Incoming, normalize
from chitlaq.core.visible import said

Reason = Literal["spam", "harassment", "hate", "violence", "private", "other"]
"""``private``: it shows what is nobody else's business, such as an address."""
MOST_NOTE = 1000


class Report(Incoming, frozen=True):
    """Why, and in the member's own words, if they like."""

    reason: Reason
    note: Annotated[str, msgspec.Meta(max_length=MOST_NOTE)] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        normalize(self, "note", said)
