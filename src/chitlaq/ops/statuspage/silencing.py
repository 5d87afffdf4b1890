"""Keep Alertmanager silent about what announced work explains, while it goes on and no longer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.local_time import local
from chitlaq.core.telemetry import logs
from chitlaq.monitoring import alertmanager
from chitlaq.ops.actions import record, silences
from chitlaq.ops.actions.model import ActionContext
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.statuspage import maintenance
from chitlaq.ops.statuspage.maintenance import Maintenance

EVERY_SECONDS = 15.0

log = logs.get("maintenance")


async def silence_forever(database: OpsDatabase, home: Home, settings: Settings) -> None:
    """Make and end silences as announced, if there is an Alertmanager."""
    if not (settings.alertmanager_url or settings.embeds("alertmanager")):
        return
    while True:
        try:
            await silence(database, home, settings, datetime.now(UTC))
        except OperatorError as error:
            log.warning("silences of maintenance wait", error=str(error))
        await asyncio.sleep(EVERY_SECONDS)


async def silence(database: OpsDatabase, home: Home, settings: Settings, now: datetime) -> None:
    """Make the silences that are missing, and end those of work that was ended early.

    Raises:
        OperatorError: Alertmanager or the database is not available; the rest is tried again.
    """
    made = {
        (row["maintenance_id"], row["target"]): row["silence_id"]
        for row in await database.rows("maintenance_silences")
    }
    for work in await maintenance.listed(database, now - maintenance.ENDING):
        if work.covers(now):
            for target in maintenance.silenced(work.components):
                if (work.id, target) not in made:
                    await _begin(database, home, settings, work, target)
    for (number, target), identifier in made.items():
        work = await maintenance.shown(database, number)
        if not work.covers(now):
            await _end(database, home, settings, work, target, identifier)


async def _begin(
    database: OpsDatabase, home: Home, settings: Settings, work: Maintenance, target: str
) -> None:
    context = _context(home, settings, work)
    begun = record.begun("silence", target, context.operator, context.reason)
    ends_at = work.over_at + maintenance.ENDING
    conditions = [silences.condition(target)]
    # One that was made before a process was killed, which could not remember it.
    identifier = await silences.find(context, conditions) or await silences.create(
        context, conditions, ends_at
    )
    until = f"silenced until {local(ends_at):%Y-%m-%d %H:%M}: {identifier}"
    await database.write(
        statement("keep_maintenance_silence", work.id, target, identifier),
        record.storing(record.ended(begun, until, succeeded=True)),
    )


async def _end(
    database: OpsDatabase,
    home: Home,
    settings: Settings,
    work: Maintenance,
    target: str,
    identifier: str,
) -> None:
    over = [statement("drop_maintenance_silence", work.id, target)]
    if work.ended_at is not None:
        context = _context(home, settings, work)
        begun = record.begun("unsilence", identifier, context.operator, context.reason)
        # Alertmanager forgets silences some days after their end.
        with suppress(alertmanager.NotThereError):
            await silences.expire(context, identifier)
        done = record.ended(begun, f"{target} is no longer silenced", succeeded=True)
        over.append(record.storing(done))
    await database.write(*over)


def _context(home: Home, settings: Settings, work: Maintenance) -> ActionContext:
    return ActionContext(home, settings, work.made_by, f"maintenance {work.id}: {work.title}")
