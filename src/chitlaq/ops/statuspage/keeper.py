"""What ops-service does for the status page: it measures, counts, writes, copies and sends."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.statuspage import automatic, bars, copies, current, measuring, site, snapshot
from chitlaq.ops.statuspage.components import COMPONENTS, State
from chitlaq.ops.statuspage.hysteresis import Hysteresis
from chitlaq.ops.statuspage.snapshot import Snapshot
from chitlaq.ops.statuspage.subscriptions import Subscriptions

EVERY_SECONDS = 30.0
SEND_SECONDS = 5.0

log = logs.get("statuspage")


class Keeper:
    """Keeps the page true. One process does so at a time."""

    def __init__(self, home: Home, settings: Settings, database: OpsDatabase) -> None:
        self._home = home
        self._settings = settings
        self._database = database
        self._held: dict[str, Hysteresis] = {}
        self._counter = bars.Counter(snapshot.zone(settings))
        self._copied = _Copied()

    async def run_forever(self) -> None:
        """Measure and write the page every half minute."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await self.turn()
            except (OperatorError, OSError) as error:
                log.error("the status page was not written", error=str(error))
            await asyncio.sleep(max(1.0, EVERY_SECONDS - (loop.time() - started)))

    async def turn(self) -> Snapshot:
        """Measure once, count the time since the last turn, and write the page.

        Raises:
            OperatorError, OSError: the page could not be written.
        """
        alerts = [
            msgspec.json.decode(row["labels"], type=dict[str, str])
            for row in await self._database.rows("alerts_on_members")
        ]
        found = await measuring.measured(self._home, self._settings, alerts)
        now = datetime.now(UTC)
        await self._remember(found, now)
        shown = await current.components(self._database, now)
        states = {one.id: one.state for one in shown}
        await self._database.keep(*await self._counter.count(self._database, states, now))
        if self._settings.statuspage.automatic:
            await automatic.publish(self._database, shown)
        said = await site.write(self._home, self._settings, self._database)
        await self._copy(said)
        return said

    async def _remember(self, found: Mapping[str, State], now: datetime) -> None:
        """Pass what is measured through hysteresis, and keep what comes out."""
        if not self._held:
            known = await self._database.rows("component_states")
            before = {row["component"]: State(row["state"]) for row in known}
            self._held = {
                name: Hysteresis(before.get(name, State.OPERATIONAL)) for name in COMPONENTS
            }
        await self._database.keep(
            *(
                statement("keep_component_state", name, self._held[name].measured(state, now), now)
                for name, state in found.items()
            )
        )

    async def _copy(self, said: Snapshot) -> None:
        target = self._settings.statuspage.copy_to
        if target and self._copied.is_due(said):
            try:
                await asyncio.to_thread(
                    copies.export, self._settings, target, site.copied(said, self._settings)
                )
            except OperatorError as error:
                log.error("the status page was not copied", error=str(error))
            else:
                self._copied.note(said)


class _Copied:
    """What the last copy said, and when it was made."""

    def __init__(self) -> None:
        self._digest = b""
        self._at: datetime | None = None

    def is_due(self, said: Snapshot) -> bool:
        age = timedelta(minutes=site.COPIED_MINUTES)
        return (
            self._at is None
            or not timedelta() <= said.at - self._at < age
            or (_digest(said) != self._digest)
        )

    def note(self, said: Snapshot) -> None:
        self._digest, self._at = _digest(said), said.at


def _digest(said: Snapshot) -> bytes:
    """Return what differs when something has changed, other than the time."""
    lasting = (said.components, said.incidents, said.maintenances)
    return hashlib.sha256(msgspec.json.encode(lasting)).digest()


async def send_forever(subscriptions: Subscriptions) -> None:
    """Hand mails to subscribers to the mail queue as they come."""
    while True:
        try:
            if sent := await subscriptions.send_waiting():
                log.info("mails to subscribers queued", mails=sent)
            await subscriptions.tidy()
        except OperatorError as error:
            log.warning("mails to subscribers wait", error=str(error))
        await asyncio.sleep(SEND_SECONDS)
