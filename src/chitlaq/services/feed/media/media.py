"""Pictures: received, looked at, stored, described, and shown to those who may see them.

A picture's row is there before its file, and goes after it: the store has no file without a row.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

import asyncpg

from chitlaq.core.data import jobs
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.core.http.uploads import Upload
from chitlaq.core.installation.settings import Media as MediaSettings
from chitlaq.core.telemetry import logs
from chitlaq.core.visible import said
from chitlaq.services.feed.media import metrics, rendering
from chitlaq.services.feed.media.orders import Answer, Purpose
from chitlaq.services.feed.media.render_job import RENDER_PICTURE, RenderPicture
from chitlaq.services.feed.media.rendering import RenderingError, TooManyError
from chitlaq.services.feed.media.schemas import MOST_ALT, Media
from chitlaq.services.feed.media.store import (
    MediaStore,
    StoreUnavailableError,
    original_of,
    rendition_of,
)

MOST_TO_RENDER = 500
"""Pictures that wait to be rendered, of all members: ten minutes of work for a core, and room on the disk."""
TO_RENDER_SECONDS = 60
LOOK_AGAIN_SECONDS = 5

log = logs.get("media")


@dataclass(frozen=True, slots=True)
class VisibleFile:
    """A file that a viewer may see.

    Args:
        object: its name in the store.
        format: ``avif`` or ``webp``.
        is_public: whether anybody may see it.
    """

    object: str
    format: str
    is_public: bool


async def require_quota(database: Database, settings: MediaSettings, owner: UUID) -> None:
    """Refuse a picture that is too many, before it is received.

    Raises:
        Problem: 429 for too many within an hour, 403 when the member's space is full, 503 when too many of
            other members wait to be rendered.
    """
    _require_quota(await database.row("uploads_of_member", owner), settings)
    if await database.value("are_rendered_later", MOST_TO_RENDER):
        raise _too_many(TO_RENDER_SECONDS)


def _require_quota(row: Any, settings: MediaSettings) -> None:
    if row["uploads"] >= settings.uploads_per_hour:
        raise problems.too_many_requests(
            max(1, int(row["seconds"])), "uploads", "Too many pictures within an hour"
        )
    if row["bytes"] >= settings.member_bytes:
        taken, most = (f"{one / 1_000_000:,.0f}" for one in (row["bytes"], settings.member_bytes))
        raise problems.forbidden(
            f"Your pictures take {taken} MB, and you have {most}:"
            " delete posts with pictures, then upload again."
        )


async def add(
    database: Database,
    store: MediaStore,
    settings: MediaSettings,
    owner: UUID,
    upload: Upload,
    purpose: Purpose = "post",
    idempotency_key: str | None = None,
) -> Media:
    """Store a picture that was received, and let it be rendered.

    If the owner has used the idempotency key before, return that picture.

    Raises:
        Problem: 415 for what is no picture, 422 for one that is refused, 409 for a key that was used for
            another, 429 and 403 as `require_quota`, 503 if too many wait to be looked at, or the store
            cannot take it.
    """
    alt = alt_of(upload)
    answer = await _looked_at(upload, purpose)
    try:
        async with database.transaction() as session:
            await session.execute("lock_uploads", owner)
            _require_quota(await session.row("uploads_of_member", owner), settings)
            row = await session.row(
                "insert_media",
                owner,
                purpose,
                secrets.token_hex(16),
                alt,
                answer.width,
                answer.height,
                answer.is_animated,
                upload.size,
                upload.sha256,
                idempotency_key,
            )
            if row is None:
                row = await _uploaded_before(session, owner, upload, purpose, idempotency_key)
    except asyncpg.ForeignKeyViolationError:
        raise problems.not_signed_in("This account no longer exists.") from None
    if row["state"] == "uploading":
        await _store(database, store, row["id"], row["name"], upload)
    metrics.UPLOADS.labels(purpose, "accepted").inc()
    return await read(database, owner, row["id"])


def alt_of(upload: Upload) -> str:
    """The description that came with a picture.

    Raises:
        Problem: 422 for one that is too long, or cannot be stored.
    """
    alt = upload.fields.get("alt", "")
    if len(alt) > MOST_ALT or "\x00" in alt:
        raise problems.invalid({"alt": f"must be at most {MOST_ALT} characters long, without NUL"})
    return said(alt)


async def _looked_at(upload: Upload, purpose: Purpose) -> Answer:
    try:
        answer = await rendering.look_at(upload.file, purpose)
    except TooManyError:
        raise _too_many(LOOK_AGAIN_SECONDS) from None
    except RenderingError as error:
        log.error("a picture cannot be looked at", error=str(error))
        raise problems.unavailable("Pictures cannot be read at the moment.") from None
    if not answer.refused:
        return answer
    metrics.UPLOADS.labels(purpose, "refused").inc()
    if answer.is_other_format:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The file is not accepted: {answer.refused}."
        )
    raise problems.invalid({"file": f"The file is not accepted: {answer.refused}."})


def _too_many(retry_after_seconds: int) -> Problem:
    return problems.unavailable(
        "Too many pictures are uploaded at the moment; nothing was kept.", retry_after_seconds
    )


async def _uploaded_before(
    session: Session, owner: UUID, upload: Upload, purpose: Purpose, key: str | None
) -> Any:
    row = await session.row("media_by_idempotency_key", owner, key)
    if row is None or (row["sha256"], row["purpose"]) != (upload.sha256, purpose):
        raise problems.conflict(
            "This Idempotency-Key was used for another picture; use a new one.", "Idempotency-Key"
        )
    return row


async def _store(
    database: Database, store: MediaStore, media_id: UUID, name: str, upload: Upload
) -> None:
    """Store what was uploaded, and then let it be rendered: both, or neither.

    If this process is killed between the two, the same key finishes it, or the collector removes it.
    """
    try:
        await store.put(original_of(name), upload.file)
    except StoreUnavailableError as error:
        metrics.STORE_FAILURES.labels("upload").inc()
        log.error("the pictures' store does not take a file", error=str(error))
        async with database.session() as session:
            await session.execute("forget_upload", media_id)
        raise problems.unavailable(
            "Pictures cannot be stored at the moment; nothing was kept."
        ) from None
    async with database.transaction() as session:
        if await session.execute("media_is_stored", media_id):
            await session.execute("supersede_uploads", media_id)
            await jobs.enqueue(session, RENDER_PICTURE, RenderPicture(media_id, name))


async def read(database: Database, owner: UUID, media_id: UUID) -> Media:
    """Return one's own picture.

    Raises:
        Problem: 404 if the member has no such picture.
    """
    row = await database.row("own_media", owner, media_id)
    if row is None:
        raise problems.not_found("picture of yours")
    return Media.of(row)


async def describe(database: Database, owner: UUID, media_id: UUID, alt: str) -> Media:
    """Change the description of one's own picture.

    Raises:
        Problem: 404 if the member has no such picture.
    """
    async with database.session() as session:
        await session.execute("update_alt", owner, media_id, alt)
    return await read(database, owner, media_id)


async def leave_profile(database: Database, member: UUID, purpose: Purpose) -> None:
    """Show no such picture on a profile any more; repeating it changes nothing."""
    async with database.session() as session:
        await session.execute("leave_profile", member, purpose)


async def visible_file(
    database: Database, viewer: UUID | None, media_id: UUID, size: str, accepted: str
) -> VisibleFile:
    """Return the smallest kind of file that the client accepts.

    Args:
        database: where who may see it is decided.
        viewer: who asks.
        media_id: of the picture.
        size: ``small``, ``medium`` or ``large``; of an animation also ``still``.
        accepted: the request's header ``Accept``.

    Raises:
        Problem: 404 if there is no such file, or the viewer may not see it.
    """
    row = await database.row("visible_file", viewer, media_id, size, "image/avif" in accepted)
    if row is None:
        raise problems.not_found("picture")
    name = rendition_of(row["name"], f"{size}.{row['format']}")
    return VisibleFile(name, row["format"], row["is_public"])
