"""Drafts over HTTP."""

from __future__ import annotations

from uuid import UUID

from litestar import delete, get, patch, post

from chitlaq.core.http.idempotency import IdempotencyKey, required_valid
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.drafts import drafts
from chitlaq.services.feed.drafts.schemas import Draft, DraftChange, NewDraft
from chitlaq.services.feed.state import FeedState


@get("/users/me/drafts", summary="Your drafts and scheduled posts, newest first")
async def own_drafts(member: Identity, state: FeedState, paging: Paging) -> Page[Draft]:
    return await drafts.listed(state.database, member.account_id, paging)


@post("/users/me/drafts", summary="Keep a draft, or schedule a post", refuses=(409,))
async def add_draft(
    data: NewDraft, member: Identity, state: FeedState, idempotency_key: IdempotencyKey = None
) -> Draft:
    key = required_valid(idempotency_key)
    return await drafts.add(state.database, member.account_id, data, key)


@patch("/users/me/drafts/{draft_id:uuid}", summary="Change a draft, or when it is published")
async def change_draft(
    draft_id: UUID, data: DraftChange, member: Identity, state: FeedState
) -> Draft:
    return await drafts.change(state.database, member.account_id, draft_id, data)


@delete("/users/me/drafts/{draft_id:uuid}", summary="Delete a draft")
async def delete_draft(draft_id: UUID, member: Identity, state: FeedState) -> None:
    await drafts.delete(state.database, member.account_id, draft_id)
