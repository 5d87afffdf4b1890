"""A command that ops-service has started under a lease ends itself when that is over.

ops-service cannot do it: it may be frozen, which is why the lease is over.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import asyncpg

from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.ops.lease.lease import LEASE_SECONDS, RENEW_SECONDS, elapsed

ROLE = "chitlaq_ops"
_FAULTS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def begin(text: str) -> None:
    """Look now, and then in a thread.

    Args:
        text: the epoch, and ``change`` or ``look``: who changes something stops also when nobody can show
            that the lease is still held.

    Raises:
        OperatorError: it is over already: ops-service was frozen before it started this.
    """
    epoch, kind = text.split()
    home = Home.from_environment()
    url = postgres.dsn(settings_loading.load(home), home, ROLE)
    guard = _Guard(url, int(epoch), is_change=kind == "change")
    if asyncio.run(guard.is_over()):
        raise OperatorError("Another ops-service holds the lease by now: nothing was done.")
    threading.Thread(target=lambda: asyncio.run(guard.watch()), daemon=True, name="lease").start()


class _Guard:
    def __init__(self, url: str, epoch: int, *, is_change: bool) -> None:
        self._url = url
        self._epoch = epoch
        self._is_change = is_change
        self._shown_at = elapsed()

    async def watch(self) -> None:
        is_over = False
        while not is_over:
            await asyncio.sleep(RENEW_SECONDS)
            is_over = await self.is_over()
        os.kill(os.getpid(), signal.SIGTERM)

    async def is_over(self) -> bool:
        try:
            async with postgres.connection(self._url) as connection:
                found = await connection.fetchrow(
                    "SELECT epoch, expires_at > clock_timestamp() AS is_held FROM ops.lease"
                )
        except _FAULTS:
            found = None
        if found is not None:
            if found["epoch"] != self._epoch:
                return True
            if found["is_held"]:
                self._shown_at = elapsed()
        return self._is_change and elapsed() - self._shown_at > LEASE_SECONDS
