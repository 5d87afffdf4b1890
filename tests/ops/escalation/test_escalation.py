"""An incident finds a person within the runbook's deadlines, whatever a channel does."""

from __future__ import annotations

from tests.ops.escalation.conftest import Escalation


async def test_one_person_gets_one_message_of_an_incident(escalation: Escalation) -> None:
    escalation.write(
        f'[people.ada]\nchannels = [{{ url = "{escalation.web.url()}" }}]\n'
        '[levels]\non-call = ["ada"]\n'
    )
    incident = await escalation.opened(title="PostgreSQL is not responding")
    await escalation.run()
    assert escalation.web.subjects() == ["P0 incident 1: PostgreSQL is not responding"]
    (text,) = escalation.web.texts()
    assert f"chitlaq incidents ack {incident.id}" in text
    assert "to ada (on-call) by json: sent: accepted" in await escalation.lines(incident.id)
