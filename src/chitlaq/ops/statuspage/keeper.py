"""What ops-service does for the status page: it measures, counts, writes and sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.lease.permission import ALONE, Permission
from chitlaq.ops.statuspage import announcing, automatic, bars, current, measuring, site, snapshot
from chitlaq.ops.statuspage.components import COMPONENTS, State
from chitlaq.ops.statuspage.hysteresis import Hysteresis
from chitlaq.ops.statuspage.snapshot import Snapshot
from chitlaq.ops.statuspage.subscriptions import Subscriptions

EVERY_SECONDS = 30.0
SEND_SECONDS = 5.0

log = logs.get("statuspage")


class Keeper:
    """Keeps the page true. One process of an installation does so at a time.

    Args:
        home: the installation.
        settings: what is measured.
        database: the operations database.
        lease: of several, who publishes by itself.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        database: OpsDatabase,
        *,
        lease: Permission = ALONE,
    ) -> None:
        self._home = home
        self._settings = settings
        self._database = database
        self._lease = lease
        self._held: dict[str, Hysteresis] = {}
        self._counter = bars.Counter(snapshot.zone(settings))

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
            await automatic.publish(self._database, shown, acts=self._lease.may_alert)
        return await site.write(self._home, self._settings, self._database)

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


async def send_forever(
    database: OpsDatabase, subscriptions: Subscriptions, may_tell: Callable[[], bool]
) -> None:
    """Hand mails to subscribers to the mail queue as they come, those about announced work included.

    Args:
        database: the operations database.
        subscriptions: of whom.
        may_tell: whether this ops-service is the one that tells of announced work.
    """
    while True:
        try:
            if may_tell():
                await announcing.announce(database, datetime.now(UTC))
            if sent := await subscriptions.send_waiting():
                log.info("mails to subscribers queued", mails=sent)
            await subscriptions.tidy()
        except OperatorError as error:
            log.warning("mails to subscribers wait", error=str(error))
        await asyncio.sleep(SEND_SECONDS)
