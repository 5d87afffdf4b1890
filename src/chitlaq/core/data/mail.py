"""Transactional outbox: inserted with the caller's transaction, retried until SMTP accepts.

``mail.messages`` is the outbox and, where no SMTP server is configured, the mailbox; sending is a job.
"""

from __future__ import annotations

import asyncio
import math
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import TypedDict, cast
from uuid import UUID

import aiosmtplib
import msgspec

from chitlaq.core import addresses, ids
from chitlaq.core.data import jobs
from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.installation.settings import Smtp
from chitlaq.core.telemetry import logs, metrics
from chitlaq.core.visible import is_one_line

LONGEST_NAME = 50
LONGEST_NAME_WORDS = 4
LONGEST_URL = 900
UNSUBSCRIBE = "List-Unsubscribe"

STEP_SECONDS = 30.0
# A server that is given up while it still examines a mail delivers it, and gets it again
# (RFC 5321, 4.5.3.2.6).
VERDICT_SECONDS = 600.0
QUIT_SECONDS = 1.0


class SendMail(msgspec.Struct, frozen=True):
    message_id: UUID


SEND_MAIL = JobKind(
    "send_mail",
    SendMail,
    timeout_seconds=900.0,
    # So many that those which a server keeps waiting hold up no other.
    limit=8,
    first_pause_seconds=10.0,
    # Five days of attempts (RFC 5321, 4.5.4.1).
    max_attempts=128,
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one address; ``links`` are those a reader is asked to open.

    Args:
        unsubscribe: for what somebody subscribed to: the address at which a POST ends it (RFC 8058).

    Raises:
        ValueError: the address is none that we write to, or the subject is not one line.
    """

    to_address: str
    subject: str
    text: str
    html: str
    links: list[str]
    unsubscribe: str = ""

    def __post_init__(self) -> None:
        if addresses.checked(self.to_address) != self.to_address:
            raise ValueError("the address of a mail must be checked first")
        if not is_one_line(self.subject):
            raise ValueError("the subject of a mail must be one line")
        if not re.fullmatch(rf"(https?://[!-;=?-~]{{1,{LONGEST_URL}}})?", self.unsubscribe):
            raise ValueError("the address that ends a subscription must be a URL of one line")


class MailRefusedError(Exception):
    """The mail server did not take a mail; the message says why."""


class WrongRecipientError(Exception):
    """A message names another recipient than the one it is for."""


class TooManyMailsError(Exception):
    """An address has been sent as many mails as it may get."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many mails to one address: wait {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


async def put(session: Session, mail: Mail, *, most_per_hour: int) -> None:
    """Write a mail, and the job that sends it, in the caller's transaction.

    The limit is what its recipient bears, whatever route, process or stranger causes it. It is counted
    in PostgreSQL, where the mails are, so it holds without Valkey. ``name+anything@`` is ``name@``. Each
    subject has its own: whoever causes one kind of mail must not keep a new password from anybody.

    Raises:
        TooManyMailsError: with this mail there would be more of its subject within an hour; nothing was
            written.
    """
    await session.execute("lock_mailbox", mail.to_address)
    sent = await session.row("mails_within_an_hour", mail.to_address, most_per_hour, mail.subject)
    if sent is not None:
        raise TooManyMailsError(max(1, math.ceil(sent["seconds_left"])))
    await put_for_operator(session, mail)


async def put_for_operator(session: Session, mail: Mail, message_id: UUID | None = None) -> None:
    """Write a mail without a limit, and the job that sends it: to an address in the settings, or to one
    whose owner asked for it.

    Args:
        message_id: by which it is written once, however often this is repeated.

    Raises:
        asyncpg.UniqueViolationError: a mail with this id was written before.
    """
    message_id = message_id or ids.new()
    await session.execute(
        "put_mail",
        message_id,
        mail.to_address,
        mail.subject,
        mail.text,
        mail.html,
        mail.links,
        logs.request_id(),
        mail.unsubscribe,
    )
    await jobs.enqueue(session, SEND_MAIL, SendMail(message_id))


def safe_name(name: str) -> str:
    """Return what a mail may say of a name that a stranger chose, or nothing.

    Words of letters, with hyphens, apostrophes and a full stop at their end: nothing that a mail program
    makes a link of, no number to call, no sentence of its own.
    """
    words = unicodedata.normalize("NFC", name).split()
    joined = " ".join(words)
    is_safe = (
        len(words) <= LONGEST_NAME_WORDS
        and len(joined) <= LONGEST_NAME
        and all(map(_is_word_of_letters, words))
    )
    return joined if is_safe else ""


def _is_word_of_letters(word: str) -> bool:
    parts = re.split("['\u2019-]", word.removesuffix("."))
    return all(parts) and all(unicodedata.category(one)[0] in "LM" for one in "".join(parts))


def sender(database: Database, smtp: Smtp) -> Handler[SendMail]:
    """Return a handler that sends mails through a server.

    A mail whose connection broke after the server took it is sent twice rather than not at all.
    """

    async def send(job: Job, payload: SendMail) -> None:
        row = await database.row("mail_to_send", payload.message_id)
        if row is None:
            return
        await _send(smtp, cast(OutgoingMail, row))
        async with job.completing() as session:
            await session.execute("forget_sent_mail", payload.message_id)

    return Handler(SEND_MAIL, send)


async def send_at_once(
    smtp: Smtp, mail: Mail, message_id: UUID, created_at: datetime, timeout_seconds: float
) -> None:
    """Send a mail without the outbox, once: what must leave while PostgreSQL is down.

    Raises:
        MailRefusedError: the server did not take it, or not in time.
    """
    row: OutgoingMail = {
        "id": message_id,
        "to_address": mail.to_address,
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "unsubscribe": mail.unsubscribe,
        "created_at": created_at,
    }
    try:
        async with asyncio.timeout(timeout_seconds):
            await _send(smtp, row)
    except TimeoutError:
        raise MailRefusedError(f"no answer within {timeout_seconds:g} s") from None
    except (OSError, WrongRecipientError) as error:
        raise MailRefusedError(str(error)) from None


async def require_server(smtp: Smtp, timeout_seconds: float) -> None:
    """Make sure that the mail server lets us in and takes mails of our sender, without sending one.

    Raises:
        MailRefusedError: it does not, or not in time; the message says at which step.
    """
    server = _client(smtp, timeout_seconds)
    step = "connect"
    try:
        async with asyncio.timeout(timeout_seconds):
            await server.connect()
            step = "take our sender"
            await server.mail(addresses.split_name(smtp.sender)[1])
            with suppress(aiosmtplib.SMTPException):
                await server.quit(timeout=QUIT_SECONDS)
    except TimeoutError:
        said = f"no answer within {timeout_seconds:g} s"
    except (aiosmtplib.SMTPException, OSError) as error:
        said = _said(error) or type(error).__name__
    else:
        return
    finally:
        server.close()
    raise MailRefusedError(f"{smtp.host}:{smtp.port} does not {step}: {said}")


def _client(smtp: Smtp, timeout_seconds: float) -> aiosmtplib.SMTP:
    """Return a client whose every step has this long."""
    return aiosmtplib.SMTP(
        hostname=smtp.host,
        port=smtp.port,
        username=smtp.username or None,
        password=smtp.password.reveal() or None,
        start_tls=smtp.start_tls,
        timeout=timeout_seconds,
    )


class OutgoingMail(TypedDict):
    """A row of `mail_to_send`."""

    id: UUID
    to_address: str
    subject: str
    text: str
    html: str
    unsubscribe: str
    created_at: datetime


async def _send(smtp: Smtp, row: OutgoingMail) -> None:
    """Send one mail to the address in its row, and to no other.

    Raises:
        WrongRecipientError: the message would name somebody else; nothing was sent.
        MailRefusedError: the server did not take it.
    """
    name, from_address = addresses.split_name(smtp.sender)
    content = _message(row, name, from_address).as_bytes()
    # What leaves is compared with what was validated, as a reader's program would take it.
    named = message_from_bytes(content, policy=policy.SMTP)
    if _addresses(named, "To") != [row["to_address"]] or _addresses(named, "From") != [
        from_address
    ]:
        raise WrongRecipientError("the message would name another address than it is for")
    server = _client(smtp, STEP_SECONDS)
    try:
        await server.connect()
        await server.mail(from_address)
        await server.rcpt(row["to_address"])
        await server.data(content, timeout=VERDICT_SECONDS)
        # It has the mail: whether it also takes its leave is all the same.
        with suppress(aiosmtplib.SMTPException):
            await server.quit(timeout=QUIT_SECONDS)
    except (aiosmtplib.SMTPException, OSError) as error:
        metrics.MAILS.labels(_result(error)).inc()
        said = _without(row["to_address"], _said(error))
        raise MailRefusedError(f"{type(error).__name__}: {said}") from None
    finally:
        server.close()
    metrics.MAILS.labels("sent").inc()


def _result(error: Exception) -> str:
    """Why a mail was not sent, as in the metric."""
    # Of what the client itself found wrong, the code is negative.
    code = error.code if isinstance(error, aiosmtplib.SMTPResponseException) else 0
    if code <= 0:
        return "unreachable"
    return "deferred" if code < 500 else "refused"


def _said(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        # Of what the client itself found wrong, the code is negative.
        code = f"{error.code} " if error.code > 0 else ""
        return code + " ".join(error.message.split())
    return str(error)


def _without(address: str, said: str) -> str:
    """Hide a recipient in what a server says: it repeats the address, in any case, or its local part."""
    local_part = address.rpartition("@")[0]
    for hidden in (re.escape(address), rf"(?<![\w.+-]){re.escape(local_part)}(?![\w.+-])"):
        said = re.sub(hidden, "the recipient", said, flags=re.IGNORECASE)
    return said


class _Unfolded(policy.EmailPolicy):
    """As `policy.SMTP`, which would write a long URL as encoded words, and no program would find it there.

    A line may have 998 characters (RFC 5322, 2.1.1).
    """

    def fold(self, name: str, value: str) -> str:
        return (
            f"{name}: {value}{self.linesep}" if name == UNSUBSCRIBE else super().fold(name, value)
        )

    def fold_binary(self, name: str, value: str) -> bytes:
        is_url = name == UNSUBSCRIBE
        return self.fold(name, value).encode() if is_url else super().fold_binary(name, value)


def _message(row: OutgoingMail, sender_name: str, from_address: str) -> EmailMessage:
    message = EmailMessage(_Unfolded(linesep=policy.SMTP.linesep))
    message["From"] = Address(sender_name, addr_spec=from_address)
    message["To"] = Address(addr_spec=row["to_address"])
    message["Subject"] = row["subject"]
    message["Date"] = row["created_at"]
    message["Message-ID"] = f"<{row['id']}@chitlaq>"
    if row["unsubscribe"]:
        message[UNSUBSCRIBE] = f"<{row['unsubscribe']}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message["Auto-Submitted"] = "auto-generated"
    message.set_content(row["text"])
    message.add_alternative(row["html"], subtype="html")
    return message


def _addresses(message: EmailMessage, header: str) -> list[str]:
    return [one.addr_spec for found in message.get_all(header, []) for one in found.addresses]
