"""The timeline writes itself: what happened while an incident went on, or may have been its cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from chitlaq.core import ids
from chitlaq.ops.actions import record
from chitlaq.ops.actions.model import ActionRecord
from chitlaq.ops.checks.model import Section, Verdict
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import run_history
from chitlaq.ops.incidents import incidents, system_changes, timeline
from chitlaq.ops.incidents.timeline import Entry
from chitlaq.stack.supervisor.control import Status
from tests.ops.incidents.alerts import alert, report

NOW = datetime.now(UTC)


def action(minutes_ago: float, name: str, *, succeeded: bool) -> ActionRecord:
    at = NOW - timedelta(minutes=minutes_ago)
    return ActionRecord(
        ids.new(), name, "feed-service", "ada", "it hangs", at, at, succeeded, "out"
    )


def run(verdict: Verdict) -> Run:
    result = Result(
        "database.ready", "PostgreSQL", Section.CHECKLIST, verdict, "no answer", {}, [], "", 0.1
    )
    return Run(
        id=uuid4(), routine="morning", started_at=NOW, duration_seconds=0.1, verdict=verdict,
        started_by="scheduler", host="host", results=[result],
    )  # fmt: skip


def status(name: str, pid: int | None) -> Status:
    return Status(name, 0, "healthy", pid, 0, 0, None, "")


async def lines(database: OpsDatabase, kind: str) -> list[Entry]:
    (found,) = await incidents.listed(database, limit=9)
    return [one for one in await timeline.of(database, found.id) if one.kind == kind]


async def test_actions_and_failed_routines_are_lines_of_it(database: OpsDatabase) -> None:
    await record.store(database, action(90, "prune", succeeded=True))
    await record.store(database, action(10, "restart", succeeded=False))
    await run_history.store(database, run(Verdict.OK))
    await run_history.store(database, run(Verdict.CRITICAL))
    await incidents.open_by_hand(database, "It burns", "P1", "ada")
    (did,) = await lines(database, "action")
    assert (did.actor, did.text) == ("ada", "restart feed-service failed: it hangs → out")
    (ran,) = await lines(database, "run")
    assert ran.text == "morning is CRITICAL: database.ready (no answer)"


async def test_restarts_and_deploys_are_lines_of_it(database: OpsDatabase) -> None:
    before = [status("feed-service", 1), status("search-service", 2)]
    await system_changes.see(database, before, "1.0")
    await system_changes.see(database, before, "1.0")
    await system_changes.see(database, [status("feed-service", None), before[1]], "1.0")
    await system_changes.see(database, [status("feed-service", 3), before[1]], "1.1")
    await incidents.open_by_hand(database, "It burns", "P1", "ada")
    assert [one.text for one in await lines(database, "restart")] == [
        "feed-service restarted: process 1 is 3 now"
    ]
    assert [one.text for one in await lines(database, "deploy")] == ["ChitLaq 1.0 → 1.1"]


async def test_restart_of_everything_is_one_line(database: OpsDatabase) -> None:
    for pid in (1, 100):
        await system_changes.see(database, [status(f"c{n}", pid + n) for n in range(9)], "1.0")
    await incidents.open_by_hand(database, "It burns", "P1", "ada")
    (line,) = await lines(database, "restart")
    assert line.text.startswith("9 components restarted: c0, c1")


async def test_message_is_one_line_from_its_attempt_to_its_outcome(database: OpsDatabase) -> None:
    number = (await incidents.open_by_hand(database, "It burns", "P1", "ada")).id
    for text in ("paging ada", "ada was paged"):
        await database.write(timeline.add(number, "message", "escalation", text, key="page:1"))
    (line,) = await lines(database, "message")
    assert line.text == "ada was paged"


async def test_alerts_begin_and_end_in_it(database: OpsDatabase) -> None:
    await report(database, alert("DatabaseDown"), alert("ServiceLatencyBurnsFast", at=30))
    await report(database, alert("DatabaseDown", until=45))
    assert [one.text for one in await lines(database, "alert")] == [
        "P0 DatabaseDown fires: DatabaseDown is bad.",
        "P2 ServiceLatencyBurnsFast fires: ServiceLatencyBurnsFast is bad.",
        "P0 DatabaseDown is over",
    ]
