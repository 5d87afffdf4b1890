"""Mail: written with the transaction that needs it, sent from the table until it went out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import aiosmtplib

from chitlaq.core.data.postgres import Database, PostgresUnavailableError, Session
from chitlaq.core.installation.settings import Smtp
from chitlaq.core.telemetry import logs, metrics

POLL_SECONDS = 5.0
SEND_SECONDS = 30.0

log = logs.get("mail")


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one address; ``links`` are those a reader is asked to open."""

    to_address: str
    subject: str
    text: str
    html: str
    links: list[str]


async def put(session: Session, mail: Mail) -> None:
    """Write a mail in the caller's transaction: it exists when the transaction does."""
    await session.execute(
        "put_mail",
        mail.to_address,
        mail.subject,
        mail.text,
        mail.html,
        mail.links,
        logs.request_id(),
    )


async def send_forever(database: Database, smtp: Smtp) -> None:
    """Send what waits in the table, oldest first, each again with growing pauses until it went out.

    A mail whose connection broke after the server took it is sent twice rather than not at all.
    """
    metrics.begin_at_zero(metrics.MAILS, ("sent",), ("failed",))
    while True:
        try:
            while await _send_one(database, smtp):
                pass
        except PostgresUnavailableError as error:
            log.warning("mail waits for the database", error=str(error))
        await asyncio.sleep(POLL_SECONDS)


async def _send_one(database: Database, smtp: Smtp) -> bool:
    async with database.transaction() as session:
        row = await session.row("claim_mail")
        if row is None:
            return False
        with logs.request_context(row["request_id"]):
            try:
                await asyncio.wait_for(_send(smtp, row), SEND_SECONDS)
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                metrics.MAILS.labels("failed").inc()
                log.warning("mail not sent", error=reason, attempts=row["attempts"] + 1)
                await session.execute("postpone_mail", row["id"], reason)
            else:
                metrics.MAILS.labels("sent").inc()
                await session.execute("finish_mail", row["id"])
        return True


async def _send(smtp: Smtp, row: Any) -> None:
    message = EmailMessage()
    message["From"] = smtp.sender
    message["To"] = row["to_address"]
    message["Subject"] = row["subject"]
    message["Message-ID"] = f"<{row['id']}@chitlaq>"
    message.set_content(row["text"])
    message.add_alternative(row["html"], subtype="html")
    await aiosmtplib.send(
        message,
        hostname=smtp.host,
        port=smtp.port,
        username=smtp.username or None,
        password=smtp.password or None,
        start_tls=smtp.start_tls,
    )
