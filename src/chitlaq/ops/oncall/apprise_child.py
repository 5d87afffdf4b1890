"""The program that sends one message by Apprise: the message on standard input, the answer on its output."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

LONGEST_ANSWER = 300
SHORTEST_SECRET = 4


class Message(msgspec.Struct, frozen=True):
    url: str
    subject: str
    text: str
    is_markdown: bool


class Answer(msgspec.Struct, frozen=True):
    """Whether the service took it, and what was said about it, without any part of the URL."""

    is_sent: bool
    said: str


def send(message: Message) -> Answer:
    """Send a message; Apprise reports why it failed only in its log."""
    import apprise

    target = apprise.Apprise()
    with apprise.LogCapture(level=apprise.logging.WARNING) as log:  # type: ignore[no-untyped-call]
        if not target.add(message.url):
            # What it says quotes the URL.
            return Answer(False, "Apprise rejects this URL: see its documentation of the service")
        form = apprise.NotifyFormat.MARKDOWN if message.is_markdown else apprise.NotifyFormat.TEXT
        is_sent = bool(target.notify(message.text, title=message.subject, body_format=form))
        said = [line for line in log.getvalue().splitlines() if line.strip()]
    if is_sent:
        return Answer(True, "accepted")
    reason = said[-1] if said else "it did not accept the message"
    return Answer(False, redacted(reason, message.url)[:LONGEST_ANSWER])


def redacted(text: str, url: str) -> str:
    """Return a text without the parts of a URL, of which any may be a token."""
    for secret in sorted(_parts(url), key=len, reverse=True):
        text = text.replace(secret, "********")
    # Apprise begins its lines with the time and the level.
    return re.sub(r"^[\d:, -]+ - \w+ - ", "", text).strip()


def _parts(url: str) -> Iterator[str]:
    yield url
    _, _, rest = url.partition("://")
    found = [rest, *re.split(r"[/?&=@:#,;]", rest)]
    with suppress(ValueError):
        found += [value for _, value in parse_qsl(urlsplit(url).query)]
    for part in found:
        yield from (one for one in (part, unquote(part)) if len(one) >= SHORTEST_SECRET)


if __name__ == "__main__":
    read = msgspec.json.decode(sys.stdin.buffer.read(), type=Message)
    sys.stdout.buffer.write(msgspec.json.encode(send(read)))
