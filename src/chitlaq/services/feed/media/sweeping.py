"""Once a day: files of pictures without a row are deleted from the store.

There are none, since a picture's row is there before its file. But a database that was restored to an earlier
moment has no rows of later pictures. Their files wait for a while: it may yet be restored to a later one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.media import metrics
from chitlaq.services.feed.media.store import MediaStore, name_of

KEPT_DAYS = 7

log = logs.get("media")


class SweepPictures(msgspec.Struct, frozen=True):
    pass


SWEEP_PICTURES = JobKind("sweep_pictures", SweepPictures, timeout_seconds=3600.0, limit=1)


def handler(database: Database, store: MediaStore) -> Handler[SweepPictures]:
    """Return what deletes files without a row."""

    async def sweep(_job: Job, _payload: SweepPictures) -> None:
        oldest_kept = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
        known, lost = 0, list[str]()
        async for objects in store.listed():
            names = list({name_of(one.name) for one in objects})
            there = {row["name"] for row in await database.rows("known_media", names)}
            for one in objects:
                if name_of(one.name) in there:
                    known += 1
                elif one.stored_at < oldest_kept:
                    lost.append(one.name)
        if len(lost) > known:
            # Two installations that share a bucket by mistake must not empty it.
            log.error("the pictures' store seems to be another's", known=known, unknown=len(lost))
            return
        await store.delete(lost)
        metrics.SWEPT.inc(len(lost))
        if lost:
            log.warning("files without a picture deleted", files=len(lost))

    return Handler(SWEEP_PICTURES, sweep)
