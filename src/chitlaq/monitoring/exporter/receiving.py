"""Whether the receiver of the WAL receives: its connection outlives one that hangs."""

from __future__ import annotations

STILL_SECONDS = 30.0
"""pg_receivewal says every ten seconds how far it is."""


class Receiving:
    """What is remembered of a receiver from look to look."""

    def __init__(self) -> None:
        self._position: float | None = None
        self._is_behind = False
        self._since = 0.0

    def is_still(self, position: float | None, behind_bytes: float | None, now: float) -> bool:
        """Whether nothing has arrived for long of what PostgreSQL has written meanwhile.

        Args:
            position: up to where it has received, in bytes; None if it has not said so yet.
            behind_bytes: how much more PostgreSQL has written.
            now: seconds of any clock that does not go back.
        """
        if position != self._position or not (self._is_behind and behind_bytes):
            self._position, self._since = position, now
        self._is_behind = bool(behind_bytes)
        return now - self._since > STILL_SECONDS
