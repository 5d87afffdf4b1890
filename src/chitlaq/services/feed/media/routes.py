"""Pictures over HTTP."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post, put
from litestar.datastructures import State
from litestar.response import Stream

from chitlaq.core import languages
from chitlaq.core.http import uploads
from chitlaq.core.http.idempotency import IdempotencyKey, required_valid
from chitlaq.core.http.identity import Identity, account_id
from chitlaq.services.feed.media import media, serving
from chitlaq.services.feed.media.orders import Purpose
from chitlaq.services.feed.media.schemas import Media, MediaChange
from chitlaq.services.feed.state import FeedState

_REFUSALS = (403,)


async def _received(
    request: Request[Any, Any, State],
    member: Identity,
    state: FeedState,
    purpose: Purpose,
    idempotency_key: str | None = None,
) -> Media:
    limits = state.pictures.settings
    uploads.required_type(request)
    await media.require_quota(state.database, limits, member.account_id)
    async with uploads.received(
        request, state.pictures.work, limits.upload_bytes, ("alt",)
    ) as upload:
        return await media.add(
            state.database,
            state.pictures.store,
            limits,
            member.account_id,
            upload,
            purpose,
            idempotency_key,
        )


@post(
    "/media",
    summary="Upload a picture for a post",
    refuses=(409, *_REFUSALS),
    takes_file=True,
    request_max_body_size=None,
)
async def upload_picture(
    request: Request[Any, Any, State],
    member: Identity,
    state: FeedState,
    idempotency_key: IdempotencyKey = None,
) -> Media:
    return await _received(request, member, state, "post", required_valid(idempotency_key))


@get("/media/{media_id:uuid}", summary="One of your own pictures")
async def own_picture(
    media_id: UUID, member: Identity, state: FeedState, request: Request[Any, Any, State]
) -> Media:
    found = await media.read(state.database, member.account_id, media_id)
    return found.in_language(languages.preferred(request.headers.get("accept-language", "")))


@patch("/media/{media_id:uuid}", summary="Describe one of your own pictures")
async def describe_picture(
    media_id: UUID, data: MediaChange, member: Identity, state: FeedState
) -> Media:
    return await media.describe(state.database, member.account_id, media_id, data.alt)


@get(
    "/media/{media_id:uuid}/{size:str}",
    summary="A picture that you may see",
    media_type="image/webp",
    is_file=True,
)
async def picture(
    media_id: UUID,
    size: Literal["small", "medium", "large", "still"],
    viewer: Identity | None,
    state: FeedState,
    request: Request[Any, Any, State],
) -> Response[bytes] | Stream:
    found = await media.visible_file(
        state.database, account_id(viewer), media_id, size, request.headers.get("accept", "")
    )
    return await serving.answer(state.pictures, found)


@put(
    "/users/me/avatar",
    summary="Show a picture as your own",
    refuses=_REFUSALS,
    takes_file=True,
    request_max_body_size=None,
)
async def set_avatar(
    request: Request[Any, Any, State], member: Identity, state: FeedState
) -> Media:
    return await _received(request, member, state, "avatar")


@delete("/users/me/avatar", summary="Show no picture as your own")
async def remove_avatar(member: Identity, state: FeedState) -> None:
    await media.leave_profile(state.database, member.account_id, "avatar")


@put(
    "/users/me/banner",
    summary="Show a picture above your profile",
    refuses=_REFUSALS,
    takes_file=True,
    request_max_body_size=None,
)
async def set_banner(
    request: Request[Any, Any, State], member: Identity, state: FeedState
) -> Media:
    return await _received(request, member, state, "banner")


@delete("/users/me/banner", summary="Show no picture above your profile")
async def remove_banner(member: Identity, state: FeedState) -> None:
    await media.leave_profile(state.database, member.account_id, "banner")
