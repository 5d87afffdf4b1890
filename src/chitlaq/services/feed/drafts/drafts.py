"""Drafts, and the job that publishes those that are due: each once, also after a crash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core import ids
from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs
from chitlaq.core.visible import is_seen
from chitlaq.services.feed.drafts.schemas import Draft, DraftChange, NewDraft
from chitlaq.services.feed.posts import posts
from chitlaq.services.feed.posts.posts import Written
from chitlaq.services.feed.posts.schemas import NewPost
from chitlaq.services.feed.state import FeedState

MAX_DRAFTS = 100


class PublishDraft(msgspec.Struct, frozen=True):
    draft_id: UUID


PUBLISH_DRAFT = JobKind("publish_draft", PublishDraft, longest_pause_seconds=60.0)


async def listed(database: Database, member: UUID, paging: Paging) -> Page[Draft]:
    """Return a page of a member's drafts, newest first."""
    return paging.page_of(await database.rows("drafts", member, *paging.window), _draft)


async def add(database: Database, member: UUID, new: NewDraft, key: str | None) -> Draft:
    """Keep a draft, to be published if it is scheduled.

    If the member has used the idempotency key before, return that draft.

    Raises:
        Problem: 422 for a scheduled one without a text; 409 if the member has `MAX_DRAFTS`, or has used the
            key for something else, or for a draft that is published.
    """
    _require_text(new.post.text, new.scheduled_at)
    async with database.transaction() as session:
        if not await session.rows("lock_members", [member]):
            raise problems.not_signed_in("This account no longer exists.")
        request_hash = hashlib.sha256(msgspec.json.encode(new)).digest()
        if key is not None:
            row = await session.row("draft_by_idempotency_key", member, key)
            if row is not None and row["request_hash"] == request_hash:
                return _draft(row)
            if row or await session.row("post_by_idempotency_key", member, key):
                raise problems.conflict(
                    "This Idempotency-Key was used before; use a new one.", "Idempotency-Key"
                )
        row = await session.row(
            "add_draft",
            member,
            _json(new.post),
            new.scheduled_at,
            ids.new(),
            MAX_DRAFTS,
            key,
            request_hash if key is not None else None,
        )
        if row is None:
            raise problems.conflict(f"You have {MAX_DRAFTS} drafts; publish or delete one.")
        await _schedule(session, row["job_id"], row["id"], new.scheduled_at)
    return _draft(row)


async def change(database: Database, member: UUID, draft_id: UUID, new: DraftChange) -> Draft:
    """Change a draft of the member's own; what kept it from being published is forgotten.

    Raises:
        Problem: 404 if the member has no such draft, or it is published; 422 for a scheduled one without a
            text.
    """
    async with database.transaction() as session:
        old = await session.row("own_draft", draft_id, member)
        if old is None:
            raise problems.not_found("draft of yours")
        at = old["scheduled_at"] if new.scheduled_at is msgspec.UNSET else new.scheduled_at
        post = old["post"] if new.post is msgspec.UNSET else _json(new.post)
        _require_text(msgspec.json.decode(post)["text"], at)
        await session.execute("unschedule_draft", old["job_id"])
        row = await session.row("update_draft", draft_id, post, at, ids.new())
        assert row is not None
        await _schedule(session, row["job_id"], draft_id, at)
    return _draft(row)


async def delete(database: Database, member: UUID, draft_id: UUID) -> None:
    """Delete a draft of the member's own; it is not published any more.

    Raises:
        Problem: 404 if the member has no such draft, or it is published.
    """
    async with database.transaction() as session:
        row = await session.row("delete_draft", draft_id, member)
        if row is None:
            raise problems.not_found("draft of yours")
        await session.execute("unschedule_draft", row["job_id"])


def handler(state: Callable[[], FeedState]) -> Handler[PublishDraft]:
    """Return what publishes a draft; ``state`` is asked when one is due."""

    async def publish(job: Job, payload: PublishDraft) -> None:
        async with job.completing() as session:
            row = await session.row("due_draft", payload.draft_id)
            if row is None:  # deleted, or for later
                return
            member: UUID = row["member_id"]
            outcome = await _written(session, member, row)
            if isinstance(outcome, str):
                await session.execute("fail_draft", payload.draft_id, outcome)
                return
            await session.row("delete_draft", payload.draft_id, member)
        await posts.announce(state(), outcome)

    return Handler(PUBLISH_DRAFT, publish)


async def _written(session: Session, member: UUID, draft: Any) -> Written | str:
    """Write the post of a draft that is due; return it, or why not."""
    if draft["is_closed"]:
        return "Your account was closed at that time."
    try:
        new = msgspec.json.decode(draft["post"], type=NewPost)
    except msgspec.ValidationError as error:
        return f"Not accepted. {error}"
    try:
        written = await posts.insert(session, member, new, draft["idempotency_key"])
    except Problem as refusal:
        return refusal.detail
    return written or "Its Idempotency-Key was used for another post."


async def _schedule(session: Session, job_id: UUID, draft_id: UUID, at: datetime | None) -> None:
    if at is not None:
        payload = msgspec.json.encode(PublishDraft(draft_id)).decode()
        await session.execute("schedule_draft", job_id, payload, logs.request_id(), at)


def _require_text(text: str, scheduled_at: datetime | None) -> None:
    if scheduled_at is not None and not is_seen(text):
        raise problems.invalid({"post.text": "must not be empty if the draft is scheduled"})


def _json(post: NewPost) -> str:
    return msgspec.json.encode(post).decode()


def _draft(row: Any) -> Draft:
    _id, post, *others = row[:6]
    return Draft(_id, msgspec.Raw(post.encode()), *others)  # type: ignore[arg-type]
