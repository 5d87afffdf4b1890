"""The kinds of notifications."""

from __future__ import annotations

from typing import Literal, get_args

from chitlaq.core.data.notify import SecurityKind

Kind = Literal[
    "follow",
    "follow_request",
    "follow_accepted",
    "mention",
    "reply",
    "like",
    "repost",
    "quote",
    "poll_ended",
    "message",
    "group_invitation",
    "new_device",
    "export_ready",
    "moderation",
    "announcement",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
ABOUT_POSTS: frozenset[Kind] = frozenset(
    {"mention", "reply", "like", "repost", "quote", "poll_ended"}
)
ABOUT_CONVERSATIONS: frozenset[Kind] = frozenset({"message", "group_invitation"})
OF_FEED: frozenset[Kind] = ABOUT_POSTS | {"follow", "follow_request", "follow_accepted"}
SECURITY: frozenset[Kind] = frozenset(get_args(SecurityKind))
