"""Failed attempts to sign in: after a few, an operator and an address wait, longer each time.

Nobody is locked out for good, and a link of `chitlaq console` asks for no password. In memory only: an
attacker cannot restart ops-service.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

FREE = 5
LONGEST_SECONDS = 900.0
FORGOTTEN_SECONDS = 86_400.0
REMEMBERED = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    last: float


class Attempts:
    """Failures by subject: ``operator NAME``, ``address NETWORK``."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_seconds(self, subjects: Sequence[str]) -> float:
        """How long these must still wait; 0 if they may try now."""
        return max(map(self._wait, subjects), default=0.0)

    def begin(self, subjects: Sequence[str]) -> None:
        """Count an attempt as failed before it is checked, so that many at once are many."""
        now = monotonic()
        for one in subjects:
            before = self._failures.pop(one, None)
            if before is None or now - before.last > FORGOTTEN_SECONDS:
                before = _Failures(0, now)
            self._failures[one] = _Failures(before.count + 1, now)
            if len(self._failures) > REMEMBERED:
                self._failures.popitem(last=False)

    def succeed(self, subjects: Sequence[str]) -> None:
        for one in subjects:
            self._failures.pop(one, None)

    def _wait(self, subject: str) -> float:
        found = self._failures.get(subject)
        if found is None or found.count < FREE:
            return 0.0
        pause = min(2.0 ** (found.count - FREE), LONGEST_SECONDS)
        return max(0.0, found.last + pause - monotonic())
