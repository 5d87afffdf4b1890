"""Suggestions as clients see them."""

from __future__ import annotations

from typing import Any, Literal, Self

from chitlaq.services.feed.schemas import MemberCard


class Suggestion(MemberCard, frozen=True):
    """Whom to follow, and why: in English, or for other languages as `reason` and `count`."""

    reason: Literal["followed", "groups", "department"]
    count: int
    why: str

    @classmethod
    def of(cls, row: Any) -> Self:
        """Make one from a row of the query: a card, and how often each reason holds."""
        _id, username, display_name, department, university, avatar_url, followed, groups = row
        card = (username, display_name, department, university, avatar_url)
        if followed:
            noun = "person" if followed == 1 else "people"
            verb = "follows" if followed == 1 else "follow"
            return cls(*card, "followed", followed, f"{followed} {noun} you follow {verb} them")
        if groups:
            noun = "group" if groups == 1 else "groups"
            return cls(*card, "groups", groups, f"{groups} {noun} with you")
        return cls(*card, "department", 1, f"Also in {department}")
