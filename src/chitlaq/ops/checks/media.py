"""Members' pictures: their folder or bucket, what waits, and how long there is room."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError

from chitlaq.core.data.object_store import first_line, open_store
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count, duration, size
from chitlaq.core.host import files
from chitlaq.core.installation.settings import Media
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.system import SystemView

PROBE = "probe"
PATIENCE = timedelta(seconds=3)


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
    if row["oldest"]:
        said += f"; one has waited for {duration(row['oldest'])}"
    if fault:
        return outcome(f"cannot be written: {fault}", values, least=Verdict.CRITICAL)
    return outcome(
        said,
        values,
        Table(
            "pictures",
            ["within a day", "number"],
            [["uploaded", str(row["uploaded"])], ["failed", str(row["failed"])]],
        ),
    )


def _folder_fault(folder: Path) -> str:
    """Why nothing can be written to a folder; empty if it can, or nothing has been yet."""
    if not folder.exists():
        return ""
    try:
        with files.unnamed(folder) as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return ""


def _bucket_fault(settings: Media) -> str:
    try:
        store = open_store(
            settings,
            settings.url,
            retry_config={"max_retries": 0, "retry_timeout": PATIENCE},
            client_options={"connect_timeout": PATIENCE, "timeout": PATIENCE},
        )
        written = uuid4().bytes
        obstore.put(store, PROBE, written)
        if obstore.get(store, PROBE).bytes().to_bytes() != written:
            return "what was written is not what is read"
        obstore.delete(store, PROBE)
    except (BaseError, OSError, OperatorError) as error:
        return first_line(error)
    return ""


def _free(folder: Path) -> float:
    """The free bytes of a folder's disk, or of that on which it will be."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    state = os.statvfs(place)
    return float(state.f_bavail * state.f_frsize)
