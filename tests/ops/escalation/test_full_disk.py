"""A disk that takes no more lets no incident open: whoever is on call is told of the alerts themselves."""

from __future__ import annotations

import asyncio

import pytest

from chitlaq.ops.database import overflow
from chitlaq.ops.escalation import last_resort
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload
from chitlaq.ops.incidents import incidents
from tests.conftest import eventually
from tests.ops.escalation.conftest import Escalation
from tests.ops.incidents.alerts import alert


async def test_alerts_that_wait_in_memory_are_told_and_open_incidents_when_there_is_room(
    escalation: Escalation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_resort, "PATIENCE_SECONDS", 0.0)
    escalation.write_people("ada")
    reports = (
        [alert("DiskAlmostFull"), alert("DeadlocksOften"), alert("CacheDown")],
        [alert("CacheDown", until=30)],
    )
    for one in reports:
        overflow.put(escalation.home, alert_history.statements(AlertmanagerPayload(one)))
    running = asyncio.create_task(escalation.engine.run_forever())
    try:
        await eventually(lambda: escalation.told() == ["ada"])
        (mail,) = escalation.smtp.mails
        assert "P0 DiskAlmostFull: DiskAlmostFull is bad." in str(mail)
        assert "CacheDown" not in str(mail), "it is over"
        assert "DeadlocksOften" not in str(mail), "P3 opens no incident"
        await escalation.database.write_overflow()
        await escalation.settle()
        (found,) = await incidents.listed(escalation.database, limit=9)
        assert found.title == "DiskAlmostFull is bad."
    finally:
        running.cancel()
        await asyncio.wait([running])
