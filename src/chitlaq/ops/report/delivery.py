"""Deliver a report: by mail, and by any service that Apprise supports."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core import ids
from chitlaq.core.addresses import checked
from chitlaq.core.data import mail
from chitlaq.core.data.mail import Mail
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.installation.secret_values import Secret
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.core.visible import one_line
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.oncall import channels

NOTIFY_SECONDS = 20.0

log = logs.get("delivery")


async def deliver(
    database: OpsDatabase, mails: Database, settings: Settings, subject: str, text: str, html: str
) -> list[str]:
    """Send a report to every recipient in the settings, and return one line about each, or about none.

    A mail is queued: auth-service hands it to the mail server, at once or when that takes it.

    Args:
        database: keeps mails that the queue cannot take.
        mails: has the mail queue.
        settings: the recipients, and whether there is a mail server.
        subject: one line.
        text: in Markdown.
        html: the complete page.
    """
    server = settings.smtp.host
    said = [
        await _mail(
            database, mails, server, Mail(checked(address), one_line(subject), text, html, [])
        )
        for address in settings.operations.report_to
    ]
    said += [await _notify(url, subject, text) for url in settings.operations.notify]
    return said or ["not sent: operations.report_to and operations.notify name nobody"]


async def send_waiting(database: OpsDatabase, mails: Database) -> int:
    """Send the mails that wait for the queue, and return how many.

    Raises:
        OpsDatabaseUnavailableError: the waiting mails cannot be read.
    """
    sent = 0
    for row in await database.rows("waiting_mails"):
        if not await put(mails, msgspec.json.decode(row["record"], type=Mail), UUID(row["id"])):
            return sent
        await database.write(statement("drop_mail", row["id"]))
        sent += 1
    return sent


async def put(mails: Database, message: Mail, message_id: UUID) -> bool:
    """Hand a mail to the queue, once however often this is repeated; return whether the queue has it."""
    try:
        async with mails.transaction() as session:
            await mail.put_for_operator(session, message, message_id)
    except asyncpg.UniqueViolationError:
        return True
    except PostgresUnavailableError:
        return False
    except asyncpg.PostgresError as error:
        # Not the address: no log may contain a member's.
        log.error("mail not queued", mail=message_id, error=str(error))
        return False
    return True


async def queue(database: OpsDatabase, mails: Database, message: Mail) -> bool:
    """Hand a mail to the queue, or keep it until PostgreSQL is available; return whether the queue has it.

    Raises:
        OSError: the mail can be kept nowhere.
    """
    message_id = ids.new()
    if await put(mails, message, message_id):
        return True
    log.warning("mail waits for the queue", mail=message_id)
    record = msgspec.json.encode(message).decode()
    await database.keep(statement("keep_mail", message_id, record))
    return False


async def _mail(database: OpsDatabase, mails: Database, server: str, report: Mail) -> str:
    address = report.to_address
    try:
        is_queued = await queue(database, mails, report)
    except OSError as error:
        return (
            f"not mailed to {address}: PostgreSQL is unavailable, and the mail can be kept nowhere"
            f" ({error.strerror})"
        )
    if not is_queued:
        return f"not mailed to {address} yet: it is sent when PostgreSQL is available again"
    if not server:
        return (
            f"not mailed to {address}: no mail server is set (smtp.host). It is kept:"
            f" `chitlaq mail show --to {address}`"
        )
    return f"queued for {address}: `chitlaq mail list --to {address}` says when it was sent"


async def _notify(url: Secret, subject: str, text: str) -> str:
    # The part after the scheme is secret.
    name = url.reveal().partition("://")[0]
    try:
        await channels.notify(url, subject, text, is_markdown=True, timeout_seconds=NOTIFY_SECONDS)
    except channels.NotSentError as error:
        log.error("report not sent", service=name, said=str(error))
        return f"not sent to {name}: {error}"
    return f"sent to {name}"
