"""The job that renders a picture: fetched, rendered in a confined process, stored, and then shown."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import perf_counter
from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database
from chitlaq.core.http.pictures import url
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.media import metrics, rendering
from chitlaq.services.feed.media.orders import Answer
from chitlaq.services.feed.media.rendering import RenderingError, Rendition
from chitlaq.services.feed.media.store import (
    MediaStore,
    MissingObjectError,
    StoreUnavailableError,
    objects_of,
    original_of,
    rendition_of,
)

MOST_ENDED = 20
"""A picture whose process is ended from outside so often is given up: it may be what ends it."""

log = logs.get("media")


class RenderPicture(msgspec.Struct, frozen=True):
    media_id: UUID
    name: str


# Two at once, in the background: members' requests keep the rest. While the store is away, they wait for it.
RENDER_PICTURE = JobKind(
    "render_picture", RenderPicture, limit=2, max_attempts=1000, longest_pause_seconds=300.0
)


def handler(database: Database, store: MediaStore, work: Path) -> Handler[RenderPicture]:
    """Return what renders pictures; ``work`` is the folder of its files without names."""
    return Handler(RENDER_PICTURE, partial(_render, database, store, work))


async def _render(
    database: Database, store: MediaStore, work: Path, job: Job, payload: RenderPicture
) -> None:
    media_id, name = payload.media_id, payload.name
    row = await database.row("media_to_render", media_id)
    if row is None:
        # It is rendered, or it was deleted: then nothing of it may stay.
        if not await database.value("media_is_kept", media_id):
            await store.delete(objects_of(name))
        return
    try:
        async with (
            store.fetched(original_of(name)) as original,
            rendering.rendered(original, row["purpose"], work) as (answer, renditions),
        ):
            if not answer.refused:
                await _complete(store, job, payload, answer, renditions)
            else:
                await _fail(job, payload, answer.refused, "picture")
    except MissingObjectError:
        await _fail(job, payload, "it was lost before it could be read", "lost")
    except RenderingError:
        if job.counted < MOST_ENDED:
            raise
        await _fail(job, payload, "it could not be read", "process")
    except StoreUnavailableError:
        metrics.STORE_FAILURES.labels("render").inc()
        raise
    await forget_original(database, store, media_id, name)


async def _complete(
    store: MediaStore,
    job: Job,
    payload: RenderPicture,
    answer: Answer,
    renditions: list[Rendition],
) -> None:
    for one in renditions:
        await store.put(rendition_of(payload.name, one.file), one.content)
    total = sum(one.size for one in renditions)
    kinds = [one.file.split(".") for one in renditions]
    async with job.completing() as session:
        is_kept = await session.execute(
            "media_is_ready",
            payload.media_id,
            answer.width,
            answer.height,
            answer.is_animated,
            answer.blurhash,
            total,
        )
        if is_kept:
            await session.execute(
                "insert_media_files",
                payload.media_id,
                [size for size, _ in kinds],
                [kind for _, kind in kinds],
                [one.size for one in renditions],
                [one.sha256 for one in renditions],
            )
            await session.execute("use_on_profile", payload.media_id, url(payload.media_id))
    if is_kept:
        metrics.STORED_BYTES.inc(total)
        metrics.RENDER_DURATION.observe(perf_counter() - job.started)
    else:
        await store.delete(objects_of(payload.name))


async def _fail(job: Job, payload: RenderPicture, reason: str, kind: str) -> None:
    async with job.completing() as session:
        await session.execute("media_has_failed", payload.media_id, reason)
    metrics.FAILURES.labels(kind).inc()
    log.warning("picture failed", media_id=payload.media_id, reason=reason)


async def forget_original(database: Database, store: MediaStore, media_id: UUID, name: str) -> None:
    """Delete what was uploaded, with all that cameras write into it; the collector repeats it."""
    try:
        await store.delete([original_of(name)])
    except StoreUnavailableError:
        metrics.STORE_FAILURES.labels("render").inc()
        return
    async with database.session() as session:
        await session.execute("original_is_deleted", media_id)
