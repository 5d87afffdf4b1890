"""The shifts of a person as a calendar that calendar programs subscribe to (iCalendar, RFC 5545).

Its address contains a token made from the installation's operator token: such programs cannot sign in.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from chitlaq.core.visible import one_line
from chitlaq.ops.oncall import rotations
from chitlaq.ops.oncall.roster import Person, Roster
from chitlaq.ops.oncall.rotations import Override, Shift

BEFORE = timedelta(days=30)
AFTER = timedelta(days=120)
LONGEST_LINE = 75
MEDIA_TYPE = "text/calendar"


def token(ops_token: str, person: str) -> str:
    """Return the unguessable part of the address of a person's calendar."""
    return hmac.new(
        ops_token.encode(), f"calendar of {person}".encode(), hashlib.sha256
    ).hexdigest()[:40]


def owner(ops_token: str, given: str, roster: Roster) -> Person | None:
    """Return whose calendar a token is for."""
    found = None
    for person in roster.people.values():
        # All are compared, so that the time tells nothing.
        if hmac.compare_digest(token(ops_token, person.id).encode(), given.encode()):
            found = person
    return found


def calendar(roster: Roster, overrides: Sequence[Override], person: Person, now: datetime) -> str:
    """Return the shifts of a person around now."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//ChitLaq//On call//EN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_text(f'On call: {person.name or person.id}')}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
    ]
    for rotation in roster.rotations:
        for shift in rotations.shifts(roster, overrides, rotation, now - BEFORE, now + AFTER):
            if shift.person == person.id:
                lines += _event(shift, now)
    lines.append("END:VCALENDAR")
    return "".join(f"{part}\r\n" for line in lines for part in _folded(line))


def _event(shift: Shift, now: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{shift.rotation}-{_moment(shift.starts_at)}-{shift.person}@chitlaq"
    yield f"DTSTAMP:{_moment(now)}"
    yield f"DTSTART:{_moment(shift.starts_at)}"
    yield f"DTEND:{_moment(shift.ends_at)}"
    yield f"SUMMARY:{_text(f'On call: {shift.rotation}')}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(value: str) -> str:
    """Escape a text (RFC 5545, 3.3.11)."""
    for character in "\\;,":
        value = value.replace(character, f"\\{character}")
    return one_line(value)


def _folded(line: str) -> Iterator[str]:
    """Split a line into parts of at most 75 bytes, the later ones with a space before (RFC 5545, 3.1)."""
    part = ""
    for character in line:
        if len((part + character).encode()) > LONGEST_LINE:
            yield part
            part = " "
        part += character
    yield part
