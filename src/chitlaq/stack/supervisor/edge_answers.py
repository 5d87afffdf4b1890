"""What members' requests are answered while a version is replaced, from nginx's access log."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.logs import access, failures
from chitlaq.logs.follow import Follower

BEFORE = timedelta(minutes=10)
FEWEST_FAILED = 3
"""Fewer may be chance."""
SHARE = 0.01
"""A system that works well fails less; one that did not must not become twice as bad."""


class _Line(msgspec.Struct):
    service: str
    status: int


class EdgeAnswers:
    """Counts the answers of each service since it was replaced.

    Args:
        home: whose access log is read, from now on.
        settings: how many rotated files are kept; the ten minutes before are the measure.

    Raises:
        OSError: the log cannot be read.
    """

    def __init__(self, home: Home, settings: Settings) -> None:
        now = datetime.now(UTC)
        before = failures.failures(home, now - BEFORE, now, settings.logs.keep_files)
        requests, failed = before.requests.total(), before.failed.total()
        self._highest = max(SHARE, 2 * failed / requests if requests else 0.0)
        self._read = access.reader(_Line)
        self._follower = Follower(home.access_log, is_from_end=True)
        self._answered: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def begin(self, service: str) -> None:
        """Count a service's answers from now on."""
        self._count()
        self._answered[service] = self._failed[service] = 0

    def fault(self) -> str:
        """Which service fails too many requests; empty if none does."""
        self._count()
        for service, failed in self._failed.items():
            answered = self._answered[service]
            if failed >= FEWEST_FAILED and failed / answered > self._highest:
                return f"{service} failed {failed} of {answered} requests (status 5xx)"
        return ""

    def close(self) -> None:
        self._follower.close()

    def _count(self) -> None:
        for text in self._follower.new_lines():
            line = self._read(text)
            if line is not None and line.service:
                self._answered[line.service] += 1
                self._failed[line.service] += line.status >= 500
