"""Alertmanager's notifications are stored: every alert once, from start to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload
from tests.conftest import Stack, eventually, free_ports

STARTED = "2026-11-23T10:00:00.000Z"
NEVER = "0001-01-01T00:00:00Z"


def report(
    fingerprint: str,
    *,
    ended: str | None = None,
    name: str = "DiskFull",
    started: str = STARTED,
) -> dict[str, Any]:
    """The payload of Alertmanager's webhook, as documented."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DiskFull"}',
        "status": "firing",
        "receiver": "ops-service",
        "alerts": [
            {
                "status": "resolved" if ended else "firing",
                "labels": {"alertname": name, "severity": "P1", "mountpoint": "/"},
                "annotations": {"summary": "The disk is full.", "procedure": "Disk"},
                "startsAt": started,
                "endsAt": ended or NEVER,
                "generatorURL": "http://localhost:9090/graph",
                "fingerprint": fingerprint,
            }
        ],
    }


@pytest.fixture
def ops(stack: Stack) -> httpx.Client:
    token = (stack.home / "secrets" / "ops-token").read_text().strip()
    return httpx.Client(
        base_url=f"http://127.0.0.1:{stack.ports['ops']}",
        headers={"Authorization": f"Bearer {token}"},
    )


def test_alert_is_stored_once_from_start_to_end(stack: Stack, ops: httpx.Client) -> None:
    for _ in range(3):
        assert ops.post("/alerts", json=report("f1")).status_code == 204
    (alert,) = [a for a in stack.json("alerts", "--active") if a["name"] == "DiskFull"]
    assert alert["severity"] == "P1"
    assert alert["summary"] == "The disk is full."
    assert alert["labels"]["mountpoint"] == "/"
    assert alert["ended_at"] is None

    assert ops.post("/alerts", json=report("f1", ended="2026-11-23T10:05:00Z")).status_code == 204
    assert [a for a in stack.json("alerts", "--active") if a["name"] == "DiskFull"] == []
    (alert,) = [a for a in stack.json("alerts", "--resolved") if a["name"] == "DiskFull"]
    assert alert["ended_at"] == "2026-11-23T10:05:00Z"
    late = ops.post("/alerts", json=report("f1"))
    assert late.status_code == 204
    assert [a for a in stack.json("alerts", "--active") if a["name"] == "DiskFull"] == [], (
        "a report that comes late does not begin it again"
    )
    shown = stack.command("alerts").stdout
    assert "DiskFull" in shown
    assert "5 min" in shown


def test_end_before_the_start_becomes_the_start(stack: Stack, ops: httpx.Client) -> None:
    answer = ops.post("/alerts", json=report("f2", ended="2026-11-23T09:00:00Z", name="Skewed"))
    assert answer.status_code == 204
    (alert,) = [a for a in stack.json("alerts", "--resolved") if a["name"] == "Skewed"]
    assert alert["ended_at"] == alert["started_at"]


def test_only_the_installations_own_token_may_report(stack: Stack, ops: httpx.Client) -> None:
    for headers in ({"Authorization": "Bearer wrong"}, {"Authorization": ""}):
        answer = ops.post("/alerts", json=report("f3", name="Forged"), headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert ops.get("/alerts", headers=headers).status_code == 401
    assert all(alert["name"] != "Forged" for alert in stack.json("alerts"))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"alerts":[{}]}', b'{"alerts":[{"status":1}]}'])
def test_invalid_notification_is_refused(ops: httpx.Client, body: bytes) -> None:
    answer = ops.post("/alerts", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}


def test_members_cannot_reach_the_alerts(stack: Stack) -> None:
    for path in ("/api/alerts", "/alerts"):
        assert httpx.get(f"{stack.edge}{path}").status_code == 404


def test_active_and_resolved_exclude_each_other(stack: Stack) -> None:
    answer = stack.command("alerts", "--active", "--resolved")
    assert answer.returncode == 2
    assert "Choose one of" in answer.stderr


@pytest.fixture
def database(stack: Stack) -> Iterator[OpsDatabase]:
    with OpsDatabase(Home(stack.home)) as database:
        yield database


