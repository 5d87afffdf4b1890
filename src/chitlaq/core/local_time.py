"""The time zone in which this process shows moments to people, and reads theirs: by default the machine's.

ops-service takes that of those on call (`ops.oncall.zone`): servers mostly run in UTC, people do not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_zone: ZoneInfo | None = None


def use(zone: ZoneInfo | None) -> None:
    """Show and read moments in a time zone from now on; None means this machine's."""
    global _zone  # noqa: PLW0603 - as the variable TZ, which would also change how logs are read
    _zone = zone


def zone() -> tzinfo | None:
    """Return the time zone that is used; None means this machine's."""
    return _zone


def local(at: datetime) -> datetime:
    """Return a moment as people's clocks show it."""
    return at.astimezone(_zone)


def clock(at: datetime) -> str:
    """Return a moment of today as ``09:14``, another one with its date."""
    shown = local(at)
    is_today = shown.date() == local(datetime.now(UTC)).date()
    return f"{shown:%H:%M}" if is_today else f"{shown:%Y-%m-%d %H:%M}"


def zone_name(at: datetime) -> str:
    """Return what the zone is called: ``Europe/Istanbul (UTC+3)``, ``CET (UTC+1)``, ``UTC``."""
    name, offset = _zone.key if _zone else abbreviation(local(at)), utc_offset(local(at))
    return name if name == offset else f"{name} ({offset})"


def utc_offset(at: datetime) -> str:
    """Return how far a moment's clock is from UTC: ``UTC+3``, ``UTC+0530``, ``UTC``."""
    hours, minutes = int(f"{at:%z}"[:3]), f"{at:%z}"[3:5]
    if minutes != "00":
        return f"UTC{at:%z}"
    return f"UTC{hours:+}" if hours else "UTC"


def abbreviation(at: datetime) -> str:
    """Return the short name of a moment's zone: ``CET``; ``UTC+3`` where it has no letters."""
    found = f"{at:%Z}"
    return found if found.isalpha() else utc_offset(at)


def iana_name(at: datetime) -> str:
    """Return the zone by a name that other programs know; empty where this machine's has none."""
    if _zone:
        return _zone.key
    hours, rest = divmod(int((local(at).utcoffset() or timedelta()).total_seconds()), 3600)
    if rest:
        return ""
    # POSIX counts westwards.
    return f"Etc/GMT{-hours:+}" if hours else "UTC"
