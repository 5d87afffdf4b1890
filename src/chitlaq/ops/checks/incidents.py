"""Incidents that nobody takes care of, and what was promised after earlier ones."""

from __future__ import annotations

from datetime import UTC, date, datetime

from chitlaq.core.formatting import count, duration
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
)
from chitlaq.ops.checks.sources.system import SystemView

RESPONSE_SECONDS = {"P0": 15 * 60, "P1": 3600, "P2": 4 * 3600, "P3": 24 * 3600}
"""The runbook's response times."""


@check(
    "incidents.unacknowledged",
    "Incidents that nobody takes care of",
    section=Section.INCIDENTS,
    looks_at="the incidents that are open and not acknowledged",
    commands=("chitlaq incidents",),
    remedy="Take it: `chitlaq incidents ack N`. If it is over: `chitlaq incidents resolve N`.",
)
async def unacknowledged(system: SystemView) -> CheckOutcome:
    rows = await system.recorded("unacknowledged_incidents")
    now = datetime.now(UTC)
    waited = [(now - datetime.fromisoformat(row["opened_at"])).total_seconds() for row in rows]
    late = [
        row
        for row, seconds in zip(rows, waited, strict=True)
        if seconds > RESPONSE_SECONDS[row["severity"]]
    ]
    said = "none"
    if rows:
        said = f"{count(len(rows), 'incident')}, the worst is {rows[0]['id']}: {rows[0]['title']}"
    if late:
        said += f"; {len(late)} for longer than the runbook allows"
    return outcome(
        said,
        {"unacknowledged": Value(len(rows)), "late": Value(len(late))},
        Table(
            "incidents",
            ["incident", "severity", "what", "for"],
            [
                [str(row["id"]), row["severity"], row["title"], duration(seconds)]
                for row, seconds in zip(rows, waited, strict=True)
            ],
        ),
        least=Verdict.CRITICAL if late else Verdict.WARNING if rows else Verdict.OK,
    )


@check(
    "incidents.action_items",
    "Action items of earlier incidents",
    section=Section.INCIDENTS,
    looks_at="the action items that are not done",
    commands=("chitlaq incidents items",),
    remedy="Do it, then `chitlaq incidents done ITEM`; or agree on another with a new date.",
)
async def action_items(system: SystemView) -> CheckOutcome:
    rows = await system.recorded("open_action_items")
    today = datetime.now().astimezone().date()
    overdue = [row for row in rows if date.fromisoformat(row["due_on"]) < today]
    said = f"{len(rows)} open" if rows else "none open"
    if overdue:
        oldest = overdue[0]
        said += f", {len(overdue)} overdue: {oldest['owner']} since {oldest['due_on']}, {oldest['text']}"
    return outcome(
        said,
        {"open": Value(len(rows)), "overdue": Value(len(overdue))},
        Table(
            "action items",
            ["item", "incident", "due", "who", "what"],
            [
                [str(row["id"]), str(row["incident_id"]), row["due_on"], row["owner"], row["text"]]
                for row in rows
            ],
        ),
        least=Verdict.WARNING if overdue else Verdict.OK,
    )
