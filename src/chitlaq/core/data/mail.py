"""Transactional outbox: inserted with the caller's transaction, retried until SMTP accepts.

``mail.messages`` is the outbox and, where no SMTP server is configured, the mailbox; sending is a job.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import aiosmtplib
import msgspec

from chitlaq.core import ids
from chitlaq.core.data import jobs
from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.installation.settings import Smtp
from chitlaq.core.telemetry import logs


class SendMail(msgspec.Struct, frozen=True):
    message_id: UUID


SEND_MAIL = JobKind(
    "send_mail",
    SendMail,
    timeout_seconds=30.0,
    limit=2,
    first_pause_seconds=10.0,
    # Five days of attempts (RFC 5321, 4.5.4.1).
    max_attempts=128,
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one address; ``links`` are those a reader is asked to open."""

    to_address: str
    subject: str
    text: str
    html: str
    links: list[str]


async def put(session: Session, mail: Mail) -> None:
    """Write a mail, and the job that sends it, in the caller's transaction."""
    message_id = ids.new()
    await session.execute(
        "put_mail",
        message_id,
        mail.to_address,
        mail.subject,
        mail.text,
        mail.html,
        mail.links,
        logs.request_id(),
    )
    await jobs.enqueue(session, SEND_MAIL, SendMail(message_id))


def sender(database: Database, smtp: Smtp) -> Handler[SendMail]:
    """Return a handler that sends mails through a server.

    A mail whose connection broke after the server took it is sent twice rather than not at all.
    """

    async def send(job: Job, payload: SendMail) -> None:
        row = await database.row("mail_to_send", payload.message_id)
        if row is None:
            return
        await _send(smtp, row)
        async with job.completing() as session:
            await session.execute("forget_sent_mail", payload.message_id)

    return Handler(SEND_MAIL, send)


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
