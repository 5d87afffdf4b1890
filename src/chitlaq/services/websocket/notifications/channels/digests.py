"""Digests: a mail in the morning about what is unread, daily or on Mondays, if there is something.

It says how many of what, and nothing of whom or of what they wrote: what may be read is decided when it is
read, and a mail stays for ever. The next digest counts what came after this one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import tzinfo
from uuid import UUID

import msgspec

from chitlaq.core.data import digests
from chitlaq.core.data.digests import MailDigest
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.notifications.channels import metrics, quiet_hours
from chitlaq.services.websocket.notifications.channels.settings import kinds_of, next_digest
from chitlaq.services.websocket.notifications.kinds import SECURITY

LOOK_SECONDS = 5.0
BATCH = 100

log = logs.get("digests")


async def send_forever(database: Database, installation: tzinfo) -> None:
    """Ask for the digests that are due, while the process runs; those of a service share them."""
    while True:
        try:
            while await send_due(database, installation) == BATCH:
                pass
        except PostgresUnavailableError as error:
            log.warning("digests wait for the database", error=str(error))
        await asyncio.sleep(LOOK_SECONDS)


async def send_due(database: Database, installation: tzinfo) -> int:
    """Ask for some of the digests that are due, and plan the next ones; return how many were due."""
    async with database.transaction() as session:
        rows = await session.rows("due_digests", BATCH)
        wanted = []
        for row in rows:
            told = kinds_of(row)
            found = msgspec.json.decode(row["counts"] or "{}", type=dict[str, int])
            counts: dict[str, int] = {
                kind: found[kind]
                for kind, channels in told.items()
                if channels.mail and kind not in SECURITY and kind in found
            }
            if counts:
                wanted.append(MailDigest(row["account_id"], counts, row["unsubscribe_token"]))
        await session.execute(
            "plan_digests",
            [row["account_id"] for row in rows],
            # By the clock that says what is due: by another one, it might be due again at once.
            [
                next_digest(row["now"], row["digest"], _zone(row["time_zone"], installation))
                for row in rows
            ],
        )
        await session.execute(
            "enqueue_digests",
            digests.MAIL_DIGEST.name,
            [msgspec.json.encode(one).decode() for one in wanted],
            logs.request_id(),
        )
    metrics.DIGESTS.labels("sent").inc(len(wanted))
    metrics.DIGESTS.labels("empty").inc(len(rows) - len(wanted))
    return len(rows)


async def end(database: Database, token: str) -> bool:
    """End the digests of whoever has this token in a mail; return whether there is one."""
    try:
        known = UUID(token)
    except ValueError:
        return False
    async with database.session() as session:
        return bool(await session.execute("end_digests", known))


def _zone(name: str | None, installation: tzinfo) -> tzinfo:
    with suppress(ValueError):
        return quiet_hours.zone(name) if name else installation
    return installation
