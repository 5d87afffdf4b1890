"""What Alertmanager reports is kept: every alert once, from its first moment to its end."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conftest import Stack

STARTED = "2026-11-23T10:00:00.000Z"
NEVER = "0001-01-01T00:00:00Z"


def report(fingerprint: str, *, ended: str | None = None, name: str = "DiskFull") -> dict[str, Any]:
    """What Alertmanager's webhook sends, as its documentation shows it."""
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
                "startsAt": STARTED,
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


def test_alert_is_kept_once_from_beginning_to_end(stack: Stack, ops: httpx.Client) -> None:
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


def test_end_before_the_beginning_is_the_beginning(stack: Stack, ops: httpx.Client) -> None:
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
def test_report_that_is_none_is_refused(ops: httpx.Client, body: bytes) -> None:
    answer = ops.post("/alerts", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}


def test_members_cannot_reach_the_alerts(stack: Stack) -> None:
    for path in ("/api/alerts", "/alerts"):
        assert httpx.get(f"{stack.edge}{path}").status_code == 404


def test_active_and_resolved_exclude_each_other(stack: Stack) -> None:
    answer = stack.command("alerts", "--active", "--resolved")
    assert answer.returncode == 2
    assert "exclude each other" in answer.stderr
