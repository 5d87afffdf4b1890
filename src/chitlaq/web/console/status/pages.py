"""The status page's files: where the edge serves each, and their templates.

nginx serves them as they are, so they stand while everything else is down. It takes commands of Server Side
Includes from them, by which a page that is not rewritten any more says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import resources

from markupsafe import Markup

from chitlaq.core.languages import LANGUAGES
from chitlaq.web.console.status.words import words
from chitlaq.web.pages import Pages, policy

BY_PREFERENCE = "$reader_language"
"""In a file's name: the language that nginx reads from the request."""

CHOSEN_THEME = Markup('<!--# echo var="chosen_theme" -->')
"""In a file: the colours that nginx reads from the request."""

FILES: Mapping[str, str] = {
    "/status": f"{BY_PREFERENCE}.html",
    "/status.json": "status.json",
    # Where clients of Statuspage's API look below the page's address.
    "/status/api/v2/summary.json": "status.json",
    "/status/status.css": "status.css",
    "/status/feed.atom": f"{BY_PREFERENCE}.atom",
    **{f"/status/{one}": f"{one}.html" for one in LANGUAGES},
    **{f"/status/{one}/history": f"{one}.history.html" for one in LANGUAGES},
    **{f"/status/{one}/subscribe": f"{one}.subscribe.html" for one in LANGUAGES},
    **{f"/status/{one}/feed.atom": f"{one}.atom" for one in LANGUAGES},
}
"""The file that the edge serves at each address."""

MEDIA_TYPES: Mapping[str, str] = {
    "html": "text/html",
    "json": "application/json",
    "atom": "application/atom+xml",
    "css": "text/css",
}

STALE_AFTER_MINUTES = 3

POLICY = policy(script_src="'none'", connect_src="'none'")

STATUS = Pages(
    "chitlaq.web.console.status",
    {
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        # An answer about an address is not shown again to the next reader of this browser.
        "Cache-Control": "no-store",
    },
)


def rendered(template: str, language: str, **values: object) -> str:
    """Return a page or a feed in a language; everything in it that is not ours is escaped."""
    return STATUS.environment.get_template(template).render(
        t=words(language), language=language, **values
    )


def mail(language: str, title: str, text: str) -> str:
    """Return the HTML form of a mail."""
    return rendered("mail.html.j2", language, title=title, paragraphs=text.split("\n\n"))


def style_sheet() -> bytes:
    return resources.files(__package__).joinpath("status.css").read_bytes()


def links(language: str, site: str) -> Mapping[str, str]:
    """Return where a page's links lead.

    Args:
        site: the address of the installation, for a copy of the page elsewhere; empty for its own.
    """
    other = LANGUAGES[1 - LANGUAGES.index(language)]
    if site:
        return {
            "style": "status.css",
            "page": f"{language}.html",
            "history": f"{language}.history.html",
            "feed": f"{language}.atom",
            "json": "status.json",
            "other": f"{other}.html",
            "other_history": f"{other}.history.html",
            "subscribe": f"{site}/status/{language}/subscribe",
        }
    return {
        "style": "/status/status.css",
        "page": f"/status/{language}",
        "history": f"/status/{language}/history",
        "feed": f"/status/{language}/feed.atom",
        "json": "/status.json",
        "other": f"/status/{other}",
        "other_history": f"/status/{other}/history",
        "other_subscribe": f"/status/{other}/subscribe",
        "subscribe": f"/status/{language}/subscribe",
    }


def fresh_minutes(written_at: datetime) -> str:
    """Return a regular expression of the minutes in which a page is fresh, as nginx writes the time."""
    first = written_at.astimezone(UTC)
    return "|".join(
        f"{first + timedelta(minutes=number):%Y-%m-%dT%H:%M}"
        for number in range(STALE_AFTER_MINUTES + 1)
    )
