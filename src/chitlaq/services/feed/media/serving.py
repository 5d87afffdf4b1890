"""Handing out pictures: nginx sends those of a folder itself; those of a bucket pass through here.

The service decides who may see a picture, and nginx sends its bytes (``X-Accel-Redirect``):
docs/decisions/0009-who-sends-pictures.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from litestar import Response
from litestar.response import Stream

from chitlaq.core.http import problems
from chitlaq.core.http.edge import PICTURES
from chitlaq.core.installation.settings import Media as MediaSettings
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.media import metrics
from chitlaq.services.feed.media.media import VisibleFile
from chitlaq.services.feed.media.orders import MEDIA_TYPES
from chitlaq.services.feed.media.store import (
    MediaStore,
    MissingObjectError,
    StoreUnavailableError,
)

PUBLIC = "public, max-age=604800, s-maxage=300, immutable"
"""Whoever has it keeps it for a week; caches that serve others ask again after five minutes."""
PRIVATE = "private, no-cache"
"""Kept by nobody but the browser, which asks each time whether it may still be seen."""
STREAMS_AT_ONCE = 20
"""Pictures of a bucket that one process hands out at once: others wait."""

log = logs.get("media")


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the handlers of pictures share.

    Args:
        store: with the files.
        settings: the limits of uploads.
        work: the folder of uploads while they are received.
        turns: bounds what a bucket is asked at once.
    """

    store: MediaStore
    settings: MediaSettings
    work: Path
    turns: asyncio.Semaphore


async def answer(pictures: Pictures, found: VisibleFile) -> Response[bytes] | Stream:
    """Return a file that the viewer may see, or let nginx send it.

    Raises:
        Problem: 503 if the bucket does not answer, 404 if it has lost the file.
    """
    kind = MEDIA_TYPES[found.format]
    headers = {"Cache-Control": PUBLIC if found.is_public else PRIVATE, "Vary": "Accept"}
    if pictures.store.folder is not None:
        headers["X-Accel-Redirect"] = f"{PICTURES}{found.object}"
        return Response(b"", media_type=kind, headers=headers)
    pieces = _streamed(pictures, found.object)
    try:
        # The status depends on whether there is a first piece.
        first = await anext(pieces)
    except MissingObjectError:
        log.error("a picture is missing in the store", object=found.object)
        raise problems.not_found("picture") from None
    except (StoreUnavailableError, StopAsyncIteration) as error:
        metrics.STORE_FAILURES.labels("serve").inc()
        log.error("the pictures' store does not answer", error=str(error))
        raise problems.unavailable("Pictures cannot be read at the moment.") from None
    return Stream(_joined(first, pieces), media_type=kind, headers=headers)


async def _streamed(pictures: Pictures, name: str) -> AsyncIterator[bytes]:
    async with pictures.turns:
        async for piece in pictures.store.pieces(name):
            yield piece


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    with suppress(StopAsyncIteration):
        while True:
            yield await anext(rest)
