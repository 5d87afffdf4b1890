"""What may be removed without loss, and why: never data, never what is written to."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home

OLD_LOG_DAYS = 7
DRAFT_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may go."""

    path: Path
    bytes: int
    reason: str


def candidates(home: Home) -> list[Candidate]:
    """Return what may go, largest first."""
    now = time.time()
    found: list[Candidate] = []

    def consider(path: Path, older_than: float, reason: str) -> None:
        with suppress(OSError):
            state = path.lstat()
            if path.is_file() and now - state.st_mtime > older_than:
                found.append(Candidate(path, state.st_size, reason))

    for path in home.logs.glob("*.log.*"):
        if path.name.rpartition(".log.")[2].removesuffix(".gz").isdecimal():
            consider(path, OLD_LOG_DAYS * 86_400, f"a log from more than {OLD_LOG_DAYS} days ago")
    for folder in (
        home.logs, home.run, home.nginx, home.ops, home.secrets, home.redis_data,
        home.prometheus, home.alertmanager,
    ):  # fmt: skip
        for path in folder.rglob(f"*{files.DRAFT}"):
            consider(path, DRAFT_SECONDS, "a draft that its writer never finished")
    for path in (home.packages / "apt").rglob("*.deb"):
        consider(path, DRAFT_SECONDS, "an archive whose package is unpacked")
    return sorted(found, key=lambda one: -one.bytes)


def old_reports(home: Home, days: int, now: datetime) -> list[Candidate]:
    """Return the daily reports of days that the history does not have any more, by their name."""
    oldest = (now - timedelta(days=days)).date().isoformat()
    reason = f"a report from more than {days} days ago"
    found: list[Candidate] = []
    for path in (home.ops / "reports").glob("????-??-??.*"):
        if path.suffix in {".html", ".md"} and path.stem < oldest:
            with suppress(OSError):
                found.append(Candidate(path, path.lstat().st_size, reason))
    return found


def remove(found: list[Candidate]) -> int:
    """Remove these; returns how many bytes that freed.

    Raises:
        OSError: one cannot be removed; those before it are gone.
    """
    freed = 0
    for one in found:
        one.path.unlink(missing_ok=True)
        freed += one.bytes
    return freed
