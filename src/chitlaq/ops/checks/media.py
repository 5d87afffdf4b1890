"""Members' pictures: their folder or bucket, what waits, and how long there is room."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError

from chitlaq.core.data.object_store import ObjectStore, first_line, open_store
from chitlaq.core.errors import NotApplicable, OperatorError, UnknownResult
from chitlaq.core.formatting import count, duration, size
from chitlaq.core.host import files
from chitlaq.core.installation.settings import Media
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.datastores import psql
from chitlaq.ops.checks.sources.system import SystemView

PROBE = "probe"
PATIENCE = timedelta(seconds=3)
SAMPLED = 200
"""Pictures whose files are looked for each day."""
LOOKED_FOR = 20
"""Pictures whose files are looked for whenever the store is."""
SHOWN = 20


@check(
    "media.store",
    "Pictures",
    section=Section.CHECKLIST,
    looks_at="the folder or the bucket of members' pictures, which a probe is written to, and feed.media",
    commands=("df -h $CHITLAQ_HOME/media", "chitlaq jobs list"),
    remedy="`chitlaq logs feed-service --errors` says why pictures cannot be stored or rendered; the settings"
    " `media.…` say where they are. Grow the disk before it is full, or move them to a bucket.",
)
async def store(system: SystemView) -> CheckOutcome:
    (row,) = await system.postgres.rows("pictures")
    thresholds = system.thresholds
    values = {
        "pictures": Value(row["pictures"]),
        "stored": Value(row["bytes"], "bytes"),
        "uploaded within a day": Value(row["uploaded"]),
        "failed within a day": Value(row["failed"]),
        "oldest waiting": Value(row["oldest"], "seconds", *thresholds.picture_wait_seconds),
    }
    said = f"{count(row['pictures'], 'picture')}, {size(row['bytes'])}"
    folder = system.settings.media_folder(system.home)
    if folder is None:
        fault = await system.blocking(partial(_bucket_fault, system.settings.media))
    else:
        fault = await system.blocking(partial(_folder_fault, folder))
        if not fault:
            free = await system.blocking(partial(_free, folder))
            values["free"] = Value(free, "bytes")
            if row["bytes_month"]:
                days = free / (row["bytes_month"] / 30)
                values["days until full"] = Value(days, "days", *thresholds.days_until_full)
                said += f"; room for {duration(min(days, 36_500) * 86_400)}"
    if not fault and row["pictures"]:
        fault = await _lost(system)
    if row["oldest"]:
        said += f"; one has waited for {duration(row['oldest'])}"
    if fault:
        return outcome(fault, values, least=Verdict.CRITICAL)
    return outcome(
        said,
        values,
        Table(
            "pictures",
            ["within a day", "number"],
            [["uploaded", str(row["uploaded"])], ["failed", str(row["failed"])]],
        ),
    )


@check(
    "media.files",
    "Files of pictures",
    section=Section.BACKUPS,
    looks_at=f"the files of {SAMPLED} pictures, chosen by chance: whether the store has them, of the size"
    " that the database says",
    commands=(psql("SELECT * FROM feed.sampled_media(200);"), "chitlaq ops check media.store"),
    remedy="Put back what is missing from `media` or `media-removed` of the backups, or from a version"
    " that the bucket keeps; then find out what deletes there besides feed-service.",
    timeout_seconds=20.0,
    stands_on=("media.store",),
)
async def stored_files(system: SystemView) -> CheckOutcome:
    rows = await system.postgres.rows("sampled_media", SAMPLED)
    if not rows:
        raise NotApplicable("there is no picture yet")
    expected = {row["object"]: row["bytes"] for row in rows}
    sizes = await system.blocking(partial(_sizes, system, list(expected)))
    wrong = {name: sizes[name] for name, wanted in expected.items() if sizes[name] != wanted}
    if wrong:
        # A picture may have been deleted or rendered meanwhile.
        names = [row["name"] for row in rows if row["object"] in wrong]
        still = {row["object"] for row in await system.postgres.rows("expected_media", names)}
        wrong = {name: found for name, found in wrong.items() if name in still}
    first = f": {next(iter(wrong))}" if wrong else ""
    return outcome(
        f"{count(len(wrong), 'file')} missing or of another size, of {len(expected)} looked for{first}",
        {"wrong": Value(len(wrong), "", 1, 1), "looked for": Value(len(expected))},
        Table(
            "missing or of another size",
            ["file", "is", "should be"],
            [
                [name, "missing" if found is None else size(found), size(expected[name])]
                for name, found in list(wrong.items())[:SHOWN]
            ],
        ),
    )


async def _lost(system: SystemView) -> str:
    """Say that most files of pictures are not there, as when their disk is not mounted; else nothing.

    Raises:
        UnknownResult: the store cannot be asked.
    """
    rows = await system.postgres.rows("sampled_media", LOOKED_FOR)
    sizes = await system.blocking(partial(_sizes, system, [row["object"] for row in rows]))
    lost = sum(one is None for one in sizes.values())
    # Single ones may be deleted meanwhile; else they are found by `media.files`.
    if lost * 2 <= len(sizes):
        return ""
    where = system.settings.media_folder(system.home) or system.settings.media.url
    return f"{where} lacks {lost} of {count(len(sizes), 'file')} looked for: is it the right one?"


def _sizes(system: SystemView, names: list[str]) -> dict[str, int | None]:
    """The sizes of objects; None for those that the store does not have.

    Raises:
        UnknownResult: the store cannot be asked.
    """
    folder = system.settings.media_folder(system.home)
    try:
        store = _opened(system.settings.media) if folder is None else None
        return {
            name: _file_size(folder / name) if folder is not None else _object_size(store, name)
            for name in names
        }
    except (BaseError, OSError, OperatorError) as error:
        raise UnknownResult(f"the pictures' store cannot be asked: {first_line(error)}") from None


def _file_size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _object_size(store: ObjectStore, name: str) -> int | None:
    try:
        return int(obstore.head(store, name)["size"])
    except FileNotFoundError:
        return None


def _folder_fault(folder: Path) -> str:
    """Why nothing can be written to a folder; empty if it can, or feed-service has not made it yet."""
    if not folder.exists():
        return ""
    try:
        with files.unnamed(folder) as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        return f"cannot be written: {folder}: {error.strerror}"
    return ""


def _opened(settings: Media) -> ObjectStore:
    return open_store(
        settings,
        settings.url,
        retry_config={"max_retries": 0, "retry_timeout": PATIENCE},
        client_options={"connect_timeout": PATIENCE, "timeout": PATIENCE},
    )


def _bucket_fault(settings: Media) -> str:
    try:
        store = _opened(settings)
        written = uuid4().bytes
        obstore.put(store, PROBE, written)
        if obstore.get(store, PROBE).bytes().to_bytes() != written:
            return "cannot be written: what was written is not what is read"
        obstore.delete(store, PROBE)
    except (BaseError, OSError, OperatorError) as error:
        return f"cannot be written: {first_line(error)}"
    return ""


def _free(folder: Path) -> float:
    """The free bytes of a folder's disk, or of that on which it will be."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    state = os.statvfs(place)
    return float(state.f_bavail * state.f_frsize)
