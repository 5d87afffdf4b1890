"""A storm of alerts or a flapping one is a handful of messages, and none of them hides a severe one."""

from __future__ import annotations

from collections import Counter

from chitlaq.ops.incidents import incidents
from tests.ops.escalation.conftest import Escalation


async def test_many_incidents_are_a_handful_of_messages_that_name_how_many_there_are(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada")
    for number in range(40):
        await escalation.opened("P2", f"number {number}")
        await escalation.run()
    assert len(escalation.told()) == 5
    await escalation.opened("P0", "the database is down")
    escalation.clock.pass_(minutes=2)
    await escalation.run()
    assert len(escalation.told()) == 6
    _, subject, text = escalation.smtp.mails[-1]
    assert subject == "P0 incident 41: the database is down (and 35 more)"
    assert text.startswith("36 incidents at once:")
    assert "… and 28 more" in text


async def test_incidents_that_are_due_together_are_one_message(escalation: Escalation) -> None:
    escalation.write_people("ada")
    await escalation.opened("P2", "a P2")
    await escalation.opened("P1", "a P1")
    await escalation.run()
    ((_, subject, text),) = escalation.smtp.mails
    assert subject == "P1 incident 2: a P1 (and 1 more)"
    assert "P2 1: a P2" in text


async def test_flapping_incident_is_named_and_told_a_handful_of_times(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace", "edsger")
    incident = await escalation.opened()
    for _ in range(120):
        await escalation.run()
        escalation.clock.pass_(seconds=15)
        await incidents.resolve(escalation.database, incident.id, "chitlaq")
        await escalation.run()
        escalation.clock.pass_(seconds=15)
        await incidents.reopen(escalation.database, incident.id, "chitlaq")
    told = Counter(escalation.told())
    assert 3 <= told["ada"] <= 8
    assert told["grace"] >= 3, "nobody acknowledges: the next level is told"
    assert told["edsger"] >= 3
    assert sum(told.values()) < 20
    assert any("it is flapping" in text for _, _, text in escalation.smtp.mails)
    assert any("it is flapping" in line for line in await escalation.lines(incident.id))


async def test_alert_that_flaps_within_its_incident_is_named_when_the_next_level_is_told(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace")
    for _ in range(10):
        begun = escalation.clock.now
        await escalation.fires(begun)
        escalation.clock.pass_(seconds=20)
        await escalation.fires(begun, is_over=True)
        escalation.clock.pass_(seconds=40)
    first, *rest = [text for _, _, text in escalation.smtp.mails]
    assert "flapping" not in first
    assert "it is flapping" in rest[0]
    assert len(rest) == 1


async def test_more_alerts_of_an_incident_are_no_more_messages(escalation: Escalation) -> None:
    escalation.write_people("ada")
    incident = await escalation.opened()
    await escalation.run()
    for number in range(20):
        await incidents.note(escalation.database, incident.id, "ops", text=f"alert {number}")
        await escalation.run()
    assert escalation.told() == ["ada"]
