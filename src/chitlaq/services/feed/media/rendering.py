"""Looking at pictures and rendering them, in confined processes (`confined`)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import cpu_affinity, files, programs
from chitlaq.services.feed.media.orders import FORMATS, Answer, Order, Output, Purpose, sizes_of

LOOK_SECONDS = 10.0
RENDER_SECONDS = 120.0
AT_ONCE = 2
"""Pictures that one process of the service looks at: others wait."""
MOST_WAITING = 16
"""Those that wait for it: a second of work. More are refused, since they would only wait longer."""
NICENESS = 10
READ_BYTES = 1 << 18
MOST_ANSWER_BYTES = 10_000
# What ends the process from outside says nothing of the picture.
_NOT_ITS_FAULT = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}

_looking = asyncio.Semaphore(AT_ONCE)
_under_way: set[object] = set()


class TooManyError(Exception):
    """More pictures wait to be looked at than soon can be."""


class RenderingError(Exception):
    """The process was ended from outside, or did not start: the picture may be fine."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """A picture that was rendered: ``large.webp``, its size, its SHA-256."""

    file: str
    content: IO[bytes]
    size: int
    sha256: bytes


async def look_at(picture: IO[bytes], purpose: Purpose) -> Answer:
    """Say what a picture is by its header; nothing is decoded.

    Raises:
        RenderingError: it cannot be told now.
        TooManyError: too many others wait.
    """
    if len(_under_way) >= AT_ONCE + MOST_WAITING:
        raise TooManyError
    turn = object()
    _under_way.add(turn)
    try:
        async with _looking:
            return await _ask(picture, Order(purpose), LOOK_SECONDS)
    finally:
        _under_way.remove(turn)


@asynccontextmanager
async def rendered(
    picture: IO[bytes], purpose: Purpose, folder: Path
) -> AsyncIterator[tuple[Answer, list[Rendition]]]:
    """Render a picture in every size and format, into files without names.

    Raises:
        RenderingError: it may be rendered when tried again.
        OSError: the folder's disk is full.
    """
    kinds = [(size, kind) for size in sizes_of(purpose) for kind in FORMATS]
    with ExitStack() as stack:
        outputs = [stack.enter_context(files.unnamed(folder)) for _ in kinds]
        order = Order(
            purpose,
            tuple(
                Output(size, kind, file.fileno())
                for (size, kind), file in zip(kinds, outputs, strict=True)
            ),
            tuple(cpu_affinity.background_cpus() or ()),
            NICENESS,
        )
        answer = await _ask(
            picture, order, RENDER_SECONDS, keep_open=[file.fileno() for file in outputs]
        )
        yield (
            answer,
            [
                Rendition(f"{size}.{kind}", file, written, _digest(file))
                for (size, kind), file, written in zip(kinds, outputs, answer.written, strict=False)
                if written
            ],
        )


async def _ask(
    picture: IO[bytes], order: Order, timeout_seconds: float, keep_open: list[int] | None = None
) -> Answer:
    picture.seek(0)
    try:
        result = await programs.arun(
            [
                sys.executable,
                "-m",
                "chitlaq.services.feed.media.confined",
                msgspec.json.encode(order).decode(),
            ],
            timeout_seconds=timeout_seconds,
            # No secret that this process was started with.
            environment={
                name: value
                for name, value in os.environ.items()
                if name == "PATH" or name.startswith(("PYTHON", "COVERAGE"))
            },
            stdin=picture.fileno(),
            max_bytes=MOST_ANSWER_BYTES,
            grace_seconds=0,
            keep_open=keep_open or (),
            # It confines itself: with anything to do between fork and exec, the kernel would copy the page
            # tables of this process, and all requests would wait for 4 ms instead of 0.3.
            death_signal=None,
        )
    except OperatorError as error:
        raise RenderingError(str(error)) from error
    if result.code == 0:
        return msgspec.json.decode(result.stdout, type=Answer)
    if result.code == -signal.SIGXCPU:
        return Answer(refused="it takes too long to read")
    if result.code < 0 and result.code not in _NOT_ITS_FAULT:
        # A fault in a decoder, which the kernel has stopped.
        return Answer(refused="it is damaged")
    raise RenderingError(f"the process that reads pictures failed: {result.reason}")


def _digest(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(READ_BYTES):
        digest.update(piece)
    file.seek(0)
    return digest.digest()
