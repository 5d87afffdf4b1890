"""A page: one message to one person by one channel, as the database and the timeline have it."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec

from chitlaq.core.local_time import local
from chitlaq.ops.database.database import Statement, Transaction, statement
from chitlaq.ops.escalation import planning
from chitlaq.ops.escalation.messages import PagedIncident
from chitlaq.ops.escalation.planning import ACTOR
from chitlaq.ops.incidents import timeline
from chitlaq.ops.oncall.roster import Roster


def paged(
    roster: Roster, page: sqlite3.Row, incident: sqlite3.Row, clock: sqlite3.Row
) -> PagedIncident:
    """Return what a page says of its incident."""
    found = dict(incident)
    return msgspec.convert(
        {
            **found,
            "procedures": msgspec.json.decode(found["procedures"]),
            "role": page["role"],
            "due_at": page["due_at"],
            "may_be_repeated": bool(page["may_be_repeated"]),
            "runs": clock["begun"],
            "then": _then(roster, found["severity"], clock),
        },
        PagedIncident,
    )


def _then(roster: Roster, severity: str, clock: sqlite3.Row) -> str:
    """Return who is told next, unless somebody acknowledges."""
    role = planning.next_level(roster, severity, clock["level"])
    if not role or clock["next_at"] is None:
        return ""
    return f"{role} is told at {local(moment_of(clock['next_at'])):%H:%M}"


def hurry(
    transaction: Transaction, roster: Roster, page: sqlite3.Row, said: str, now: datetime
) -> None:
    """Make the next channel due at once, or the next level if no channel of this one works."""
    of_level = (page["incident_id"], page["run"], page["level"])
    following = transaction.rows("hurry_channel", *of_level, page["person"], now)
    if following:
        then = f"{following[0]['channel']} is next"
    else:
        (so_far,) = transaction.rows("level_outcomes", *of_level)
        then = "no channel of this person is left"
        levels = planning.levels_of(roster.policies[page["severity"]], roster)
        is_last = not levels or (page["level"] + 1) % len(levels) == 0
        if not so_far["open"] and not so_far["sent"]:
            then = "nobody of this level could be told"
            if not is_last:
                transaction.rows("hurry_level", *of_level, now)
                then += ": the next level is told at once"
    transaction.write(line(page, f"{words(page)}: failed: {said}; {then}"))


def ends(page: sqlite3.Row, said: str, now: datetime, *, is_sent: bool) -> list[Statement]:
    """Return what notes how a page went."""
    outcome = "sent" if is_sent else "failed"
    again = "; may have been sent twice" if page["may_be_repeated"] else ""
    return [
        statement("end_page", *key(page), now, outcome, said),
        statement("keep_delivery", page["person"], page["channel"], now, outcome, said),
        line(page, f"{words(page)}: {outcome}: {said}{again}"),
    ]


def line(page: sqlite3.Row, text: str, key: str = "page") -> Statement:
    """Return the line of a page in the timeline; the same page again replaces its text."""
    return timeline.add(
        page["incident_id"],
        "message",
        ACTOR,
        text,
        key=f"{key}:{page['run']}:{page['step']}",
    )


def words(page: sqlite3.Row) -> str:
    """Say to whom a page goes."""
    return f"to {page['person']} ({page['role']}) by {page['channel']}"


def key(page: sqlite3.Row) -> tuple[int, int, int]:
    """Return what names a page."""
    return page["incident_id"], page["run"], page["step"]


def moment_of(stored: str) -> datetime:
    """Return a stored moment."""
    return datetime.fromisoformat(stored)
