"""What programs that follow links by themselves are asked to leave alone (RFC 9309)."""

from __future__ import annotations

_NOT_FOR_ROBOTS = (
    # Programs' own paths, which answer with data.
    "/api/", "/ws", "/shell", "/sw.js",
    # What members alone have.
    "/home", "/compose", "/bookmarks", "/drafts", "/notifications", "/follow-requests", "/chat", "/settings",
    # Doors, and what links in mails open.
    "/login", "/logout", "/keep", "/verify", "/reset", "/confirm-address", "/unsubscribe", "/dev/",
    "/status/confirm", "/status/subscribe", "/status/unsubscribe",
    # Lists without an end, and whom somebody knows.
    "/search", "/@*/followers", "/@*/following", "/@*/p/*/",
)  # fmt: skip
"""The beginnings of paths; ``*`` is anything. All other pages show only what is for everybody."""


def text() -> bytes:
    """Return ``/robots.txt``."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in _NOT_FOR_ROBOTS)]
    return "\n".join([*lines, ""]).encode()
