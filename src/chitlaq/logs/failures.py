"""Members' requests that failed, minute by minute, from nginx's access log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from chitlaq.core.installation.home import Home
from chitlaq.logs import access, analysis


@dataclass
class Failures:
    """The requests of a period; minutes are whole ones since 1970."""

    first: datetime | None = None
    """The time of the first line of the files that were read, which may lie before the period."""
    is_cut: bool = False
    """Whether earlier lines of the period may be missing."""
    requests: Counter[tuple[int, str]] = field(default_factory=Counter)
    """By minute and route."""
    failed: Counter[tuple[int, str]] = field(default_factory=Counter)
    accounts: set[tuple[int, str]] = field(default_factory=set)
    """Minute and account of members' requests that failed."""
    minutes: set[int] = field(default_factory=set)
    """In which anything was logged."""
    unread: int = 0
    """Lines of the files that could not be read, so that no figure includes them."""


def failures(home: Home, since: datetime, until: datetime, keep_files: int) -> Failures:
    """Count the requests of a period, newest file first, until `analysis.COUNT_SECONDS` are over."""
    found = Failures()
    deadline = monotonic() + analysis.COUNT_SECONDS
    with access.opened(home, since, keep_files) as (files, is_cut):
        found.is_cut = is_cut
        for lines in files:
            if not _count(found, lines, since, until, deadline):
                found.is_cut = True
                break
    return found


def _count(
    found: Failures, lines: Iterable[bytes], since: datetime, until: datetime, deadline: float
) -> bool:
    read = access.reader(access.Access)
    first = None
    for number, text in enumerate(lines):
        if number % 10_000 == 0 and monotonic() > deadline:
            return False
        line = read(text)
        if line is None:
            found.unread += 1
            continue
        if first is None:
            first = found.first = line.time
        if line.time > until:
            break
        if line.time < since:
            continue
        minute = minute_of(line.time)
        found.minutes.add(minute)
        is_probe = access.is_probe(line.remote_addr, line.user_agent)
        if line.user_agent == analysis.BENCHMARK_AGENT or is_probe or not line.method:
            continue
        found.requests[minute, line.route] += 1
        if line.status >= 500:
            found.failed[minute, line.route] += 1
            if line.failed_account:
                found.accounts.add((minute, line.failed_account))
    return True


def minute_of(at: datetime) -> int:
    return int(at.timestamp()) // 60


def moment_of(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
