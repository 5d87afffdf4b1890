"""The mails that members get about their accounts, in their language, as text and as HTML.

``mails.en.json`` and ``mails.tr.json`` hold the words: for each kind a subject, paragraphs and, if it has a
link, what the link does. A paragraph ``{link}`` is the link.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import msgspec

from chitlaq.core.data import mail
from chitlaq.core.data.mail import Mail, safe_name
from chitlaq.core.data.postgres import Session
from chitlaq.core.installation.settings import Settings
from chitlaq.services.auth import metrics

LINK = "{link}"


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kind of mail says."""

    subject: str
    paragraphs: tuple[str, ...]
    action: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a mail is for."""

    address: str
    display_name: str
    language: str = "en"


async def put(
    session: Session,
    settings: Settings,
    to: Recipient,
    kind: str,
    path: str = "",
    **values: str | int,
) -> None:
    """Write a mail in the caller's transaction; it is sent after the commit.

    Args:
        session: the transaction.
        settings: the installation's address, and how many mails an address gets within an hour.
        to: whom it is for.
        kind: as in the catalogues.
        path: of the link, from the installation's address on.
        values: what the paragraphs name.

    Raises:
        TooManyMailsError: its recipient has got enough within an hour; nothing was written.
    """
    written = _to_path(settings, to, kind, path, values)
    try:
        await mail.put(session, written, most_per_hour=settings.limits.mails_per_hour)
    except mail.TooManyMailsError:
        metrics.count_limited_mail()
        raise


async def tell(
    session: Session,
    settings: Settings,
    to: Recipient,
    kind: str,
    path: str = "",
    **values: str | int,
) -> None:
    """Write a mail about what happened to its recipient's account, as `put` does, but without a limit.

    Strangers can use up the limit; they must not hide with it what they did.
    """
    await mail.put_for_operator(session, _to_path(settings, to, kind, path, values))


def _to_path(
    settings: Settings, to: Recipient, kind: str, path: str, values: Mapping[str, str | int]
) -> Mail:
    return composed(to, kind, f"{settings.base_url}{path}" if path else "", **values)


def composed(to: Recipient, kind: str, link: str = "", **values: str | int) -> Mail:
    """Return a mail in its recipient's language.

    Raises:
        KeyError: there is no such kind, or a value is missing.
    """
    catalogue = _catalogue(to.language)
    words = msgspec.convert(catalogue[kind], Words)
    name = safe_name(to.display_name)
    greeting = str(catalogue["greeting" if name else "greeting_without_name"]).format(name=name)
    said = {"link": link, **values}
    paragraphs = [greeting, *(one.format_map(said) for one in words.paragraphs)]
    in_html = [
        f'<p><a href="{html.escape(link)}">{html.escape(words.action)}</a></p>'
        if template == LINK
        else f"<p>{_in_lines(paragraph)}</p>"
        for template, paragraph in zip(("", *words.paragraphs), paragraphs, strict=True)
    ]
    return Mail(
        to_address=to.address,
        subject=words.subject.format_map(said),
        text="\n\n".join(paragraphs) + "\n",
        html=f'<html lang="{to.language}"><body>{"".join(in_html)}</body></html>',
        links=[link] if link else [],
    )


def _in_lines(paragraph: str) -> str:
    return html.escape(paragraph).replace("\n", "<br>")


def kinds(language: str) -> dict[str, Words]:
    """Return every kind of mail in a language."""
    return {
        kind: msgspec.convert(words, Words)
        for kind, words in _catalogue(language).items()
        if not isinstance(words, str)
    }


@cache
def _catalogue(language: str) -> dict[str, object]:
    file = resources.files(__package__).joinpath(f"mails.{language}.json")
    return msgspec.json.decode(file.read_bytes(), type=dict[str, object])
