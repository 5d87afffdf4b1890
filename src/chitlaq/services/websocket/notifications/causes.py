"""Causes: jobs say where they may have changed; what is stored follows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from chitlaq.core.data.jobs import Batch, BatchHandler, Runner, enqueue
from chitlaq.core.data.notify import (
    NOTIFY,
    AccountTold,
    ConversationChanged,
    MemberChanged,
    Notify,
    PairChanged,
    PollEnded,
    PostChanged,
    Reaction,
)
from chitlaq.core.data.postgres import Session
from chitlaq.services.websocket.notifications.kinds import ABOUT_CONVERSATIONS, OF_FEED
from chitlaq.services.websocket.notifications.telling import GONE, Cause, State, Telling

PART = 1000
"""About how many causes are looked at in one transaction. Of a job of more, another goes on."""
OF_A_POST = 100
"""What a post is counted as, which may mention 50, and does not mention others any more."""
PATIENCE_SECONDS = 0.25


def handler(telling: Telling) -> BatchHandler[Notify]:
    """Return what looks where jobs say. Batches do so one after the other, also those of other processes."""

    async def work(batch: Batch[Notify]) -> None:
        for part in batch.parts(_causes_of, PART):
            await look_at(part)

    async def look_at(batch: Batch[Notify]) -> None:
        async with telling.committing(batch.completing()) as session:
            await session.execute("lock_causes")
            deleted = await _deleted(session, batch.payloads)
            looked_at = await _looked_at(session, batch.payloads, deleted)
            of_accounts = _of_accounts(batch.payloads)
            recipients = {cause.recipient_id for cause in (*looked_at, *of_accounts)}
            if deleted:
                recipients |= await _told_of_deleted(session, deleted)
            there = await telling.lock(session, recipients)
            changes = list(await telling.untell(session, deleted, there))
            causes = [cause for cause in looked_at if cause.recipient_id in there]
            states = await _states(session, causes)
            states |= {
                one: state for one, state in of_accounts.items() if one.recipient_id in there
            }
            changes += await telling.tell(session, states)
        await telling.after_commit(changes)

    return BatchHandler(NOTIFY, work)


def _causes_of(payload: Notify) -> int:
    """Return about how many causes a job looks at."""
    match payload:
        case MemberChanged() | PollEnded() | ConversationChanged(member_ids=None):
            return PART
        case ConversationChanged(member_ids=[*members]):
            return len(members)
        case PostChanged():
            return OF_A_POST
        case _:
            return 1


def _of_accounts(payloads: Sequence[Notify]) -> dict[Cause, State]:
    """Return what happened to accounts themselves: nobody needs to be asked whether that is so still."""
    return {
        Cause(one.account_id, one.kind, one.event_id, one.account_id): State(one.at, text=one.text)
        for one in payloads
        if isinstance(one, AccountTold)
    }


async def _deleted(session: Session, payloads: Sequence[Notify]) -> list[UUID]:
    posts = [payload.post_id for payload in payloads if isinstance(payload, PostChanged)]
    return [row["id"] for row in await session.rows("deleted_posts", posts)] if posts else []


async def _told_of_deleted(session: Session, deleted: Sequence[UUID]) -> set[UUID]:
    """Return some of those who were told of posts that are deleted; of those of whom there are more, other
    jobs go on."""
    rows = await session.rows("recipients_of_subjects", deleted, PART)
    if len(rows) == PART:
        for post_id in deleted:
            if post_id >= rows[-1]["subject_id"]:
                await enqueue(session, NOTIFY, PostChanged(post_id))
    return {row["recipient_id"] for row in rows}


async def _looked_at(
    session: Session, payloads: Sequence[Notify], deleted: Sequence[UUID]
) -> set[Cause]:
    """Return the causes that these jobs are about: those that may have begun, and those that may be gone.

    What was told of deleted posts is none of them: all of it goes.
    """
    causes: set[Cause] = set()
    posts: dict[tuple[UUID, UUID | None], None] = {}
    pairs: list[tuple[UUID, UUID]] = []
    conversations: list[tuple[UUID, UUID | None]] = []
    for payload in payloads:
        match payload:
            case Reaction(kind, post_id, author_id, member_id):
                causes.add(Cause(author_id, kind, post_id, member_id))
            case PostChanged(post_id, after):
                posts[post_id, after] = None
            case PairChanged(one, other):
                pairs.append((one, other))
                causes.update(_follows(one, other), _follows(other, one))
            case MemberChanged():
                causes.update(await _told_of(session, payload))
            case PollEnded():
                causes.update(await _asked_by(session, payload))
            case ConversationChanged(conversation_id, member_ids):
                members = [None] if member_ids is None else member_ids
                conversations += [(conversation_id, member) for member in members]
    if posts:
        causes.update(await _addressed(session, list(posts)))
    if pairs:
        ones, others = ([pair[at] for pair in pairs] for at in (0, 1))
        causes.update(Cause(*row) for row in await session.rows("told_of_pairs", ones, others))
    if conversations:
        columns = [list(each) for each in zip(*conversations, strict=True)]
        causes.update(Cause(*row) for row in await session.rows("chat_candidates", *columns))
    gone = set(deleted)
    known = OF_FEED | ABOUT_CONVERSATIONS
    return {cause for cause in causes if cause.kind in known and cause.subject_id not in gone}


def _follows(actor: UUID, recipient: UUID) -> set[Cause]:
    return {
        Cause(recipient, kind, recipient, actor)
        for kind in ("follow", "follow_request", "follow_accepted")
    }


async def _addressed(
    session: Session, posts: Sequence[tuple[UUID, UUID | None]]
) -> Sequence[Cause]:
    columns = [list(each) for each in zip(*posts, strict=True)]
    found: defaultdict[tuple[UUID, UUID | None], list[Cause]] = defaultdict(list)
    for *cause, after in await session.rows("addressed", *columns, PART):
        one = Cause(*cause)
        found[one.subject_id, after].append(one)
    for (post_id, _), causes in found.items():
        if len(causes) >= PART:
            await enqueue(session, NOTIFY, PostChanged(post_id, causes[-1].recipient_id))
    return [cause for causes in found.values() for cause in causes]


async def _told_of(session: Session, changed: MemberChanged) -> list[Cause]:
    rows = await session.rows("told_of_member", changed.member_id, changed.after, PART)
    if len(rows) >= PART:
        await enqueue(session, NOTIFY, MemberChanged(changed.member_id, rows[-1]["recipient_id"]))
    return [Cause(*row) for row in rows]


async def _asked_by(session: Session, ended: PollEnded) -> list[Cause]:
    rows = await session.rows("poll_audience", ended.post_id, ended.after, PART)
    if len(rows) == PART:
        await enqueue(session, NOTIFY, PollEnded(ended.post_id, rows[-1]["recipient_id"]))
    return [Cause(*row) for row in rows]


async def _states(session: Session, causes: Sequence[Cause]) -> dict[Cause, State]:
    """Ask whose facts they are how these causes are now: chat, or feed-service."""
    states = dict.fromkeys(causes, GONE)
    of_chat = [cause for cause in causes if cause.kind in ABOUT_CONVERSATIONS]
    others = [cause for cause in causes if cause.kind not in ABOUT_CONVERSATIONS]
    for name, asked in (("causes", others), ("chat_causes", of_chat)):
        if asked:
            columns = [list(each) for each in zip(*asked, strict=True)]
            for row in await session.rows(name, *columns):
                is_told, is_filtered = not row["is_muted"], row["is_filtered"]
                states[asked[row["number"] - 1]] = State(row["at"], is_told, None, is_filtered)
    return states


async def look(
    runner: Runner, job_id: UUID, conversation_id: UUID, member_ids: Sequence[UUID] | None
) -> None:
    """Look at a conversation that a committed job of this process is about; return soon."""
    payload = ConversationChanged(conversation_id, member_ids)
    await runner.run_now(NOTIFY, job_id, payload, PATIENCE_SECONDS)
