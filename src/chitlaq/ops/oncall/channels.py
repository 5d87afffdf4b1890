"""Send one message through one channel, and say what came back; bounded in time, whatever it does.

Mail goes to the mail server at once: the queue is in PostgreSQL, which may be what is down. Everything
else is Apprise's. It takes 42 MB and a third of a second of CPU, so it runs in a process of its own, which
also ends what hangs.
"""

from __future__ import annotations

import html
import re
import sys
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from chitlaq.core import addresses, ids
from chitlaq.core.data import mail
from chitlaq.core.data.mail import Mail
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.core.installation.secret_values import Secret
from chitlaq.core.installation.settings import Smtp
from chitlaq.core.telemetry import logs
from chitlaq.core.visible import one_line
from chitlaq.ops.oncall.apprise_child import Answer, Message
from chitlaq.ops.oncall.roster import Channel

SEND_SECONDS = 15.0
"""For one message by one channel."""
LONGEST_SUBJECT = 200
# A mail address stays as it is, unless a service would find such a word within it.
_CALLING = re.compile(r"@(?=everyone|here|channel|all|room|\*)|(?<![\w.+-])@(?=\S)|<(?=users/)")
_LOOKS_LIKE = {"@": "\uff20", "<": "\uff1c"}
PROGRAM = ("-m", "chitlaq.ops.oncall.apprise_child")

log = logs.get("oncall")


class NotSentError(OperatorError):
    """A channel did not take a message; the reason contains no secret."""


async def send(
    channel: Channel,
    smtp: Smtp,
    subject: str,
    text: str,
    *,
    timeout_seconds: float = SEND_SECONDS,
    message_id: UUID | None = None,
) -> str:
    """Send a message, and return what came back.

    Args:
        channel: where to.
        smtp: the mail server, for a mail address.
        subject: one line.
        text: plain.
        timeout_seconds: after which it counts as not sent.
        message_id: of a mail: programs show two mails of one id once. By default a new one.

    Raises:
        NotSentError: it was not accepted, or not in time.
    """
    subject = one_line(subject)[:LONGEST_SUBJECT]
    try:
        if channel.is_mail:
            number = message_id or ids.new()
            return await _mail(channel, smtp, subject, text, number, timeout_seconds)
        return await notify(channel.url, subject, text, timeout_seconds=timeout_seconds)
    except NotSentError:
        raise
    except Exception as error:
        # Whatever it is, the next channel may work. What it says may name the URL.
        log.error("message not sent", channel=channel.name, fault=error)
        raise NotSentError(f"a fault of ChitLaq ({type(error).__name__})") from None


async def notify(
    url: Secret,
    subject: str,
    text: str,
    *,
    is_markdown: bool = False,
    timeout_seconds: float,
) -> str:
    """Send a message to a service of Apprise, and return what came back.

    Raises:
        NotSentError: it was not accepted, or not in time; the message names no part of the URL.
    """
    subject, text = _calling_nobody(subject), _calling_nobody(text)
    if not is_markdown:
        # Some read Markdown in every text: a link must show where it goes.
        subject, text = subject.replace("](", "] ("), text.replace("](", "] (")
    message = Message(url.reveal(), subject, text, is_markdown)
    try:
        result = await programs.arun(
            [sys.executable, *PROGRAM],
            # Not as an argument, which every user of the machine can read.
            stdin=msgspec.json.encode(message),
            timeout_seconds=timeout_seconds,
            grace_seconds=0,
        )
        answer = msgspec.json.decode(result.checked(), type=Answer)
    except programs.ProgramTimeoutError:
        raise NotSentError(f"no answer within {timeout_seconds:g} s") from None
    except (OperatorError, msgspec.DecodeError) as error:
        # What a broken program prints may contain its input.
        raise NotSentError(f"Apprise failed ({type(error).__name__})") from None
    if not answer.is_sent:
        raise NotSentError(answer.said)
    return answer.said


def _calling_nobody(text: str) -> str:
    """Return a text that addresses nobody: what strangers wrote in labels goes to rooms with many people.

    Slack's are escaped by Apprise; Discord, Mattermost, Zulip and Google Chat take a text as it is. The
    sign that stands in for the other one is seen, and looks the same.
    """
    return _CALLING.sub(lambda found: _LOOKS_LIKE[found[0]], text)


async def _mail(
    channel: Channel, smtp: Smtp, subject: str, text: str, message_id: UUID, seconds: float
) -> str:
    if not smtp.host:
        raise NotSentError("no mail server is set (smtp.host)")
    page = f"<pre>{html.escape(text)}</pre>"
    made = Mail(addresses.checked(channel.url.reveal()), subject, text, page, [])
    try:
        await mail.send_at_once(smtp, made, message_id, datetime.now(UTC), seconds)
    except mail.MailRefusedError as error:
        raise NotSentError(str(error)) from None
    return f"accepted by {smtp.host}"
