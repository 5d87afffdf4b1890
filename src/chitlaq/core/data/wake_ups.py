"""Wake-ups: a process that runs jobs hears at once that there are new ones, and not when it looks next.

Whoever writes such a job says so over Valkey, after the commit. That is a hint: it may be lost, come twice,
or be about nothing, and PostgreSQL is polled all the same. `NOTIFY` would do it, too, but takes a lock over
the whole database at each commit (docs/decisions/0005-jobs.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from chitlaq.core.data import valkey
from chitlaq.core.data.valkey import Valkey

# However many jobs a process writes, it says so at most this often.
PAUSE_SECONDS = 0.1
RECONNECT_SECONDS = 0.5
_PREFIX = "chitlaq:jobs:"


class WakeUps:
    """What a process says, and hears, of new jobs."""

    def __init__(self, client: Valkey) -> None:
        self._client = client
        self._unsaid: set[str] = set()
        self._saying: asyncio.Task[None] | None = None

    def say(self, kinds: Iterable[str]) -> None:
        """Jobs of these kinds were committed. Nobody waits until that is said."""
        self._unsaid.update(kinds)
        if self._unsaid and self._saying is None:
            self._saying = asyncio.create_task(self._say())

    async def _say(self) -> None:
        try:
            while self._unsaid:
                kinds, self._unsaid = self._unsaid, set()
                # Without Valkey, the jobs are found by the next poll.
                with suppress(*valkey.UNAVAILABLE):
                    for kind in kinds:
                        await self._client.execute("SPUBLISH", _PREFIX + kind, b"")
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._saying = None

    async def listen_forever(self, kinds: Iterable[str], woken: asyncio.Event) -> None:
        """Set an event whenever there are new jobs of these kinds, and when some may have been missed."""
        channels = [_PREFIX + kind for kind in kinds]
        while True:
            # The connection's own log says that it is lost.
            with suppress(*valkey.UNAVAILABLE):
                async for _ in self._client.subscribed(*channels, ready=woken.set):
                    woken.set()
            await asyncio.sleep(RECONNECT_SECONDS)

    def close(self) -> None:
        """Say nothing more."""
        if self._saying is not None:
            self._saying.cancel()
