"""Whether the files of backups are at a glance what their records say; only verification reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Catalog, Record

WRITTEN_WITHIN = timedelta(minutes=1)
"""What may pass between a file's last byte and the time that its record gives."""


def read(folder: Path) -> Catalog:
    """Read the records in a backup folder, and look at the files of each."""
    catalog = records.read(folder)
    return Catalog([look(folder, record) for record in catalog.good], catalog.damaged)


def look(folder: Path, record: Record) -> Record:
    """The record with what is to be seen of its files: existence, size, and time of the last change."""
    path = folder / record.path
    try:
        sizes, times = zip(*_files(path), strict=True)
    except FileNotFoundError:
        return msgspec.structs.replace(record, lost=f"{path} is missing", changed_at=None)
    except OSError as error:
        return msgspec.structs.replace(
            record, lost=f"{path} cannot be read: {error.strerror}", changed_at=None
        )
    except ValueError:
        return msgspec.structs.replace(record, lost=f"{path} is empty", changed_at=None)
    lost = ""
    if sum(sizes) != record.bytes:
        lost = f"{path} has {sum(sizes):,} bytes instead of {record.bytes:,}"
    changed_at = datetime.fromtimestamp(max(times), UTC)
    return msgspec.structs.replace(
        record, lost=lost, changed_at=changed_at if changed_at > _known_until(record) else None
    )


def _known_until(record: Record) -> datetime:
    """Until when the files are known to have been right: since when no change of theirs is known."""
    moments = [record.created_at + timedelta(seconds=record.seconds)]
    moments += [one.at for one in (record.verified, record.drilled) if one and one.is_good]
    return max(moments) + WRITTEN_WITHIN


def _files(path: Path) -> Iterator[tuple[int, float]]:
    """Yield the size and the time of the last change of a file, or of each file in a folder.

    Raises:
        OSError: one of them is missing, or cannot be looked at.
    """
    if not path.is_dir():
        state = path.stat()
        yield state.st_size, state.st_mtime
        return
    folders = [str(path)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    state = entry.stat(follow_symlinks=False)
                    yield state.st_size, state.st_mtime
