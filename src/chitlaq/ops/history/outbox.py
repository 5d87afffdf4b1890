"""Records that wait for PostgreSQL: one file each, stored when it is back.

They lie in the home; where that is full or cannot be written, in memory (``/dev/shm``), since a disaster
that took the disk is the one that nobody wants to miss.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import asyncpg
import msgspec

from chitlaq.core.data.postgres import PostgresUnavailableError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import logs

T = TypeVar("T")

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made below it

log = logs.get("waiting")


def enqueue(home: Home, kind: str, name: str, record: object) -> None:
    """Keep a record until `store` finds it; it is on the disk, or in memory, when this returns.

    Args:
        home: the installation.
        kind: what waits with it: ``runs``, ``actions``, ``alerts``, ``mail``.
        name: the record's own; a later one of the same name takes its place.
        record: what JSON can hold.

    Raises:
        OSError: neither takes it.
    """
    content = msgspec.json.encode(record)
    try:
        _write(_at_home(home, kind), name, content)
    except OSError as error:
        log.warning("home takes no record: it waits in memory", record=name, error=str(error))
        _write(in_memory(home, kind), name, content)


async def store(home: Home, kind: str, type_: type[T], put: Callable[[T], Awaitable[None]]) -> int:
    """Store what waits, oldest first; returns how many were stored.

    What cannot be read, or what PostgreSQL will never take, is set aside as ``.broken``.

    Raises:
        PostgresUnavailableError: it is still away; what is left goes on waiting.
    """
    stored = 0
    for path in _waiting(home, kind):
        try:
            await put(msgspec.json.decode(path.read_bytes(), type=type_))
        except FileNotFoundError:
            continue  # another process has stored it
        except PostgresUnavailableError:
            raise
        except (
            msgspec.MsgspecError,
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
        ) as error:
            log.error("record is set aside", path=str(path), error=str(error))
            with suppress(OSError):
                path.rename(path.with_suffix(".broken"))
            continue
        except asyncpg.PostgresError as error:
            # It may take it later: a table is missing until the migrations have run.
            raise PostgresUnavailableError(str(error)) from error
        path.unlink(missing_ok=True)
        stored += 1
    with suppress(OSError):
        # Memory is not ours to leave things in; where something still waits, it stays.
        in_memory(home, kind).rmdir()
    return stored


def _waiting(home: Home, kind: str) -> Iterator[Path]:
    for folder in (_at_home(home, kind), in_memory(home, kind)):
        # In memory anyone may have made it.
        with suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                yield from sorted(folder.glob("*.json"))


def _at_home(home: Home, kind: str) -> Path:
    return home.ops / "waiting" / kind


def in_memory(home: Home, kind: str) -> Path:
    """The folder of those that the home did not take."""
    name = hashlib.sha256(os.fsencode(home.root)).hexdigest()[:16]
    # No folder between, which somebody else could have made before us.
    return MEMORY / f"chitlaq-{os.getuid()}-{name}-{kind}"


def _write(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} is somebody else's")
    files.write(folder / f"{name}.json", content)
