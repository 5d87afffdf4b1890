"""What a member chose: where and when they are told."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database
from chitlaq.services.websocket.notifications.channels import quiet_hours
from chitlaq.services.websocket.notifications.channels.schemas import (
    Channels,
    QuietHours,
    Rhythm,
    Settings,
)
from chitlaq.services.websocket.notifications.kinds import KINDS, Kind

EVERYWHERE = Channels()
NOWHERE = Channels(in_app=False, push=False, mail=False)

# A newer version may have stored more kinds.
_decoder = msgspec.json.Decoder(dict[str, Channels])


async def of_member(database: Database, member: UUID) -> Settings:
    """Return a member's settings, with every kind."""
    row = await database.row("notification_settings", member)
    if row is None:
        return Settings(kinds=dict.fromkeys(KINDS, EVERYWHERE))
    quiet = quiet_hours_of(row)
    return Settings(kinds_of(row), quiet, row["digest"], row["filter_strangers"])


async def change(
    database: Database, member: UUID, wanted: Settings, installation: tzinfo
) -> Settings:
    """Store a member's settings and return them, with every kind.

    Args:
        installation: the time zone of a member who names none.
    """
    quiet = wanted.quiet_hours
    where = quiet_hours.zone(quiet.time_zone) if quiet else installation
    begins, ends = quiet.times if quiet else (None, None)
    said = {kind: channels for kind, channels in wanted.kinds.items() if channels != EVERYWHERE}
    async with database.session() as session:
        await session.execute(
            "change_notification_settings",
            member,
            msgspec.json.encode(said).decode(),
            begins,
            ends,
            quiet.time_zone if quiet else None,
            wanted.digest,
            wanted.filter_strangers,
            next_digest(datetime.now(UTC), wanted.digest, where),
        )
    return await of_member(database, member)


def next_digest(now: datetime, rhythm: Rhythm, where: tzinfo) -> datetime | None:
    """Return when the next digest is due, if there is one."""
    return None if rhythm == "off" else quiet_hours.next_morning(now, rhythm, where)


def kinds_of(row: Any) -> Mapping[Kind, Channels]:
    """Return where each kind is told, from a row with ``kinds``, which is null for who said nothing."""
    said = _decoder.decode(row["kinds"] or "{}")
    told = {kind: said.get(kind, EVERYWHERE) for kind in KINDS}
    return {kind: channels if channels.in_app else NOWHERE for kind, channels in told.items()}


def quiet_hours_of(row: Any) -> QuietHours | None:
    """Return the quiet hours in a row with ``quiet_from``, ``quiet_until`` and ``time_zone``.

    None also for a time zone that this machine does not know any more.
    """
    if row["time_zone"] is None:
        return None
    begins, ends = f"{row['quiet_from']:%H:%M}", f"{row['quiet_until']:%H:%M}"
    with suppress(ValueError):
        return QuietHours(begins, ends, row["time_zone"])
    return None
