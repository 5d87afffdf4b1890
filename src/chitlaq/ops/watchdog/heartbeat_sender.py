"""The heartbeat that something outside expects: it stops when alerts no longer arrive here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus

from chitlaq.core.host import http_client
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import OpsDatabase, OpsDatabaseUnavailableError, statement
from chitlaq.ops.lease.permission import ALONE, Permission
from chitlaq.ops.watchdog.alert_path import AlertPath

EVERY_SECONDS = 60.0
LOOKS_EVERY_SECONDS = 1.0
ASK_SECONDS = 10.0
SENDER = "operations.heartbeat_url"
"""Under this name the last heartbeat is among the messages of channels."""
CHANNEL = "heartbeat"

log = logs.get("heartbeat")


async def send_forever(
    database: OpsDatabase, settings: Settings, path: AlertPath, lease: Permission = ALONE
) -> None:
    """Ask the URL, if there is one, every minute while alerts arrive and people are told of them here."""
    url = settings.operations.heartbeat_url.reveal()
    while url:
        if not (path.works and lease.may_alert):
            await asyncio.sleep(LOOKS_EVERY_SECONDS)
            continue
        outcome, said = await ask(url)
        if outcome == "failed":
            log.error("heartbeat not accepted", said=said)
        try:
            await database.write(
                statement("keep_delivery", SENDER, CHANNEL, datetime.now(UTC), outcome, said)
            )
        except OpsDatabaseUnavailableError as error:
            log.warning("heartbeat not noted", error=str(error))
        await asyncio.sleep(EVERY_SECONDS)


async def ask(url: str) -> tuple[str, str]:
    """Ask the URL once, and return the outcome and what came back, without the URL."""
    try:
        answer = await http_client.get(url, timeout_seconds=ASK_SECONDS)
    except http_client.NoAnswerError as error:
        # Its message names the URL, which contains a token.
        why = type(error.__cause__).__name__ if error.__cause__ else f"within {ASK_SECONDS:g} s"
        return "failed", f"no answer ({why})"
    return ("sent" if answer.status < HTTPStatus.MULTIPLE_CHOICES else "failed"), (
        f"status {answer.status}"
    )
