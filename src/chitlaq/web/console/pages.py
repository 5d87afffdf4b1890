"""The operators' console: its pages and static files."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

from chitlaq.core.formatting import duration, lasted, size
from chitlaq.core.local_time import clock, local
from chitlaq.web.pages import Pages, policy

_COMMAND = re.compile("`([^`]+)`")

CONSOLE = Pages(
    "chitlaq.web.console",
    {
        "Content-Security-Policy": policy(
            require_trusted_types_for="'script'", trusted_types="'none'"
        ),
        # Not no-referrer: forms would be sent with the origin null.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        # What an operator saw is not shown again after signing out.
        "Cache-Control": "no-store",
    },
)


def _clock(at: datetime) -> Markup:
    """A moment on people's clocks: today only the time, else also the date."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        f"{local(at):%Y-%m-%d %H:%M:%S}",
        clock(at),
    )


def _clock_seconds(at: datetime) -> str:
    return f"{local(at):%H:%M:%S}"


def _ago(at: datetime) -> str:
    return lasted((datetime.now(UTC) - at).total_seconds())


def _capitalized(text: str) -> str:
    """A text with a capital at its beginning, and the rest as it is."""
    return text[:1].upper() + text[1:]


def _commands(text: str) -> Markup:
    """A message, in which what stands in backquotes is a command."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(_COMMAND.split(text))
    )


CONSOLE.environment.filters |= {
    "clock": _clock,
    "clock_seconds": _clock_seconds,
    "ago": _ago,
    "duration": duration,
    "size": size,
    "capitalize_first": _capitalized,
    "commands": _commands,
}
