"""Heartbeats of others that are expected here: whoever falls silent is an incident."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import duration
from chitlaq.core.telemetry import logs
from chitlaq.core.visible import is_one_line
from chitlaq.ops.actions import record
from chitlaq.ops.database.database import (
    OpsDatabase,
    OpsDatabaseUnavailableError,
    Transaction,
    statement,
)
from chitlaq.ops.watchdog import own_alerts
from chitlaq.ops.watchdog.own_alerts import OwnAlert

LOOKS_EVERY_SECONDS = 2.0
# After a start the sender gets at least this long, whatever the clocks say.
LEAST_PATIENCE_SECONDS = 90.0
_KEY = "heartbeat:"

log = logs.get("heartbeat")


class Heartbeat(msgspec.Struct, frozen=True):
    """A heartbeat that is expected; ``last_at`` is null before the first."""

    name: str
    within_seconds: int
    made_at: datetime
    last_at: datetime | None


async def expect(database: OpsDatabase, name: str, within: timedelta, operator: str) -> str:
    """Expect a heartbeat, and return the new token of whoever sends it.

    Raises:
        OperatorError: the name or the time is not possible.
    """
    if not name.strip() or len(name) > 100 or not is_one_line(name):
        raise OperatorError("A heartbeat's name is one line of up to 100 characters.")
    token = secrets.token_urlsafe(24)
    seconds = round(within.total_seconds())
    await database.write(
        statement("expect_heartbeat", name, hashed(token), seconds, datetime.now(UTC)),
        record.done("heartbeat expect", name, operator, output=f"within {duration(seconds)}"),
    )
    return token


async def forget(database: OpsDatabase, name: str, operator: str) -> None:
    """Expect a heartbeat no longer.

    Raises:
        OperatorError: it was not expected.
    """

    def forgotten(transaction: Transaction) -> None:
        if not transaction.rows("forget_heartbeat", name):
            raise OperatorError(
                f"No heartbeat {name} is expected: `chitlaq heartbeat list` shows all."
            )
        transaction.write(record.done("heartbeat forget", name, operator))

    await database.transact(forgotten)


async def listed(database: OpsDatabase) -> list[Heartbeat]:
    """Return the heartbeats that are expected."""
    rows = await database.rows("expected_heartbeats")
    return msgspec.convert(list(map(dict, rows)), list[Heartbeat], strict=False)


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Listener:
    """Takes heartbeats and knows, by a clock that is never set, since when each is silent."""

    def __init__(self, database: OpsDatabase) -> None:
        self._database = database
        self._heard_at: dict[str, float] = {}

    async def take(self, token: str) -> bool:
        """Take a heartbeat; return whether it is one that is expected.

        Raises:
            OpsDatabaseUnavailableError: that cannot be known.
        """
        rows = await self._database.rows("heartbeat_came", hashed(token), datetime.now(UTC))
        for row in rows:
            self._heard_at[row["name"]] = monotonic()
        return bool(rows)

    async def look(self) -> bool:
        """Raise and end alerts, and return whether any changed."""
        firing = await own_alerts.firing(self._database)
        now, changed = datetime.now(UTC), False
        expected = await listed(self._database)
        for one in expected:
            since = firing.get(_KEY + one.name)
            is_silent = self._silent_seconds(one, now) > one.within_seconds
            if is_silent and since is None:
                log.error("heartbeat is missing", name=one.name)
                await own_alerts.report(self._database, _alert(one), now)
                changed = True
            elif since is not None and not is_silent:
                await own_alerts.report(self._database, _alert(one), since, now)
                changed = True
        for key, since in firing.items():
            if key.startswith(_KEY) and key.removeprefix(_KEY) not in {
                one.name for one in expected
            }:
                gone = Heartbeat(key.removeprefix(_KEY), 1, since, None)
                await own_alerts.report(self._database, _alert(gone), since, now)
                changed = True
        return changed

    def _silent_seconds(self, one: Heartbeat, now: datetime) -> float:
        if one.name not in self._heard_at:
            # By the wall clock once, at the start; it may have been set meanwhile.
            silent = (now - (one.last_at or one.made_at)).total_seconds()
            most = max(0.0, one.within_seconds - LEAST_PATIENCE_SECONDS)
            self._heard_at[one.name] = monotonic() - min(max(0.0, silent), most)
        return monotonic() - self._heard_at[one.name]


async def look_forever(listener: Listener, changed: Callable[[], None]) -> None:
    """Raise what falls silent until cancelled."""
    while True:
        try:
            if await listener.look():
                changed()
        except (OpsDatabaseUnavailableError, OSError) as error:
            log.error("heartbeats not judged", error=str(error))
        await asyncio.sleep(LOOKS_EVERY_SECONDS)


def _alert(one: Heartbeat) -> OwnAlert:
    return OwnAlert(
        _KEY + one.name,
        "HeartbeatMissing",
        "P0",
        f"{one.name} has sent no heartbeat for {duration(one.within_seconds)}: it is down, or its alerts do"
        " not arrive.",
        "Service Outage Response",
        {"family": "HeartbeatMissing", "component": f"heartbeat {one.name}"},
    )
