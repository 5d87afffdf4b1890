"""Keep incidents up to date while ops-service runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import (
    OpsDatabase,
    OpsDatabaseUnavailableError,
    Transaction,
)
from chitlaq.ops.incidents import following, joining, settling

POLL_SECONDS = 5.0
PAUSE_SECONDS = 1.0
"""What arrives so soon after a look at what arrived is looked at together: a storm takes a look a second."""

Time = Callable[[Transaction], datetime]

log = logs.get("incidents")


async def keep_forever(
    database: OpsDatabase, time: Time, arrived: asyncio.Event, changed: asyncio.Event
) -> None:
    """Look at once when alerts have arrived, and every few seconds for what a kill has left over."""
    while True:
        is_asked = arrived.is_set()
        arrived.clear()
        try:
            joined, is_changed = await keep(database, time)
            if is_changed:
                changed.set()
            if joined >= joining.MAX_AT_ONCE:
                arrived.set()
        except OpsDatabaseUnavailableError as error:
            log.error("incidents not updated", error=str(error))
        if is_asked:
            await asyncio.sleep(PAUSE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await arrived.wait()


async def keep(database: OpsDatabase, time: Time) -> tuple[int, bool]:
    """Let alerts join, do what others did with the same, and end what is over, in one transaction.

    So nobody is called of an incident that is new here and that somebody takes care of elsewhere.

    Args:
        time: returns what time it is, after deadlines have moved with a clock that was set.

    Returns:
        How many alerts joined, and whether anything changed.
    """

    def kept(transaction: Transaction) -> tuple[int, bool]:
        now = time(transaction)
        joined = joining.join(transaction, now)
        is_followed = following.follow(transaction, now)
        return joined, settling.settle(transaction, now) or is_followed or joined > 0

    return await database.transact(kept)
