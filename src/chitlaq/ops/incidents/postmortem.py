"""The postmortem of an incident, in Markdown: what happened, what it did, and what is to be done.

It is a beginning that people go on writing. What others wrote (titles, labels, notes) is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from chitlaq.core.formatting import count, duration, lasted, share
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.local_time import local
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.incidents import details, impact
from chitlaq.ops.incidents.action_items import ActionItem
from chitlaq.ops.incidents.details import Details
from chitlaq.ops.incidents.impact import Impact
from chitlaq.ops.incidents.incidents import Incident
from chitlaq.ops.incidents.timeline import Entry
from chitlaq.ops.report.text import cell, inline


async def markdown(database: OpsDatabase, home: Home, settings: Settings, number: int) -> str:
    """Return the postmortem.

    Raises:
        OperatorError: there is no such incident.
    """
    return "\n".join(_page(await details.of(database, home, settings, number))) + "\n"


def _page(about: Details) -> Iterator[str]:
    found, lines = about.incident, about.timeline
    yield f"# Postmortem of incident {found.id}: {inline(found.title)}"
    yield "\n## Summary\n"
    yield from _summary(found, about.impact)
    yield "\n## Impact\n"
    yield from _impact(about.impact)
    yield "\n## Timeline\n"
    yield "| when | what | who | |"
    yield "|---|---|---|---|"
    yield from (
        f"| {_local(one.at)} | {one.kind} | {cell(one.actor)} | {cell(one.text)} |" for one in lines
    )
    yield "\n## What helped\n"
    yield from _list(_helped(lines))
    yield "\n## What hindered\n"
    yield from _list(_hindered(found, lines))
    yield "\n## Action items\n"
    yield from _items(about.action_items)


def _summary(found: Incident, did: Impact) -> Iterator[str]:
    yield f"- Severity: {found.severity}"
    yield f"- Opened: {_local(found.opened_at)} by {inline(found.opened_by)}"
    if found.acknowledged_at is not None:
        took = lasted((found.acknowledged_at - found.opened_at).total_seconds())
        who = inline(found.acknowledged_by or "")
        yield f"- Acknowledged: {_local(found.acknowledged_at)} by {who}, after {took}"
    if found.resolved_at is not None:
        took = lasted((found.resolved_at - found.opened_at).total_seconds())
        yield f"- Resolved: {_local(found.resolved_at)} by {inline(found.resolved_by or '')}, after {took}"
    else:
        yield "- Not resolved yet"
    names = sorted({one.name for one in found.alerts})
    if names:
        yield f"- Alerts: {count(found.alert_count, 'alert')}, {', '.join(map(inline, names[:20]))}"
    yield f"- Members: {impact.said(did)}."
    yield "- Cause: (write it here)"


def _impact(did: Impact) -> Iterator[str]:
    if did.began_at is None:
        yield f"- {impact.said(did)}"
    else:
        yield f"- From: {_local(did.began_at)}"
        yield f"- Until: {_local(did.ended_at) if did.ended_at else 'still failing'}"
        yield (f"- Failed requests: {did.failed:,} of {did.requests:,} ({share(did.failed_ratio)})")
        yield f"- Members with a failed request: {did.members:,}"
    if did.silence_seconds >= impact.SILENT_SECONDS:
        yield f"- Longest time without any request: {duration(did.silence_seconds)}"
    if did.reach:
        yield f"- These figures are incomplete: {inline(did.reach)}"
    if did.routes:
        yield "\n| route | requests | failed |"
        yield "|---|---|---|"
        yield from (
            f"| {cell(one.route)} | {one.requests:,} | {one.failed:,} ({share(one.failed / one.requests)}) |"
            for one in did.routes
        )


def _helped(lines: Iterable[Entry]) -> Iterator[str]:
    for one in lines:
        if one.kind == "helped" or (one.kind == "action" and " succeeded: " in one.text):
            yield _said(one)


def _hindered(found: Incident, lines: Sequence[Entry]) -> Iterator[str]:
    for one in lines:
        if one.kind in {"hindered", "expired"} or (
            one.kind in {"action", "message"} and " failed: " in one.text
        ):
            yield _said(one)
    if found.acknowledged_at is None:
        yield "Nobody acknowledged it."


def _said(one: Entry) -> str:
    return f"{_local(one.at)}, {inline(one.actor)}: {inline(one.text)}"


def _list(said: Iterator[str]) -> Iterator[str]:
    first = next(said, None)
    if first is None:
        yield "- (nothing noted; `chitlaq incidents note N TEXT --helped` or `--hindered`)"
        return
    yield f"- {first}"
    yield from (f"- {one}" for one in said)


def _items(items: Sequence[ActionItem]) -> Iterator[str]:
    if not items:
        yield "None yet: `chitlaq incidents item N TEXT --owner WHO --due DATE`."
        return
    yield "| | what | who | until | done |"
    yield "|---|---|---|---|---|"
    for one in items:
        done = _local(one.done_at) if one.done_at else ""
        yield f"| {one.id} | {cell(one.text)} | {cell(one.owner)} | {one.due_on} | {done} |"


def _local(at: datetime) -> str:
    return f"{local(at):%Y-%m-%d %H:%M:%S}"
