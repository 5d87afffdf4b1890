"""What Alertmanager reports, as it reports it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import httpx

from tests.conftest import Stack


async def report(
    stack: Stack, name: str, severity: str, summary: str, *, is_over: bool = False, **labels: str
) -> None:
    """Report an alert that fires, or is over."""
    token = (stack.home / "secrets" / "ops-token").read_text().strip()
    now = datetime.now(UTC)
    named = {"alertname": name, "severity": severity, **labels}
    alert = {
        "status": "resolved" if is_over else "firing",
        "labels": named,
        "annotations": {"summary": summary, "procedure": "Service Outage Response"},
        "startsAt": (now - timedelta(minutes=9)).isoformat(),
        "endsAt": now.isoformat(),
        "fingerprint": hashlib.sha256(repr(sorted(named.items())).encode()).hexdigest()[:16],
    }
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"http://127.0.0.1:{stack.ports['ops']}/alerts",
            json={"alerts": [alert]},
            headers={"Authorization": f"Bearer {token}"},
        )
    assert answer.status_code == 204, answer.text
