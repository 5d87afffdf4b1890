"""The support queue's daily list: a P3 is no page, and is not forgotten either."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count, lasted
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.core.visible import one_line
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.escalation.planning import WITHOUT_PAGES, levels_of
from chitlaq.ops.lease.permission import ALONE, Permission, Turn
from chitlaq.ops.oncall import channels, current, overrides, rotations
from chitlaq.ops.oncall.roster import Person
from chitlaq.ops.schedule.scheduler import ATTEMPTS, STALE, last_due, parse, zone
from chitlaq.stack import commands

POLL_SECONDS = 30.0
NAME = "support-list"
"""Under this name it is claimed like a routine."""
LISTED = 50

log = logs.get("escalation")


async def send_forever(
    home: Home, settings: Settings, database: OpsDatabase, lease: Permission
) -> None:
    """Send the list each morning, until cancelled."""
    while settings.operations.scheduled:
        try:
            await send_if_due(home, settings, database, datetime.now(UTC), lease)
        except OperatorError as error:
            log.warning("list not sent", error=str(error))
        await asyncio.sleep(POLL_SECONDS)


async def send_if_due(
    home: Home,
    settings: Settings,
    database: OpsDatabase,
    now: datetime,
    lease: Permission = ALONE,
) -> None:
    """Send the list once after each morning's time.

    Raises:
        OperatorError: a setting is not valid, the database is not available, or nobody could be told.
    """
    operations = settings.operations
    due = last_due(parse("morning", operations.morning), now, zone(operations))
    await database.write(statement("begin_schedule", NAME, due, now))
    if await database.rows("finished_run", NAME, due):
        return
    turn = await lease.begin(NAME, due)
    if turn is Turn.DONE:
        await database.write(statement("finish_run", NAME, due, now, 0))
    if turn is not Turn.BEGUN:
        return
    claimed = await database.rows("claim_run", NAME, due, now, now - STALE, now + STALE)
    if not claimed:
        return
    rows = await database.rows("open_of_severity", WITHOUT_PAGES)
    if rows:
        roster = current.read(home, operations).roster
        standing_in = await overrides.listed(database, now)
        people = {
            person.id: person
            for level in levels_of(roster.policies[WITHOUT_PAGES], roster)
            for person in rotations.told(roster, standing_in, level, now)
        }
        failed = [
            person.id
            for person in people.values()
            if not await _told(settings, person, *_message(rows, now, home))
        ]
        if (failed or not people) and claimed[0]["attempts"] < ATTEMPTS:
            raise OperatorError(
                f"nobody could be told of the list: {', '.join(failed) or 'no support'}"
            )
    await database.write(statement("finish_run", NAME, due, datetime.now(UTC), 0))
    await lease.end(NAME, due)


async def _told(settings: Settings, person: Person, subject: str, text: str) -> bool:
    """Send to the first channel that takes it."""
    for channel in person.channels:
        try:
            await channels.send(channel, settings.smtp, subject, text)
        except OperatorError as error:
            log.warning("list not taken", person=person.id, channel=channel.name, said=str(error))
        else:
            return True
    return False


def _message(rows: Sequence[sqlite3.Row], now: datetime, home: Home) -> tuple[str, str]:
    lines = [
        f"{row['id']}: {one_line(row['title'])}, for"
        f" {lasted((now - datetime.fromisoformat(row['opened_at'])).total_seconds())}"
        for row in rows[:LISTED]
    ]
    if len(rows) > LISTED:
        lines.append(
            f"… and {len(rows) - LISTED} more: {commands.here('chitlaq incidents list', home)}"
        )
    subject = f"{count(len(rows), 'incident')} of severity {WITHOUT_PAGES} for support"
    lines += ["", f"Take one: {commands.here('chitlaq incidents ack N', home)}"]
    return subject, "\n".join([f"{subject}:", "", *lines])
