"""Remove files that are safe to delete; never data, never a file that is still written to."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chitlaq.core.formatting import count, size
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.checks.model import Section
from chitlaq.ops.database.database import OpsDatabase, OpsDatabaseUnavailableError
from chitlaq.ops.history import run_history

OLD_LOG_DAYS = 7
OLD_DRAFT_DAYS = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that is safe to delete, and why."""

    path: Path
    bytes: int
    reason: str


async def candidates(home: Home) -> list[Candidate]:
    """Return the files that are safe to delete, largest first."""
    logs, drafts = [await _before(home, days) for days in (OLD_LOG_DAYS, OLD_DRAFT_DAYS)]
    return await asyncio.to_thread(_older, home, logs, drafts)


async def _before(home: Home, days: int) -> datetime:
    """Return the moment before which files are old, although the clock may be ahead."""
    now = datetime.now(UTC)
    # To open it would make one, and who only looks leaves nothing behind.
    if home.ops_database.exists():
        with suppress(OpsDatabaseUnavailableError), OpsDatabase(home) as database:
            return await run_history.beginning(database, days, now)
    return now - timedelta(days=days)


def _older(home: Home, logs: datetime, drafts: datetime) -> list[Candidate]:
    found: list[Candidate] = []

    def consider(path: Path, before: datetime, reason: str) -> None:
        with suppress(OSError):
            state = path.lstat()
            if path.is_file() and state.st_mtime < before.timestamp():
                found.append(Candidate(path, state.st_size, reason))

    for path in home.logs.glob("*.log.*"):
        if path.name.rpartition(".log.")[2].removesuffix(".gz").isdecimal():
            consider(path, logs, f"rotated log, older than {OLD_LOG_DAYS} days")
    for folder in (
        home.logs, home.run, home.nginx, home.ops, home.secrets, home.redis_data,
        home.prometheus, home.alertmanager,
    ):  # fmt: skip
        for path in folder.rglob(f"*{files.DRAFT}"):
            consider(path, drafts, "draft that its writer never finished")
    for path in (home.packages / "apt").rglob("*.deb"):
        consider(path, drafts, "archive of a package that is unpacked")
    return sorted(found, key=lambda one: -one.bytes)


def old_reports(home: Home, before: datetime) -> list[Candidate]:
    """Return the daily reports that are older than the history, by the date in their name."""
    oldest = before.date().isoformat()
    reason = f"report, older than {oldest}"
    found: list[Candidate] = []
    for path in (home.ops / "reports").glob("????-??-??.*"):
        if path.suffix in {".html", ".md"} and path.stem < oldest:
            with suppress(OSError):
                found.append(Candidate(path, path.lstat().st_size, reason))
    return found


def remove(found: list[Candidate]) -> int:
    """Delete these files, and return how many bytes that freed.

    Raises:
        OSError: a file cannot be deleted; those before it are gone.
    """
    freed = 0
    for one in found:
        one.path.unlink(missing_ok=True)
        freed += one.bytes
    return freed


async def _plan(context: ActionContext, _target: str) -> list[str]:
    found = await candidates(context.home)
    return [f"remove {one.path} ({size(one.bytes)}): {one.reason}" for one in found]


async def _prune(context: ActionContext, _target: str) -> str:
    found = await candidates(context.home)
    freed = await asyncio.to_thread(remove, found)
    return f"removed {count(len(found), 'file')}, {size(freed)}"


PRUNE = Action(
    "prune",
    "Remove files that are safe to delete: old rotated logs, leftover drafts, unpacked archives",
    Section.MAINTENANCE,
    "",
    ("chitlaq ops do prune",),
    _plan,
    _prune,
    is_destructive=True,
)
