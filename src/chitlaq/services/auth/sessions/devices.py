"""What to call a device by what it says of itself, in the words of its owner, and in which country it is."""

from __future__ import annotations

import re

import msgspec
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


class Device(msgspec.Struct, frozen=True):
    """What a device says of itself: its browser or other program, and its system, if known."""

    program: str | None
    system: str | None

    @property
    def name(self) -> str:
        """Its name in English: ``Firefox on Android``."""
        return " on ".join(filter(None, (self.program, self.system))) or "Unknown device"


def described(user_agent: str) -> Device:
    """Return the device that sends this ``User-Agent``."""
    if user_agent.startswith("Mozilla/"):
        return Device(_first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent))
    program = _PROGRAM.match(user_agent)
    return Device(program[0] if program else None, None)


def country_of(address: str | None) -> str | None:
    """Return the country (ISO 3166-1, alpha-2) that an address was given to by its registry, if any.

    That is a hint: a network may be used in another country than the one that it was given to.
    """
    return country_code(address) if address else None


def _first(names: dict[str, str], text: str) -> str | None:
    return next((name for word, name in names.items() if word in text), None)
