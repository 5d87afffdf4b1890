"""Whatever reaches the webhook: it is bounded, shown as text, stored once, and opens what it must."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time, thread_time
from typing import Any, TypeVar

import httpx
import pytest

from chitlaq.core.data.batching import Batcher
from chitlaq.core.installation.home import Home
from chitlaq.core.visible import is_one_line
from chitlaq.ops.database.database import OpsDatabase, Statement, Transaction
from chitlaq.ops.history import alert_history, routes
from chitlaq.ops.history.alert_history import AlertmanagerPayload
from chitlaq.ops.incidents import incidents, timeline
from tests.conftest import Stack, eventually
from tests.ops.incidents.alerts import alert, later

T = TypeVar("T")

STARTED = "2026-11-23T10:00:00.000Z"
NASTY = "<script>alert(1)</script> \u202egnp.exe \u200b \x1b[2J\x00\r\n| * _ ` [x](http://evil)"


@pytest.fixture
def ops(stack: Stack) -> httpx.Client:
    token = (stack.home / "secrets" / "ops-token").read_text().strip()
    return httpx.Client(
        base_url=f"http://127.0.0.1:{stack.ports['ops']}",
        headers={"Authorization": f"Bearer {token}"},
    )


def payload(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "receiver": "ops-service", "alerts": list(alerts)}


def fires(name: str, summary: str = "It is bad.", started: str = STARTED, **labels: str) -> Any:
    return {
        "status": "firing",
        "labels": {"alertname": name, "severity": "P2", **labels},
        "annotations": {"summary": summary, "procedure": "Alert Response"},
        "startsAt": started,
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"{name}-{len(labels)}",
    }


async def with_alert(stack: Stack, name: str) -> dict[str, Any]:
    """The incident that has an alert; it may be one of many in a storm of the tests beside this one."""

    async def found() -> dict[str, Any] | None:
        listed = await asyncio.to_thread(stack.json, "incidents", "--limit", "100")
        for one in listed:
            if name in {alert["name"] for alert in one["alerts"]}:
                return dict(one)
        return None

    return await eventually(found)


async def test_alert_opens_an_incident_at_once_and_a_replay_changes_nothing(
    stack: Stack, ops: httpx.Client
) -> None:
    for _ in range(3):
        assert ops.post("/alerts", json=payload(fires("ReplayedAlert"))).status_code == 204
    first = await with_alert(stack, "ReplayedAlert")
    over = {**fires("ReplayedAlert"), "status": "resolved", "endsAt": "2026-11-23T10:05:00Z"}
    assert ops.post("/alerts", json=payload(over)).status_code == 204
    assert ops.post("/alerts", json=payload(fires("ReplayedAlert"))).status_code == 204
    shown = await asyncio.to_thread(stack.json, "incidents", "show", str(first["id"]))
    (alert,) = [one for one in shown["alerts"] if one["name"] == "ReplayedAlert"]
    assert (alert["times"], alert["ended_at"]) == (1, "2026-11-23T10:05:00Z")


async def test_alert_that_was_accepted_opens_its_incident_though_ops_service_is_killed(
    stack: Stack, ops: httpx.Client
) -> None:
    pid = (await asyncio.to_thread(stack.ps))["ops-service"]["pid"]
    assert ops.post("/alerts", json=payload(fires("KilledAlert"))).status_code == 204
    os.kill(pid, signal.SIGKILL)
    found = await with_alert(stack, "KilledAlert")
    assert [one["times"] for one in found["alerts"] if one["name"] == "KilledAlert"] == [1]
    await eventually(lambda: asyncio.to_thread(stack.is_healthy))


async def test_a_megabyte_of_labels_is_cut_and_the_alert_still_opens_an_incident(
    stack: Stack, ops: httpx.Client
) -> None:
    many = {f"a{number}": "x" * 1000 for number in range(1000)}
    huge = fires("HugeAlert", "y" * 1_000_000, component="huge", **many)
    assert ops.post("/alerts", json=payload(huge)).status_code == 204
    found = await with_alert(stack, "HugeAlert")
    (alert,) = [one for one in found["alerts"] if one["name"] == "HugeAlert"]
    assert alert["labels"]["component"] == "huge", "what it is about is never cut away"
    assert len(str(alert)) < 40_000
    too_much = b"x" * (routes.MAX_REPORT_BYTES + 1)
    assert ops.post("/alerts", content=too_much).status_code == 413


async def test_what_strangers_write_is_text(stack: Stack, ops: httpx.Client) -> None:
    nasty = fires(f"Nasty{NASTY}", f"Nasty {NASTY}", component=NASTY, **{NASTY: NASTY})
    assert ops.post("/alerts", json=payload(nasty)).status_code == 204

    async def listed() -> dict[str, Any] | None:
        for one in await asyncio.to_thread(stack.json, "incidents", "--limit", "100"):
            for alert in one["alerts"]:
                if alert["name"].startswith("Nasty"):
                    return {**alert, "number": str(one["id"])}
        return None

    alert = await eventually(listed)
    texts = [alert["name"], alert["summary"], *alert["labels"], *alert["labels"].values()]
    assert all(is_one_line(text) for text in texts)
    assert "\\u202e" in alert["summary"]
    page = await asyncio.to_thread(stack.command, "incidents", "postmortem", alert["number"])
    assert page.returncode == 0, page.stderr
    assert "<script>" not in page.stdout.replace("\\<script>", "")
    assert "\u202e" not in page.stdout


@pytest.mark.parametrize("started", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_times_that_no_clock_shows_are_refused(ops: httpx.Client, started: str) -> None:
    answer = ops.post("/alerts", json=payload(fires("Timeless", started=started)))
    assert answer.status_code == 422


class Counting(OpsDatabase):
    """Counts its transactions."""

    transactions = 0

    async def write(self, *statements: Statement) -> int:
        self.transactions += 1
        return await super().write(*statements)

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        self.transactions += 1
        return await super().transact(work)


async def test_a_thousand_alerts_at_once_are_a_handful_of_transactions_and_one_incident(
    tmp_path: Path,
) -> None:
    reports = [
        AlertmanagerPayload([alert("ErrorsLogged", at=n / 20, service=f"service-{n}")])
        for n in range(1000)
    ]
    with Counting(Home(tmp_path)) as database:
        batcher = Batcher(partial(alert_history.store_together, database))
        await asyncio.gather(*map(batcher.ask, reports))
        await later(database, 60)
        assert database.transactions < 20
        (found,) = await incidents.listed(database, limit=9)
        assert (found.alert_count, len(found.alerts)) == (1000, incidents.MAX_ALERTS)
        assert len(await timeline.of(database, found.id)) < 20


async def test_report_of_many_alerts_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    text = "it is bad " * 50
    report = AlertmanagerPayload(
        [alert("ErrorsLogged", service=f"service-{n}", a=text, b=text, c=text) for n in range(2000)]
    )
    with OpsDatabase(Home(tmp_path)) as database:
        whole, of_loop = process_time(), thread_time()
        await alert_history.store(database, report)
        assert thread_time() - of_loop < 0.2 * (process_time() - whole)
