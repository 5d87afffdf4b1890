"""Write digests: the websocket service counts what is new to a member, and knows no address.

``digests.en.json`` and ``digests.tr.json`` say for each kind of notification what one is called, and several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from importlib import resources

import msgspec

from chitlaq.core.data import mail
from chitlaq.core.data.digests import MAIL_DIGEST, UNSUBSCRIBE_PATH, MailDigest
from chitlaq.core.data.jobs import Handler, Job
from chitlaq.core.data.mail import Mail
from chitlaq.core.installation.settings import Settings
from chitlaq.services.auth import mails
from chitlaq.services.auth.mails import Recipient


def handler(settings: Settings) -> Handler[MailDigest]:
    """Return the handler that writes digests."""
    return Handler(MAIL_DIGEST, partial(_write, settings))


async def _write(settings: Settings, job: Job, payload: MailDigest) -> None:
    async with job.completing() as session:
        row = await session.row("reader_of_digest", payload.account_id)
        if row is None:
            return
        to = Recipient(row["email"], row["display_name"], row["language"])
        # It has no limit of its own: its reader asked for it, and it comes once a day at most.
        await mail.put_for_operator(session, composed(settings, to, payload))


def composed(settings: Settings, to: Recipient, payload: MailDigest) -> Mail:
    """Return a digest in its reader's language. Kinds that only a newer version knows are left out."""
    link = f"{settings.base_url}/notifications"
    end = f"{settings.base_url}{UNSUBSCRIBE_PATH}?token={payload.unsubscribe_token}"
    lines = "\n".join(
        f"- {one if payload.counts[kind] == 1 else several.format(count=payload.counts[kind])}"
        for kind, (one, several) in words(to.language).items()
        if payload.counts.get(kind)
    )
    written = mails.composed(to, "digest", link, lines=lines, end=end)
    return replace(written, links=[link, end], unsubscribe=end)


@cache
def words(language: str) -> Mapping[str, tuple[str, str]]:
    """Return what one of a kind is called, and several."""
    file = resources.files(__package__).joinpath(f"digests.{language}.json")
    return msgspec.json.decode(file.read_bytes(), type=dict[str, tuple[str, str]])
