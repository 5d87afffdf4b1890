"""A spool for records while PostgreSQL is unavailable: one file each, stored when it is back.

The files are in the home; if that is full or read-only, in memory (``/dev/shm``), because a run that
saw the disk fail is one that must not be lost.
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
    """Keep a record until `store` finds it; when this returns, it is on the disk or in memory.

    Args:
        home: the installation.
        kind: ``runs``, ``actions``, ``alerts`` or ``mail``.
        name: of the record; a later record of the same name replaces it.
        record: anything that can be encoded as JSON.

    Raises:
        OSError: neither can be written.
    """
    content = msgspec.json.encode(record)
    try:
        _write(_at_home(home, kind), name, content)
    except OSError as error:
        log.warning("home not writable, record kept in memory", record=name, error=str(error))
        _write(in_memory(home, kind), name, content)


async def store(home: Home, kind: str, type_: type[T], put: Callable[[T], Awaitable[None]]) -> int:
    """Store the waiting records, oldest first, and return how many.

    A record that cannot be read, or that PostgreSQL will never accept, is renamed to ``.broken``.

    Raises:
        PostgresUnavailableError: it is still unavailable; the remaining records keep waiting.
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
            log.error("record set aside", path=str(path), error=str(error))
            with suppress(OSError):
                path.rename(path.with_suffix(".broken"))
            continue
        except asyncpg.PostgresError as error:
            # It may accept it later: before the migrations have run, a table is missing.
            raise PostgresUnavailableError(str(error)) from error
        path.unlink(missing_ok=True)
        stored += 1
    with suppress(OSError):
        # Leave nothing behind in shared memory; the folder stays only if a record still waits.
        in_memory(home, kind).rmdir()
    return stored


def _waiting(home: Home, kind: str) -> Iterator[Path]:
    for folder in (_at_home(home, kind), in_memory(home, kind)):
        # In /dev/shm, anyone may have created it.
        with suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                yield from sorted(folder.glob("*.json"))


def _at_home(home: Home, kind: str) -> Path:
    return home.ops / "waiting" / kind


def in_memory(home: Home, kind: str) -> Path:
    """Return the folder for records that the home could not take."""
    name = hashlib.sha256(os.fsencode(home.root)).hexdigest()[:16]
    # No parent folder, because another user could have created it first.
    return MEMORY / f"chitlaq-{os.getuid()}-{name}-{kind}"


def _write(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    files.write(folder / f"{name}.json", content)
