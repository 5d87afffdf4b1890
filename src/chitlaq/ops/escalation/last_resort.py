"""Tell whoever is on call what the operations database cannot hold: without it there is no escalation.

A full disk keeps alerts out of it, which wait in memory meanwhile and open no incident; a dead one keeps out
everything. What was told is remembered by this process alone, so a restart tells it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.history import alert_history
from chitlaq.ops.oncall import channels, rotations
from chitlaq.ops.oncall.roster import ON_CALL, Roster
from chitlaq.stack import commands

PATIENCE_SECONDS = 30.0
AGAIN_SECONDS = 3600.0
PAUSE_SECONDS = 120.0
"""Between two messages, if there are other alerts than those that were told."""
LISTED = 8

log = logs.get("escalation")


class LastResort:
    """What one process has told without the database."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._since: float | None = None
        self._told_at: float | None = None
        self._told: set[str] = set()

    async def look(self, roster: Roster, fault: str = "") -> bool:
        """Tell what is to be told, and return whether the database holds everything.

        Args:
            roster: who is on call; without overrides, which are in the database.
            fault: why the database does not work, or an empty string.
        """
        # A full disk can still be read, so nothing else has failed.
        alerts = await asyncio.to_thread(alert_history.waiting, self._home)
        if not fault and not alerts:
            self._since = self._told_at = None
            self._told.clear()
            return True
        now = monotonic()
        self._since = self._since or now
        pause = AGAIN_SECONDS if self._told.issuperset(map(_name, alerts)) else PAUSE_SECONDS
        is_time = self._told_at is None or now - self._told_at >= pause
        if now - self._since >= PATIENCE_SECONDS and is_time:
            self._told_at = now
            self._told |= set(map(_name, alerts))
            await self._tell(roster, fault, alerts)
        return False

    async def _tell(self, roster: Roster, fault: str, alerts: Sequence[str]) -> None:
        subject = "P0: incidents are not escalated: the operations database does not work"
        lines = [fault] if fault else []
        if alerts:
            lines += ["The disk takes no more. These alerts open no incident:", *alerts[:LISTED]]
        if len(alerts) > LISTED:
            lines.append(f"… and {len(alerts) - LISTED} more")
        lines += [
            "",
            "Nobody is told of incidents until it works again. Look at the disk (`df -h`), and at",
            f"`{commands.here('chitlaq alerts --active', self._home)}`. This is repeated each hour.",
        ]
        for person in rotations.told(roster, [], ON_CALL, datetime.now(UTC)):
            for channel in person.channels:
                try:
                    await channels.send(channel, self._settings.smtp, subject, "\n".join(lines))
                except OperatorError as error:
                    log.error(
                        "page failed", person=person.id, channel=channel.name, said=str(error)
                    )


def _name(alert: str) -> str:
    """Return severity and name of an alert without its summary, whose figures change."""
    return alert.partition(":")[0]
