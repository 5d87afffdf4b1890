"""Disks: free space, I/O utilisation, and large files."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import count, duration, share, size
from chitlaq.core.host import disk_sync as disk_syncs
from chitlaq.core.host import file_systems
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.judged_by import DISK
from chitlaq.ops.checks.sources.system import SystemView

WINDOW_SECONDS = 1.0
SHOWN = 10
SYNC_SECONDS = 4.0
"""Less than a check may take."""

LARGE_FILE_BYTES = 100_000_000
WALKED_FILES = 200_000
TAKEN_SECONDS = 1.5
"""To measure the size of a folder."""
BLOCK_BYTES = 512


@check(
    "host.disk",
    "Disk space",
    section=Section.HOST,
    looks_at="every file system on a disk, and what CHITLAQ_HOME and the backups use",
    commands=("df -h", "df -i", "du -sh $CHITLAQ_HOME", "du -sh /opt/backups/chitlaq"),
    remedy="Find large files: `chitlaq ops check host.large_files`; `chitlaq ops do prune`; grow the disk.",
    is_heavy=True,
)
async def disk(system: SystemView) -> CheckOutcome:
    try:
        async with asyncio.timeout(SYNC_SECONDS):
            return await _space(system)
    except TimeoutError:
        said = f"the disks do not say within {SYNC_SECONDS:g} s how full they are"
        raise UnknownResult(said, DISK) from None


async def _space(system: SystemView) -> CheckOutcome:
    rows, values = [], {}
    fullest = ("", 0.0)
    for mount in await system.blocking(lambda: file_systems.mounts(system.home.root)):
        state = await system.blocking(partial(os.statvfs, mount))
        used = 1 - state.f_bavail / state.f_blocks if state.f_blocks else 0.0
        inodes = 1 - state.f_favail / state.f_files if state.f_files else 0.0
        values[f"used {mount}"] = Value(used, "ratio", *system.thresholds.disk_used_ratio)
        values[f"inodes {mount}"] = Value(inodes, "ratio", *system.thresholds.disk_used_ratio)
        values[f"free {mount}"] = Value(state.f_bavail * state.f_frsize, "bytes")
        free, total = state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
        rows.append([mount, size(total), size(free), share(used), share(inodes)])
        fullest = max(fullest, (mount, max(used, inodes)), key=lambda pair: pair[1])
    if not rows:
        raise UnknownResult("no file system on a disk was found")
    said = f"fullest of {count(len(rows), 'file system')}: {fullest[0]} at {share(fullest[1])}"
    folders = []
    for name, folder in (
        ("CHITLAQ_HOME", system.home.root),
        ("backups", system.settings.backup_folder(system.home)),
    ):
        bytes_, missing = await system.blocking(partial(_taken, folder))
        at_least = "at least " if missing else ""
        said += f"; {name} {at_least}{size(bytes_)}"
        values[f"taken {name}"] = Value(bytes_, "bytes")
        folders.append([name, str(folder), f"{at_least}{size(bytes_)}", missing])
    return outcome(
        said,
        values,
        Table("file systems", ["mounted at", "size", "free", "used", "inodes used"], rows),
        Table("folders", ["what", "folder", "size", "not counted"], folders),
    )


def _taken(root: Path) -> tuple[int, str]:
    """Return the disk usage of a folder, each file counted once, and what is missing from it, if any."""
    deadline = time.monotonic() + TAKEN_SECONDS
    total, hidden = 0, 0
    seen: set[tuple[int, int]] = set()
    waiting = [str(root)]
    while waiting:
        if time.monotonic() > deadline:
            return total, f"what was not reached within {TAKEN_SECONDS:g} s"
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:
            continue  # deleted meanwhile, or never there
        except OSError:
            hidden += 1
            continue
        for entry in entries:
            with suppress(FileNotFoundError):
                state = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif state.st_nlink > 1:
                    if (state.st_dev, state.st_ino) in seen:
                        continue
                    seen.add((state.st_dev, state.st_ino))
                total += state.st_blocks * BLOCK_BYTES
    return total, f"{count(hidden, 'folder')} that this user cannot read" if hidden else ""


@check(
    "host.disk_io",
    "Disk I/O",
    section=Section.HOST,
    looks_at="/proc/diskstats, for one second",
    commands=("iostat -x 1 5", "iotop -o"),
    remedy="Find what writes: `iotop -o`. A vacuum, a backup or a report ends on its own.",
)
async def disk_io(system: SystemView) -> CheckOutcome:
    before = await system.blocking(lambda: psutil.disk_io_counters(perdisk=True))
    if not before:
        raise NotApplicable("the kernel lists no disks here, as in some containers")
    await asyncio.sleep(WINDOW_SECONDS)
    after = await system.blocking(lambda: psutil.disk_io_counters(perdisk=True))
    rows, busiest = [], ("none", 0.0)
    for name, now in after.items():
        if name not in before or name.startswith(("loop", "ram")):
            continue
        was = before[name]
        busy = min((now.busy_time - was.busy_time) / 1000 / WINDOW_SECONDS, 1.0)
        busiest = max(busiest, (name, busy), key=lambda pair: pair[1])
        read = (now.read_bytes - was.read_bytes) / WINDOW_SECONDS
        written = (now.write_bytes - was.write_bytes) / WINDOW_SECONDS
        rows.append([name, share(busy), f"{size(read)}/s", f"{size(written)}/s"])
    return outcome(
        f"busiest disk: {busiest[0]}, {share(busiest[1])} of the time",
        {"busy": Value(busiest[1], "ratio", *system.thresholds.disk_busy_ratio)},
        Table("disks", ["disk", "busy", "read", "written"], rows),
    )


@check(
    "host.disk_sync",
    "Disk writes",
    section=Section.HOST,
    looks_at="a page that is written to the disk of CHITLAQ_HOME for good, as each commit is",
    commands=("dd if=/dev/zero of=$CHITLAQ_HOME/page bs=8k count=1 oflag=dsync", "iostat -x 1 5"),
    remedy="Whatever is stored waits for it. Find what else writes (`iotop -o`); look at the disk"
    " (`dmesg`, `smartctl -a`), or ask who provides it whether a limit of its I/O is used up.",
    is_timed=True,
)
async def disk_sync(system: SystemView) -> CheckOutcome:
    if not system.home.root.exists():
        raise NotApplicable("there is no CHITLAQ_HOME yet")
    writing = asyncio.ensure_future(system.blocking(partial(disk_syncs.seconds, system.home.root)))
    done, _ = await asyncio.wait({writing}, timeout=SYNC_SECONDS)
    if not done:
        writing.cancel()
        return outcome(f"nothing is written within {SYNC_SECONDS:g} s", least=Verdict.CRITICAL)
    try:
        seconds = writing.result()
    except OSError as error:
        return outcome(str(error), least=Verdict.CRITICAL, because=("host.disk",))
    return outcome(
        f"a page is written in {duration(seconds)}",
        {"seconds": Value(seconds, "seconds", *system.thresholds.disk_sync_seconds)},
    )


@check(
    "host.large_files",
    "Large files",
    section=Section.HOST,
    looks_at="files of at least 100 MB under CHITLAQ_HOME and /var/log",
    commands=("find $CHITLAQ_HOME /var/log -type f -size +100M -exec ls -lh {} \\;",),
    remedy="For logs: `chitlaq rotate`. Never delete PostgreSQL's own files (postgres/) by hand.",
    is_heavy=True,
)
async def large_files(system: SystemView) -> CheckOutcome:
    files = await system.blocking(lambda: _large_files([system.home.root, Path("/var/log")]))
    ours = system.home.postgres_data
    # PostgreSQL splits a table into files of up to 1 GB; none of them is too large.
    judgeable = [bytes_ for bytes_, path in files if not path.is_relative_to(ours)]
    largest = max(judgeable, default=0)
    return outcome(
        f"{count(len(files), 'file')} of at least {size(LARGE_FILE_BYTES)}",
        {
            "files": Value(len(files)),
            "largest": Value(largest, "bytes", *system.thresholds.large_file_bytes),
        },
        Table("largest first", ["size", "file"], [[size(b), str(p)] for b, p in files[:SHOWN]]),
    )


def _large_files(roots: Iterable[Path]) -> list[tuple[int, Path]]:
    found, walked = [], 0
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                walked += 1
                if walked > WALKED_FILES:
                    raise UnknownResult(f"there are more than {WALKED_FILES:,} files to examine")
                path = Path(folder, name)
                with suppress(OSError):
                    state = path.lstat()
                    if state.st_size >= LARGE_FILE_BYTES:
                        found.append((state.st_size, path))
    return sorted(found, reverse=True)
