"""Keep the index of messages close behind what is sent."""

from __future__ import annotations

import asyncio

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs

BATCH = 200
"""Messages of one transaction; so many are also found without the index, of each conversation."""
PAUSE_SECONDS = 1.0
LATELY_SECONDS = 10.0
"""In which conversations that are looked at were written in."""
ALL_EVERY = 600
"""Rounds, after which all conversations are looked at."""

log = logs.get("messages")


async def index_forever(database: Database) -> None:
    """Index what was sent, every second; if there is more than a batch, the next one soon."""
    rounds = 0
    while True:
        pause = PAUSE_SECONDS
        try:
            lately = LATELY_SECONDS if rounds % ALL_EVERY else None
            if await database.value("index_messages", lately, BATCH) < BATCH:
                rounds += 1
            else:
                pause /= 20
        except PostgresUnavailableError as error:
            log.warning("messages wait for the database", error=str(error))
        await asyncio.sleep(pause)
