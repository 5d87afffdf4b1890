"""Without its database nothing is escalated, and somebody is told exactly that."""

from __future__ import annotations

import pytest

from chitlaq.core import tasks
from chitlaq.ops.database.database import OpsDatabaseUnavailableError
from chitlaq.ops.escalation import engine, last_resort
from tests.conftest import eventually
from tests.ops.escalation.conftest import Escalation


async def test_whoever_is_on_call_is_told_once_an_hour_that_nothing_is_escalated(
    escalation: Escalation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_resort, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(engine, "WATCH_SECONDS", 0.05)
    escalation.write_people("ada", "grace")
    path = escalation.home.ops_database
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir()
    with pytest.raises(OpsDatabaseUnavailableError):
        await escalation.engine.tick()
    async with tasks.running(escalation.engine.run_forever):
        await eventually(lambda: escalation.smtp.mails)
        ((address, subject, text),) = escalation.smtp.mails
        assert address == "ada@example.edu"
        assert subject.startswith("P0: incidents are not escalated")
        assert "Look at the disk" in text
        path.rmdir()
        incident = await escalation.opened()
        await eventually(lambda: len(escalation.smtp.mails) == 2)
        assert escalation.smtp.mails[1][1] == f"P0 incident {incident.id}: It burns"


async def test_page_that_cannot_be_claimed_is_sent_once(
    escalation: Escalation, monkeypatch: pytest.MonkeyPatch
) -> None:
    escalation.write_people("ada")
    incident = await escalation.opened("P2")
    real = engine.Engine._claim

    def full(*args: object) -> object:
        raise OpsDatabaseUnavailableError("the disk is full")

    monkeypatch.setattr(engine.Engine, "_claim", full)
    for _ in range(3):
        await escalation.run()
    assert escalation.told() == ["ada"]
    monkeypatch.setattr(engine.Engine, "_claim", real)
    await escalation.run()
    assert escalation.told() == ["ada"]
    assert "to ada (on-call) by mail: sent: accepted by 127.0.0.1" in await escalation.lines(
        incident.id
    )
