"""ops-service shows moments in the time zone of those on call, wherever the server is."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

from chitlaq.core import local_time
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.oncall import current
from chitlaq.ops.schedule import scheduler

EVERY_SECONDS = 10.0

log = logs.get("oncall")


def use(home: Home, settings: Settings) -> None:
    """Show moments in the roster's time zone, or in that of `operations.timezone`, or in this machine's."""
    roster = current.read(home, settings.operations).roster
    try:
        found = (
            ZoneInfo(roster.timezone) if roster.timezone else scheduler.zone(settings.operations)
        )
    except OperatorError as error:
        log.error("times are shown in this machine's time zone", error=str(error))
        found = None
    local_time.use(found)


async def use_forever(home: Home, settings: Settings) -> None:
    """Use the roster's time zone, also when that changes."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        await asyncio.to_thread(use, home, settings)
