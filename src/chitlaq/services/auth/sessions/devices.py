"""What to call a device by what it says of itself, in the words of its owner, and in which country it is."""

from __future__ import annotations

import re

from iptocc import country_code

# In the order in which they are looked for: most browsers also name those that they want to be taken for.
_BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "SamsungBrowser": "Samsung Internet",
    "Firefox": "Firefox",
    "FxiOS": "Firefox",
    "CriOS": "Chrome",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
_SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "CrOS": "ChromeOS",
    "Mac OS X": "Mac",
    "Linux": "Linux",
}
_PROGRAM = re.compile(r"[A-Za-z0-9._-]{1,40}")


def named(user_agent: str) -> str:
    """Return a device's name: ``Firefox on Android``, or the name of a program that is no browser."""
    if user_agent.startswith("Mozilla/"):
        browser = _first(_BROWSERS, user_agent)
        system = _first(_SYSTEMS, user_agent)
        found = " on ".join(filter(None, (browser, system)))
    else:
        program = _PROGRAM.match(user_agent)
        found = program[0] if program else ""
    return found or "Unknown device"


def country_of(address: str | None) -> str | None:
    """Return the country (ISO 3166-1, alpha-2) that an address was given to by its registry, if any.

    That is a hint: a network may be used in another country than the one that it was given to.
    """
    return country_code(address) if address else None


def _first(names: dict[str, str], text: str) -> str:
    return next((name for word, name in names.items() if word in text), "")
