"""What a page says: what is wrong since when, what to do about it, and how to say that one does it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from chitlaq.core.formatting import count, duration, lasted
from chitlaq.core.installation.home import Home
from chitlaq.core.local_time import abbreviation, local
from chitlaq.core.visible import one_line
from chitlaq.ops.incidents import timeline
from chitlaq.stack import commands

LATE = timedelta(seconds=10)
LISTED = 8
LONGEST_TITLE = 160


class PagedIncident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as a page tells of it.

    Args:
        times: how often that of its alerts began that began most often.
        due_at: when the page was to be sent.
        may_be_repeated: it may have been sent before by a process that died.
        runs: how often it came within the hour; from the third time on it is flapping.
        then: who is told next, and when, or an empty string.
    """

    id: int
    severity: str
    title: str
    opened_at: datetime
    alert_count: int
    times: int = 0
    procedures: list[str]
    role: str
    due_at: datetime
    may_be_repeated: bool
    runs: int
    then: str = ""


def page(
    incidents: Sequence[PagedIncident], now: datetime, console: str, home: Home
) -> tuple[str, str]:
    """Return the subject and the text of one message on one or more incidents, most severe first.

    Args:
        incidents: at least one.
        now: when it is sent.
        console: the URL of the console.
        home: of the installation, where commands are typed.
    """
    first = incidents[0]
    subject = f"{first.severity} incident {first.id}: {_title(first)}"
    if len(incidents) == 1:
        return subject, "\n".join([*_lines(first, now, home), "", *_how(first.id, console, home)])
    more = len(incidents) - 1
    lines = [f"{count(len(incidents), 'incident')} at once:", ""]
    for one in incidents[:LISTED]:
        lines += [f"{one.severity} {one.id}: {_title(one)}, since {_clock(one.opened_at)}"]
    if len(incidents) > LISTED:
        lines.append(
            f"… and {len(incidents) - LISTED} more: {commands.here('chitlaq incidents list', home)}"
        )
    lines += [
        "",
        f"The first of them, {first.id}:",
        *_lines(first, now, home),
        "",
        *_how(first.id, console, home),
    ]
    return f"{subject} (and {more} more)", "\n".join(lines)


def _lines(one: PagedIncident, now: datetime, home: Home) -> list[str]:
    length = lasted((now - one.opened_at).total_seconds())
    alerts = count(one.alert_count, "alert")
    lines = [
        f"{one.severity} incident {one.id}: {_title(one)}",
        f"Since {_clock(one.opened_at)} ({length}); {alerts}. You are told as {one.role}.",
    ]
    if (late := now - one.due_at) > LATE:
        lines.append(
            f"This is late by {duration(late.total_seconds())}: it was due at {_clock(one.due_at)}."
        )
    if one.may_be_repeated:
        lines.append("This may have been sent twice: ops-service stopped while it was being sent.")
    if one.runs > 2:
        lines.append(
            f"It came back {count(one.runs - 1, 'time')} within an hour: it is flapping. You are not told"
            " of each time."
        )
    elif one.times >= timeline.FLAPPING:
        lines.append(f"An alert of it began {count(one.times, 'time')}: it is flapping.")
    if one.procedures:
        named = "; ".join(map(one_line, one.procedures[:3]))
        runbook = commands.here("chitlaq ops runbook", home)
        lines += ["", f"What to do: {named} (docs/runbook.md; `{runbook}`)"]
    if one.then:
        lines += ["", f"Until it is acknowledged: {one.then}"]
    return lines


def _how(number: int, console: str, home: Home) -> list[str]:
    return [
        f"Acknowledge: {commands.here(f'chitlaq incidents ack {number}', home)}",
        f"          or {console}/incidents/{number}",
    ]


def _title(one: PagedIncident) -> str:
    return one_line(one.title)[:LONGEST_TITLE]


def _clock(at: datetime) -> str:
    return f"{local(at):%Y-%m-%d %H:%M} {abbreviation(local(at))}"
