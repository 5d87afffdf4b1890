"""How many frames and bytes clients may send, as time passes."""

from __future__ import annotations


class Budget:
    """So many frames, or so many bytes, each second; after a rest, those of `burst_seconds` at once.

    Args:
        frames: each second.
        size: bytes each second.
    """

    burst_seconds = 2.0

    def __init__(self, frames: float, size: float) -> None:
        self._frames = frames
        self._size = size
        self._used_until = 0.0

    def spend(self, now: float, frames: float, size: int, longest: float) -> float:
        """Take what frames cost, and return the seconds until the budget is no longer overdrawn.

        The debt does not grow beyond ``longest`` seconds.
        """
        cost = frames / self._frames + size / self._size
        latest = now + self.burst_seconds + longest
        self._used_until = min(max(self._used_until, now) + cost, latest)
        return max(self._used_until - now - self.burst_seconds, 0.0)
