"""An incident finds a person within the runbook's deadlines, and nobody is told after somebody took over."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from chitlaq.core.installation.settings import Operations
from chitlaq.ops.escalation import escalation as steps
from chitlaq.ops.escalation.engine import Engine
from chitlaq.ops.incidents import incidents
from chitlaq.ops.incidents.changes import Severity
from chitlaq.ops.lease.permission import Permission
from chitlaq.ops.oncall import current
from tests.ops.escalation.conftest import Escalation

# Minutes after its beginning at which each level is told: the runbook's deadlines.
RUNBOOK = {
    "P0": {"ada": [0, 15, 30], "grace": [5, 20, 35], "edsger": [10, 25, 40]},
    "P1": {"ada": [0], "grace": [30], "edsger": []},
    "P2": {"ada": [0], "grace": [], "edsger": []},
    "P3": {"ada": [], "grace": [], "edsger": []},
}


@pytest.mark.parametrize("severity", RUNBOOK)
async def test_each_level_is_told_in_time_until_somebody_acknowledges(
    escalation: Escalation, severity: Severity
) -> None:
    escalation.write_people("ada", "grace", "edsger")
    await escalation.opened(severity)
    told: dict[str, list[int]] = {"ada": [], "grace": [], "edsger": []}
    for minute in range(44):
        before = len(escalation.told())
        await escalation.run()
        for name in escalation.told()[before:]:
            told[name].append(minute)
        escalation.clock.pass_(minutes=1)
    assert told == RUNBOOK[severity]
    assert not any("late" in text for _, _, text in escalation.smtp.mails)


async def test_whoever_looks_reads_which_level_is_told_next_and_whom(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace")

    async def after(minutes: float, severity: Severity) -> str:
        incident = await escalation.opened(severity)
        await escalation.run()
        escalation.clock.pass_(minutes=minutes)
        await escalation.run()
        found = current.read(escalation.home, escalation.operations).roster
        return (await steps.next_steps(escalation.database, incident.id, found))[0].what

    assert await after(0, "P0") == "lead is told (grace)"
    assert await after(8, "P0") == "on-call is told (ada)"
    assert await after(30, "P1") == "the deadline passes, and nobody else is told"


async def test_page_says_what_is_wrong_what_to_do_and_how_to_acknowledge(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace")
    incident = await escalation.opened(title="PostgreSQL is not responding\x1b[2J\u202e <b>")
    await escalation.run()
    ((address, subject, text),) = escalation.smtp.mails
    assert address == "ada@example.edu"
    assert subject == "P0 incident 1: PostgreSQL is not responding\\u001b[2J\\u202e <b>"
    assert "You are told as on-call." in text
    assert "lead is told at" in text
    assert f"Acknowledge: chitlaq incidents ack {incident.id}" in text
    assert f"/incidents/{incident.id}" in text
    assert "to ada (on-call) by mail: sent: accepted by 127.0.0.1" in await escalation.lines(
        incident.id
    )


async def test_channels_of_a_person_follow_each_other_by_their_pauses(
    escalation: Escalation,
) -> None:
    escalation.write(
        f"""
        [people.ada]
        channels = [
            {{ url = "call@example.edu", after_minutes = 4, name = "call" }},
            {{ url = "{escalation.web.url("push")}", name = "push" }},
            {{ url = "ada@example.edu" }},
            {{ url = "sms@example.edu", after_minutes = 3, name = "sms" }},
        ]
        [levels]
        on-call = ["ada"]
        """
    )
    await escalation.opened()
    came = []
    for _ in range(5):
        await escalation.run()
        came.append([*escalation.web.told(), *escalation.told()])
        escalation.clock.pass_(minutes=1)
    assert came == [
        *[["push", "ada"]] * 3, ["push", "ada", "sms"], ["push", "ada", "sms", "call"],
    ]  # fmt: skip


async def test_acknowledgement_stops_the_clock_until_it_expires(escalation: Escalation) -> None:
    escalation.write_people("ada", "grace")
    incident = await escalation.opened()
    await escalation.run()
    await incidents.acknowledge(escalation.database, incident.id, "ada")
    for _ in range(50):
        escalation.clock.pass_(minutes=1)
        await escalation.run()
    assert escalation.told() == ["ada"]
    (step,) = await steps.next_steps(escalation.database, incident.id)
    assert step.what == "the acknowledgement expires"
    escalation.clock.pass_(minutes=11)
    await escalation.settle()
    await escalation.run()
    assert escalation.told() == ["ada", "ada"]
    escalation.clock.pass_(minutes=7.5)
    await escalation.run()
    assert escalation.told() == ["ada", "ada", "grace"], "the clock starts from its beginning"


async def test_nobody_is_told_of_what_is_resolved_merged_or_acknowledged(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace")
    first, second, third = [await escalation.opened(title=f"{n}") for n in ("1", "2", "3")]
    await escalation.run()
    told = len(escalation.told())
    await incidents.resolve(escalation.database, first.id, "ada")
    await incidents.acknowledge(escalation.database, second.id, "ada")
    await incidents.merge(escalation.database, third.id, "ada", into=second.id)
    escalation.clock.pass_(minutes=30)
    await escalation.run()
    assert len(escalation.told()) == told


async def test_once_somebody_was_told_nobody_else_is_while_no_alert_fires(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace", "edsger")
    ada = '{ url = "ada@example.edu" }'
    sms = '{ url = "sms@example.edu", name = "sms", after_minutes = 6 }'
    escalation.write(escalation.home.oncall_file.read_text().replace(ada, f"{ada}, {sms}"))
    begun = escalation.clock.now
    await escalation.fires(begun)
    assert escalation.told() == ["ada"]
    escalation.clock.pass_(minutes=4)
    await escalation.fires(begun, is_over=True)
    escalation.clock.pass_(minutes=4)
    await escalation.run()
    assert escalation.told() == ["ada"], "what is over calls nobody out of bed"
    found = await steps.next_steps(escalation.database, 1)
    assert [one.what.startswith("if an alert fires again, ") for one in found] == [True, True]
    assert (await incidents.shown(escalation.database, 1)).next_escalation_at is None
    await escalation.fires(escalation.clock.now)
    told = escalation.told()
    assert sorted(told) == ["ada", "grace", "sms"], "the clock goes on where it stopped"
    assert "late" not in escalation.smtp.mails[told.index("grace")][2]
    escalation.clock.pass_(minutes=4)
    await escalation.run()
    assert len(escalation.told()) == 3
    escalation.clock.pass_(minutes=1)
    await escalation.run()
    assert escalation.told()[3:] == ["edsger"]


async def test_alert_that_is_over_still_reaches_one_person(escalation: Escalation) -> None:
    escalation.write_people("ada", "grace")
    escalation.refuse("ada")
    begun = escalation.clock.now
    escalation.clock.pass_(minutes=1)
    # It came and went while nobody could be told.
    await escalation.fires(begun, is_over=True)
    assert escalation.told() == ["ada", "grace"]


async def test_incident_that_becomes_more_severe_is_told_anew_and_one_that_becomes_less_is_not(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace", "edsger")
    incident = await escalation.opened("P2")
    await escalation.run()
    severities: tuple[Severity, ...] = ("P0", "P1", "P2")
    for severity in severities:
        await incidents.change_severity(
            escalation.database, incident.id, "ada", severity=severity, reason="I looked"
        )
        await escalation.run()
        assert escalation.told() == ["ada", "ada"]
    escalation.clock.pass_(minutes=60)
    await escalation.run()
    assert escalation.told() == ["ada", "ada"], "a P2 is told to whoever is on call only"


async def test_with_nobody_configured_the_recipients_of_reports_are_told(
    escalation: Escalation,
) -> None:
    escalation.operations = Operations(report_to=("team@example.edu",))
    await escalation.opened()
    await escalation.run()
    ((address, subject, text),) = escalation.smtp.mails
    assert address == "team@example.edu"
    assert subject.startswith("P0 incident 1")
    assert "chitlaq incidents ack 1" in text


async def test_timeline_says_that_nobody_is_configured(escalation: Escalation) -> None:
    incident = await escalation.opened()
    await escalation.run()
    assert any("Neither oncall.toml nor" in line for line in await escalation.lines(incident.id))
    escalation.write("[people.ada")
    broken = await escalation.opened()
    await escalation.run()
    assert any("is not valid TOML" in line for line in await escalation.lines(broken.id))


async def test_level_with_nobody_is_passed_over_at_once(escalation: Escalation) -> None:
    escalation.write(
        """
        timezone = "UTC"
        [people.grace]
        channels = [{ url = "grace@example.edu" }]
        [rotations.first]
        layers = [{ people = ["grace"], first_day = 2099-01-01, handover = "mon 09:00" }]
        [levels]
        on-call = "first"
        lead = ["grace"]
        """
    )
    incident = await escalation.opened()
    await escalation.run()
    assert escalation.told() == ["grace"]
    assert any(
        "Nobody has the duty on-call" in line for line in await escalation.lines(incident.id)
    )


async def test_broken_file_keeps_the_last_valid_one_in_effect(escalation: Escalation) -> None:
    escalation.write_people("ada")
    await escalation.opened()
    await escalation.run()
    for broken in ("[people.ada", "[people]\nada = 1", None):
        if broken is None:
            escalation.home.oncall_file.unlink()
        else:
            escalation.write(broken)
        before = len(escalation.told())
        await escalation.opened(title=f"broken as {broken!r}")
        await escalation.run()
        assert len(escalation.told()) == before + 1
    assert escalation.home.last_roster.stat().st_mode & 0o077 == 0


class Place(Permission):
    """That of a machine beside another, as a test sets it."""

    alerts = False
    since: datetime | None = None

    @property
    def may_alert(self) -> bool:
        return self.alerts

    @property
    def taken_over_at(self) -> datetime | None:
        return self.since


async def test_machine_that_takes_over_tells_the_first_level_and_goes_on_from_there(
    escalation: Escalation,
) -> None:
    """Whom the other has told, and who has acknowledged there, it does not know: it wakes one, not all."""
    place = Place()
    escalation.engines.append(
        Engine(
            escalation.home,
            escalation.settings,
            escalation.database,
            asyncio.Event(),
            escalation.clock,
            place,
        )
    )
    escalation.write_people("ada", "grace", "edsger")
    await escalation.opened()
    escalation.clock.pass_(minutes=30)
    await escalation.engine._attempt()
    await escalation.engine.idle()
    assert escalation.told() == []
    place.alerts, place.since = True, escalation.clock.now
    await escalation.run()
    assert escalation.told() == ["ada"]
    escalation.clock.pass_(minutes=5)
    await escalation.run()
    assert escalation.told() == ["ada", "grace"]
