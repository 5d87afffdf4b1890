"""Deleting the files of pictures that nobody may see any more, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.media import metrics, render_job
from chitlaq.services.feed.media.store import MediaStore, StoreUnavailableError, objects_of

BATCH = 100
LOOK_SECONDS = 10.0

log = logs.get("media")


async def collect_forever(database: Database, store: MediaStore) -> None:
    """Delete what is to be deleted, while the process runs."""
    while True:
        try:
            while await collect(database, store) == BATCH:
                pass
            for row in await database.rows("originals_to_delete", BATCH):
                await render_job.forget_original(database, store, row["id"], row["name"])
        except PostgresUnavailableError as error:
            log.warning("pictures wait for the database", error=str(error))
        except StoreUnavailableError as error:
            metrics.STORE_FAILURES.labels("collect").inc()
            log.warning("deleted pictures wait for their store", error=str(error))
        await asyncio.sleep(LOOK_SECONDS)


async def collect(database: Database, store: MediaStore) -> int:
    """Delete some pictures that are deleted, of nobody, or in no post; return how many.

    Raises:
        StoreUnavailableError: some files are left, and their rows.
    """
    async with database.session() as session:
        rows = await session.rows("media_to_collect", BATCH)
    await delete(database, store, [(row["id"], row["name"]) for row in rows])
    return len(rows)


async def delete(
    database: Database, store: MediaStore, pictures: Sequence[tuple[UUID, str]]
) -> None:
    """Delete the files of pictures that are marked as deleted, and then the pictures.

    Raises:
        StoreUnavailableError: some files are left, and their rows.
    """
    if not pictures:
        return
    await store.delete([one for _, name in pictures for one in objects_of(name)])
    async with database.session() as session:
        gone = await session.row("delete_media", [media_id for media_id, _ in pictures])
    assert gone is not None
    metrics.COLLECTED.inc(gone["pictures"])
    metrics.COLLECTED_BYTES.inc(gone["bytes"])


async def erase(database: Database, store: MediaStore, member: UUID) -> None:
    """Delete everything that a member uploaded.

    Raises:
        StoreUnavailableError: the rest is left; repeating it goes on.
    """
    async with database.session() as session:
        await session.execute("erase_media", member)
    while rows := await database.rows("media_of_member", member, BATCH):
        await delete(database, store, [(row["id"], row["name"]) for row in rows])
