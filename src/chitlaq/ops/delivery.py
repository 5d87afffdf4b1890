"""How a report reaches people: by mail as all mail goes, and by whatever Apprise knows."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from chitlaq.core import logs, mail
from chitlaq.core.mail import Mail
from chitlaq.core.postgres import Database, PostgresUnavailableError
from chitlaq.core.settings import Operations

NOTIFY_SECONDS = 20.0

log = logs.get("delivery")


async def deliver(
    database: Database, settings: Operations, subject: str, text: str, html: str
) -> list[str]:
    """Send a report to all that the settings name; returns what became of each, one sentence each.

    Args:
        database: where mail waits to be sent.
        settings: who gets it.
        subject: one line.
        text: in Markdown.
        html: the whole page.
    """
    said = [await _mail(database, address, subject, text, html) for address in settings.report_to]
    said += [await _notify(url, subject, text) for url in settings.notify]
    return said


async def _mail(database: Database, address: str, subject: str, text: str, html: str) -> str:
    try:
        async with database.transaction() as session:
            await mail.put(session, Mail(address, subject, text, html, []))
    except PostgresUnavailableError as error:
        log.error("report not mailed", address=address, error=str(error))
        return f"not mailed to {address}: {error}"
    return f"mailed to {address}"


async def _notify(url: str, subject: str, text: str) -> str:
    # Late: it brings a hundred services along.
    import apprise

    # What stands behind the scheme is a secret.
    name = url.partition("://")[0]
    target = apprise.Apprise()
    if not target.add(url):
        return f"not sent to {name}: Apprise does not understand this URL (operations.notify)"
    is_sent = False
    with suppress(TimeoutError):
        async with asyncio.timeout(NOTIFY_SECONDS):
            is_sent = bool(
                await target.async_notify(
                    body=text, title=subject, body_format=apprise.NotifyFormat.MARKDOWN
                )
            )
    if not is_sent:
        log.error("report not sent", service=name)
    return f"sent to {name}" if is_sent else f"not sent to {name}: it did not take it"
