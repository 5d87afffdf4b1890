"""Where notifications may have changed: jobs that the services write with the facts they change.

A job says where to look, not what to tell: the websocket service compares what is there with what was told
(docs/notifications.md). So jobs may be repeated, late or out of order. Hot statements write the job
themselves, as ``like`` does; the payload is then the JSON of a struct of `Notify`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, TypeAlias, cast
from uuid import UUID

import msgspec

from chitlaq.core import ids
from chitlaq.core.data.jobs import JobKind, enqueue
from chitlaq.core.data.postgres import Session

BATCH = 500

SecurityKind = Literal["new_device", "export_ready", "moderation"]
"""What happens to the account itself: always told in the application, and at once by mail."""


class Reaction(msgspec.Struct, frozen=True, tag="reaction"):
    """A member likes or reposts a post of another's, or has taken that back."""

    kind: Literal["like", "repost"]
    post_id: UUID
    author_id: UUID
    member_id: UUID


class PostChanged(msgspec.Struct, frozen=True, tag="post"):
    """A post was written or edited, does not quote any more, or is deleted.

    ``after`` is the last one for whom that was looked at.
    """

    post_id: UUID
    after: UUID | None = None


class PairChanged(msgspec.Struct, frozen=True, tag="pair"):
    """A member follows another, asks to, or blocks them; or did until now."""

    one_id: UUID
    other_id: UUID


class MemberChanged(msgspec.Struct, frozen=True, tag="member"):
    """A member has become private, or leaves. ``after`` is the last one for whom that was looked at."""

    member_id: UUID
    after: UUID | None = None


class PollEnded(msgspec.Struct, frozen=True, tag="poll"):
    """The time of a post's poll has come. ``after`` is the last one who was told."""

    post_id: UUID
    after: UUID | None = None


class ConversationChanged(msgspec.Struct, frozen=True, tag="conversation"):
    """Of a conversation, it is another now who takes part, or what these members, or all, have not read."""

    conversation_id: UUID
    member_ids: Sequence[UUID] | None = None


class AccountTold(msgspec.Struct, frozen=True, tag="account"):
    """Something happened to an account itself, which nothing takes back: its member is told of it once."""

    kind: SecurityKind
    account_id: UUID
    event_id: UUID
    at: datetime
    text: str | None = None


Notify: TypeAlias = (
    Reaction
    | PostChanged
    | PairChanged
    | MemberChanged
    | PollEnded
    | ConversationChanged
    | AccountTold
)

NOTIFY: JobKind[Notify] = JobKind(
    "notify", cast("type[Notify]", Notify), longest_pause_seconds=60.0, batch=BATCH, is_prompt=True
)


async def tell_account(
    session: Session, account_id: UUID, kind: SecurityKind, text: str | None = None
) -> None:
    """Let a member be told what happened to their account, in the caller's transaction.

    Args:
        session: the transaction.
        account_id: theirs.
        kind: of the notification.
        text: the name of a device, or what a moderator did, as the audit log calls it.
    """
    await enqueue(
        session, NOTIFY, AccountTold(kind, account_id, ids.new(), datetime.now(UTC), text)
    )
