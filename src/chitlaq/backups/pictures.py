"""Backups of members' pictures: a copy of their folder, compared with what the database says of each file.

A picture's file never changes, so only new ones are copied. One that was deleted is set aside, for as long as
a backup of the database may still show it. A bucket is left to its own copies and versions.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import psycopg

from chitlaq.backups import waiting
from chitlaq.backups.catalog import records
from chitlaq.backups.context import BackupContext, make_private_folder, require_free_space
from chitlaq.backups.errors import InconclusiveError
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files

COPY = "media"
REMOVED = "media-removed"
"""Files that are no longer in the folder, in a folder for each day on which that was noticed."""
IN_A_BUCKET = "in a bucket, which is not copied"
HASHED_AT_ONCE = 2000
"""Files that are read to compare their SHA-256, besides the new ones: a part of them each day."""

_OBJECTS = "SELECT object, bytes, sha256 FROM feed.media_objects ORDER BY object"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that the database says there is."""

    size: int
    sha256: str


def copy(context: BackupContext, today: date) -> str:
    """Copy the pictures that are new, and compare the copy with the database.

    Raises:
        OperatorError: the disk is too small, or a file is missing or not what it was.
        InconclusiveError: the database to compare with is down.
    """
    source = context.settings.media_folder(context.home)
    if source is None:
        return IN_A_BUCKET
    expected = _of_live_database(context)
    target = context.folder / COPY
    make_private_folder(target)
    here, there = dict(_files(source)), dict(_files(target))
    new = {name: size for name, size in here.items() if there.get(name) != size}
    require_free_space(context.folder, sum(new.values()), "The copy of the pictures")
    for name in new:
        # Deleted meanwhile.
        with suppress(FileNotFoundError):
            _copy_file(source / name, target / name)
    _set_aside(context, sorted(there.keys() - here.keys()), today)
    _forget_removed(context, today)
    chosen = sorted(expected.keys() - new.keys())
    part = max(1, -(-len(chosen) // HASHED_AT_ONCE))
    said = _differences(context, expected, {*new, *chosen[today.toordinal() % part :: part]})
    if said:
        # What was deleted while it was copied is no fault.
        still = _of_live_database(context)
        said = {name: fault for name, fault in said.items() if name in still}
    _require_none(said, "the copy of the pictures")
    return (
        f"{len(new)} new, {sum(new.values()) / 1e6:,.1f} MB; {len(expected)} as the database says"
    )


def compare(context: BackupContext, connection: psycopg.Connection) -> str:
    """Say that every picture of a restored database is there, too.

    Raises:
        OperatorError: some are not, or differ.
    """
    if context.settings.media_folder(context.home) is None:
        return f"pictures {IN_A_BUCKET}"
    expected = _objects(connection)
    chosen = sorted(expected)
    said = _differences(context, expected, set(chosen[:: max(1, len(chosen) // 100)]))
    _require_none(said, "the pictures of the restored database")
    return f"{len(expected)} files of pictures present"


def put_back(context: BackupContext, connection: psycopg.Connection) -> list[str]:
    """Put back what a restored database shows and the folder lacks; say what was done."""
    folder = context.settings.media_folder(context.home)
    if folder is None:
        return []
    done, missing = 0, 0
    for name, stored in _objects(connection).items():
        if _size(folder / name) == stored.size:
            continue
        found = next((one for one in _places(context, name) if _size(one) == stored.size), None)
        if found is None:
            missing += 1
        else:
            _copy_file(found, folder / name)
            done += 1
    notes = [f"{done} files of pictures were put back."] if done else []
    if missing:
        notes.append(f"{missing} files of pictures are in no backup: they are lost.")
    return notes


def kept(context: BackupContext) -> dict[str, Path]:
    """The copies of files, also of deleted ones that a backup may still show."""
    folders = [*sorted((context.folder / REMOVED).glob("*")), context.folder / COPY]
    return {name: folder / name for folder in folders for name, _ in _files(folder)}


def _of_live_database(context: BackupContext) -> Mapping[str, Stored]:
    try:
        with waiting.connect(
            postgres.dsn(context.settings, context.home, postgres.OWNER)
        ) as connection:
            return _objects(connection)
    except psycopg.OperationalError as error:
        raise InconclusiveError(
            f"The database to compare the pictures with is down: {str(error).strip()}"
        ) from None


def _objects(connection: psycopg.Connection) -> dict[str, Stored]:
    row = connection.execute("SELECT to_regclass('feed.media_objects') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return {}
    return {name: Stored(size, sha256.hex()) for name, size, sha256 in connection.execute(_OBJECTS)}


def _differences(
    context: BackupContext, expected: Mapping[str, Stored], hashed: set[str]
) -> dict[str, str]:
    """What is wrong with the copies of these files, by name."""
    said = {}
    folder = context.settings.media_folder(context.home)
    for name, stored in expected.items():
        places = [*_places(context, name), *([folder / name] if folder else [])]
        found = [one for one in places if _size(one) == stored.size]
        if not found:
            said[name] = "missing"
        elif name in hashed and records.digest(found[0]) != stored.sha256:
            said[name] = "changed"
    return said


def _require_none(said: Mapping[str, str], where: str) -> None:
    if said:
        name, fault = next(iter(said.items()))
        raise OperatorError(f"{len(said)} files differ in {where}: {name} is {fault}.")


def _places(context: BackupContext, name: str) -> list[Path]:
    """Where a copy of a file can be, the likely place first."""
    days = sorted((context.folder / REMOVED).glob("*"), reverse=True)
    return [context.folder / COPY / name, *(day / name for day in days)]


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """The finished files in a folder: their names and sizes."""
    for path in sorted(folder.rglob("*")):
        # obstore's drafts have a number behind `#`.
        is_draft = "#" in path.name or path.suffix == files.DRAFT
        if not is_draft and not path.is_symlink() and path.is_file():
            size = _size(path)
            if size is not None:
                yield str(path.relative_to(folder)), size


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.draft(target) as draft:
        shutil.copyfile(source, draft)


def _set_aside(context: BackupContext, names: list[str], today: date) -> None:
    for name in names:
        target = context.folder / REMOVED / today.isoformat() / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.durable_rename(context.folder / COPY / name, target)


def _forget_removed(context: BackupContext, today: date) -> None:
    """Delete what no backup of the database shows any more."""
    backups = context.settings.backups
    oldest = today - timedelta(days=max(backups.keep_days, backups.keep_dumps_days))
    for folder in (context.folder / REMOVED).glob("????-??-??"):
        if folder.name < oldest.isoformat():
            shutil.rmtree(folder)
