"""When what is measured becomes what is shown: soon when it is worse, later when it is better.

What is shown is what is measured, held between two bounds: no better than the best of the last half
minute, which keeps out a single failed probe, and no worse than the worst of the last five minutes,
which keeps a fault that comes and goes from flickering.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from chitlaq.ops.statuspage.components import State

# A little less than a multiple of the interval, so that two and eleven measurements are enough.
WORSE_AFTER = timedelta(seconds=25)
BETTER_AFTER = timedelta(seconds=295)


class Hysteresis:
    """One component's state.

    Args:
        shown: what was shown before, also by another process.
    """

    def __init__(self, shown: State) -> None:
        self.shown = shown
        self._measured: deque[tuple[datetime, State]] = deque()

    def measured(self, state: State, at: datetime) -> State:
        """Take a measurement into account, and return what is shown from now on."""
        if self._measured and at < self._measured[-1][0]:
            # The clock was set back: what was measured by the other time says nothing.
            self._measured.clear()
        self._measured.append((at, state))
        # One measurement from before the window shows that the whole window was watched.
        while len(self._measured) > 1 and self._measured[1][0] <= at - BETTER_AFTER:
            self._measured.popleft()
        best = self._within(at - WORSE_AFTER)
        worst = self._within(at - BETTER_AFTER)
        if best and (least := min(best, key=lambda one: one.rank)).rank > self.shown.rank:
            self.shown = least
        elif worst and (most := max(worst, key=lambda one: one.rank)).rank < self.shown.rank:
            self.shown = most
        return self.shown

    def _within(self, since: datetime) -> list[State]:
        """Return what was measured in a window, and the state at its begin; nothing if it is not covered."""
        if self._measured[0][0] > since:
            return []
        before = [state for at, state in self._measured if at <= since]
        return [before[-1], *(state for at, state in self._measured if at > since)]