def named(stack: Stack, which: str, name: str) -> list[dict[str, Any]]:
    return [alert for alert in stack.json("alerts", which) if alert["name"] == name]


async def test_alerts_are_stored_and_shown_while_postgresql_is_down(
    stack: Stack, ops: httpx.Client
) -> None:
    server = psutil.Process(stack.ps()["postgres"]["pid"])
    supervisor = server.parent()
    assert supervisor is not None
    # Otherwise it would restart PostgreSQL at once.
    supervisor.suspend()
    try:
        server.send_signal(signal.SIGINT)
        await eventually(lambda: server.status() == psutil.STATUS_ZOMBIE)
        for name, fingerprint in (("DatabaseDown", "f4"), ("EdgeDown", "f5")):
            assert ops.post("/alerts", json=report(fingerprint, name=name)).status_code == 204
        over = report("f4", name="DatabaseDown", ended="2026-11-23T10:02:00Z")
        assert ops.post("/alerts", json=over).status_code == 204
        (down,) = named(stack, "--resolved", "DatabaseDown")
        assert down["ended_at"] == "2026-11-23T10:02:00Z"
        assert len(named(stack, "--active", "EdgeDown")) == 1
    finally:
        supervisor.resume()


def test_alert_that_fires_again_is_open_once(stack: Stack, ops: httpx.Client) -> None:
    again = "2026-11-23T11:00:00Z"
    # The later one first: a queued notification arrives late.
    for started in (again, STARTED, again):
        answer = ops.post("/alerts", json=report("f6", name="Returning", started=started))
        assert answer.status_code == 204
    (active,) = named(stack, "--active", "Returning")
    assert active["started_at"] == again
    (before,) = named(stack, "--resolved", "Returning")
    assert before["ended_at"] == again


async def raise_alert(
    alertmanager: httpx.AsyncClient, labels: Mapping[str, str], ended: datetime | None = None
) -> None:
    now = datetime.now(UTC)
    alert = {
        "labels": labels,
        "annotations": {"summary": "It is so.", "procedure": "Disk"},
        "startsAt": (now - timedelta(minutes=5)).isoformat(),
        "endsAt": (ended or now + timedelta(hours=1)).isoformat(),
    }
    answer = await alertmanager.post("/api/v2/alerts", json=[alert])
    assert answer.status_code == 200, answer.text


async def test_alert_that_ends_while_inhibited_ends_here(
    stack: Stack, database: OpsDatabase, alertmanager: httpx.AsyncClient
) -> None:
    home, settings = (
        Home(stack.home),
        Settings(alertmanager_url=SecretUrl(str(alertmanager.base_url))),
    )
    lesser = {"alertname": "HeldBack", "severity": "P2", "family": "Held"}
    await raise_alert(alertmanager, lesser)
    greater = {"alertname": "Held", "severity": "P0", "family": "Held"}
    await raise_alert(alertmanager, greater)

    async def there() -> dict[str, Any]:
        listed = (await alertmanager.get("/api/v2/alerts")).json()
        return {alert["labels"]["alertname"]: alert for alert in listed}

    async def is_held_back() -> Any:
        return (await there())["HeldBack"]["status"]["inhibitedBy"]

    await eventually(is_held_back)
    for alert in (await there()).values():
        fired = {**alert, "status": "firing", "endsAt": NEVER}
        await alert_history.store(
            database, msgspec.convert({"alerts": [fired]}, AlertmanagerPayload)
        )

    async def going_on() -> set[str]:
        return {
            alert.name
            for alert in await alert_history.alerts(database, is_active=True, limit=100)
            if alert.labels.get("family") == "Held"
        }

    await alert_history.compare(database, home, settings, grace_seconds=0)
    assert await going_on() == {"Held", "HeldBack"}, "what is only held back goes on"
    await raise_alert(alertmanager, lesser, ended=datetime.now(UTC))

    async def is_dropped() -> bool:
        return "HeldBack" not in await there()

    await eventually(is_dropped)
    await alert_history.compare(database, home, settings, grace_seconds=3600)
    assert await going_on() == {"Held", "HeldBack"}, "who has just started knows of nothing yet"
    await alert_history.compare(database, home, settings, grace_seconds=0)
    assert await going_on() == {"Held"}


