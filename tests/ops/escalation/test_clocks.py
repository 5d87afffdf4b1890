"""Deadlines are kept by the time that really passes: a clock that is set changes none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chitlaq.ops.incidents import incidents
from tests.ops.escalation.conftest import Escalation

STEPS = {
    "three hours forward": lambda one: one.clock.set(hours=3),
    "three hours back": lambda one: one.clock.set(hours=-3),
    "a year back": lambda one: one.clock.set(days=-365),
    "half a minute forward": lambda one: one.clock.set(seconds=30),
}
Step = Callable[[Escalation], None]


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted meanwhile"])
@pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
async def test_deadlines_hold_when_the_clock_is_set(
    escalation: Escalation, step: Step, restarts: bool
) -> None:
    escalation.write_people("ada", "grace", "edsger")
    await escalation.opened()
    await escalation.run()
    escalation.clock.pass_(minutes=2)
    if restarts:
        escalation.engines.clear()
    step(escalation)
    await escalation.run()
    assert escalation.told() == ["ada"], "nothing is fired"
    escalation.clock.pass_(minutes=2, seconds=55)
    await escalation.run()
    assert escalation.told() == ["ada"]
    escalation.clock.pass_(seconds=10)
    await escalation.run()
    assert escalation.told() == ["ada", "grace"], "nothing is silenced"
    escalation.clock.pass_(minutes=5)
    await escalation.run()
    assert escalation.told() == ["ada", "grace", "edsger"]
    assert not any("late" in text for _, _, text in escalation.smtp.mails)


@pytest.mark.parametrize("settles_first", [False, True], ids=["escalated first", "settled first"])
@pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
async def test_acknowledgement_lasts_as_long_when_the_clock_is_set(
    escalation: Escalation, step: Step, settles_first: bool
) -> None:
    escalation.write_people("ada")
    incident = await escalation.opened()
    await escalation.run()
    await incidents.acknowledge(escalation.database, incident.id, "ada")
    await escalation.run()
    step(escalation)
    if settles_first:
        await escalation.settle()
    await escalation.run()
    for minutes, told in ((50, ["ada"]), (11, ["ada", "ada"])):
        escalation.clock.pass_(minutes=minutes)
        await escalation.settle()
        await escalation.run()
        assert escalation.told() == told


@pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
async def test_burst_is_not_held_for_longer_when_the_clock_is_set(
    escalation: Escalation, step: Step
) -> None:
    escalation.write_people("ada")
    for number in range(6):
        await escalation.opened("P2", f"number {number}")
        await escalation.run()
    assert len(escalation.told()) == 5
    step(escalation)
    await escalation.run()
    escalation.clock.pass_(minutes=2)
    await escalation.run()
    assert len(escalation.told()) == 6


async def test_what_became_due_while_ops_service_was_down_goes_out_at_once_and_says_that_it_is_late(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace", "edsger")
    await escalation.opened()
    await escalation.run()
    escalation.engines.clear()
    escalation.clock.pass_(minutes=8)
    await escalation.run()
    assert escalation.told() == ["ada", "grace"]
    assert "This is late by 3 min" in escalation.smtp.mails[1][2]
    escalation.clock.pass_(hours=5)
    await escalation.run()
    assert sorted(escalation.told()[2:]) == ["ada", "edsger", "grace"], "one round, not twenty"


@pytest.mark.parametrize("seen", ["running", "acknowledged"])
async def test_incident_that_came_back_while_ops_service_was_down_is_told_from_the_beginning(
    escalation: Escalation, seen: str
) -> None:
    escalation.write_people("ada", "grace")
    incident = await escalation.opened("P1")
    for _ in range(2):
        await escalation.run()
        escalation.clock.pass_(minutes=30)
    assert escalation.told() == ["ada", "grace"], "no level is left"
    escalation.engines.clear()
    if seen == "running":
        await incidents.resolve(escalation.database, incident.id, "ada")
        await incidents.reopen(escalation.database, incident.id, "ada")
    else:
        await incidents.acknowledge(escalation.database, incident.id, "ada")
        escalation.clock.pass_(hours=5)
        await escalation.settle()
    for _ in range(2):
        await escalation.run()
        escalation.clock.pass_(minutes=30)
    assert escalation.told() == ["ada", "grace"] * 2


async def test_after_a_restart_of_the_machine_the_clock_is_taken_as_it_is(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace")
    await escalation.opened()
    await escalation.run()
    escalation.clock.boot, escalation.clock.seconds = "two", 5.0
    escalation.clock.now = escalation.clock.at(minutes=10)
    await escalation.run()
    assert escalation.told() == ["ada", "grace"]
    assert "late" in escalation.smtp.mails[1][2]