async def test_no_alert_is_ended_if_alertmanager_does_not_answer(
    stack: Stack, ops: httpx.Client, database: OpsDatabase
) -> None:
    assert ops.post("/alerts", json=report("f7", name="Unanswered")).status_code == 204
    (port,) = free_ports(1)
    with pytest.raises(OSError, match="refused"):
        await alert_history.compare(
            database,
            Home(stack.home),
            Settings(alertmanager_url=SecretUrl(f"http://127.0.0.1:{port}")),
            grace_seconds=0,
        )
    assert len(named(stack, "--active", "Unanswered")) == 1


async def test_what_fires_now_is_asked_of_alertmanager_first(
    stack: Stack, ops: httpx.Client, database: OpsDatabase, alertmanager: httpx.AsyncClient
) -> None:
    """It knows alerts that ops-service was not told of; without its Watchdog, none is not the answer."""
    home = Home(stack.home)
    settings = Settings(alertmanager_url=SecretUrl(str(alertmanager.base_url)))
    assert ops.post("/alerts", json=report("f8", name="EndedThere")).status_code == 204
    assert ops.post("/alerts", json=report("own:f9", name="RaisedHere")).status_code == 204
    await raise_alert(alertmanager, {"alertname": "NotToldYet", "severity": "P1"})

    async def firing() -> tuple[set[str], str]:
        found, caution = await alert_history.firing(database, home, settings, 100)
        return {alert.name for alert in found}, caution

    async def is_known() -> bool:
        return "NotToldYet" in (await firing())[0]

    await eventually(is_known)
    names, caution = await firing()
    assert "RaisedHere" in names
    assert "EndedThere" not in names
    assert "Watchdog" in caution

    # A command says so, and is no "none".
    unsure = await asyncio.to_thread(
        stack.command, "alerts", "--active", env={"ALERTMANAGER_URL": str(alertmanager.base_url)}
    )
    assert (unsure.returncode, "Watchdog" in unsure.stderr) == (3, True), unsure
    await raise_alert(alertmanager, {"alertname": "Watchdog", "severity": "none"})

    async def is_sure() -> bool:
        names, caution = await firing()
        return not caution and "Watchdog" not in names

    await eventually(is_sure)

    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    settings = Settings(alertmanager_url=SecretUrl(url))
    names, caution = await firing()
    assert {"RaisedHere", "EndedThere"} <= names
    assert "Alertmanager does not answer" in caution
    shown = await asyncio.to_thread(
        stack.command, "alerts", "--active", env={"ALERTMANAGER_URL": url}
    )
    assert shown.returncode == 3
    assert "RaisedHere" in shown.stdout
    assert "Alertmanager does not answer" in shown.stderr


async def test_what_fires_now_is_shown_without_the_operations_database(
    stack: Stack, alertmanager: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Alertmanager knows it; what only the database knows may be missing, which is said."""
    (tmp_path / "ops").write_text("in the way")
    environment = {
        "CHITLAQ_HOME": str(tmp_path),
        "ALERTMANAGER_URL": str(alertmanager.base_url),
    }

    def shown() -> CompletedProcess[str]:
        return stack.command("alerts", "--active", env=environment)

    silent = await asyncio.to_thread(shown)
    assert (silent.returncode, silent.stdout) == (3, ""), silent
    for name in ("Watchdog", "FiresNow"):
        await raise_alert(alertmanager, {"alertname": name, "severity": "P1"})

    async def is_shown() -> bool:
        found = await asyncio.to_thread(shown)
        assert (found.returncode, "FiresNow" in found.stdout) == (3, True), found
        assert "Alerts that ops-service raises itself are not shown." in found.stderr
        return "Watchdog" not in found.stdout + found.stderr

    await eventually(is_shown)
    (nobody,) = free_ports(1)
    environment["ALERTMANAGER_URL"] = f"http://127.0.0.1:{nobody}"
    neither = await asyncio.to_thread(shown)
    assert (neither.returncode, neither.stdout) == (1, ""), neither
