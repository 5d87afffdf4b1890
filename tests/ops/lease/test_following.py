"""What people did with an incident is done to that of another machine, which calls nobody when it has to act.

Attacks the promises that an acknowledgement survives the machine on which it was said, that nobody sleeps
through what it was not about, and that members are told nothing twice.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core import ids
from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload, ReportedAlert
from chitlaq.ops.incidents import incidents, joining, keeping
from chitlaq.ops.incidents.changes import Severity
from chitlaq.ops.incidents.incidents import Incident
from chitlaq.ops.statuspage import automatic, current, published
from chitlaq.ops.statuspage.components import State
from chitlaq.ops.statuspage.published import UpdateStatus
from tests.conftest import eventually
from tests.ops.incidents.alerts import NOW, alert
from tests.ops.lease import ops_process
from tests.ops.lease.conftest import HOUR, Machine, Shared
from tests.ops.receivers import MailServer, mail_server

ROSTER = """\
[people.ada]
channels = [{ url = "ada@example.edu" }]
[levels]
on-call = ["ada"]
"""


def fires(
    name: str = "CacheDown", severity: Severity = "P1", *, service: str = ""
) -> ReportedAlert:
    """An alert that has just begun."""
    since = (datetime.now(UTC) - NOW).total_seconds()
    about = {"service": service} if service else {}
    return alert(name, at=since, until=None, severity=severity, **about)


async def open_on(
    memory: OpsDatabase, *alerts: ReportedAlert, after: timedelta = timedelta()
) -> Incident:
    """Report alerts to one machine, and return its newest incident."""
    await alert_history.store(memory, AlertmanagerPayload(list(alerts)))
    await keeping.keep(memory, lambda _: datetime.now(UTC) + after)
    return max(await incidents.listed(memory, limit=9), key=lambda one: one.id)


async def only(memory: OpsDatabase) -> Incident:
    (found,) = await incidents.listed(memory, limit=9)
    return found


async def take_over(first: Machine, second: Machine) -> None:
    """The first tells what it knows and is gone; the second acts."""
    await first.share()
    await second.share()
    await second.take()
    await second.share()


class Machines:
    """Processes of ops-services with homes of their own, one database and one mail server."""

    def __init__(self, folder: Path, shared: Shared, mails: MailServer) -> None:
        self.homes = {name: Home(folder / name) for name in ("first", "second")}
        self.mails = mails
        self._shared = shared
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        home = self.homes[name]
        home.root.mkdir()
        home.oncall_file.write_text(ROSTER)
        words = [ops_process.__name__, str(home.root), self._shared.url, str(self.mails.port)]
        self.processes[name] = subprocess.Popen([sys.executable, "-m", *words])

    async def holds(self, name: str) -> bool:
        rows = await self._shared.sql("SELECT holder, expires_at > now() AS is_held FROM ops.lease")
        return any(one["is_held"] and str(self.homes[name].root) in one["holder"] for one in rows)

    def subjects(self) -> list[str]:
        return [subject for _, subject, _ in self.mails.mails]


@pytest.fixture
def machines(shared: Shared, tmp_path: Path) -> Iterator[Machines]:
    with mail_server() as mails:
        machines = Machines(tmp_path, shared, mails)
        yield machines
        for process in machines.processes.values():
            process.kill()
            process.wait()


async def test_who_acknowledged_on_a_machine_that_is_killed_is_not_called_again(
    machines: Machines,
) -> None:
    machines.start("first")
    await eventually(lambda: machines.holds("first"))
    machines.start("second")
    first, second = (OpsDatabase(home) for home in machines.homes.values())
    with first, second:
        for memory in (first, second):
            await alert_history.store(memory, AlertmanagerPayload([fires()]))
        await eventually(machines.subjects)
        assert len(machines.subjects()) == 1

        async def is_known() -> bool:
            found = await incidents.listed(second, limit=9)
            return [(one.status, one.acknowledged_by) for one in found] == [("acknowledged", "ada")]

        await incidents.acknowledge(first, (await only(first)).id, "ada")
        await eventually(is_known)
        machines.processes["first"].kill()
        await eventually(lambda: machines.holds("second"))
        # It calls people now: of what is new, and of that alone.
        other = fires("Odd", "P0", service="one")
        await alert_history.store(second, AlertmanagerPayload([other]))
        await eventually(lambda: len(machines.subjects()) > 1)
        known, new = machines.subjects()
        assert "CacheDown" in known
        assert "Odd" in new
        found = {one.status: one.acknowledged_by for one in await incidents.listed(second, limit=9)}
        assert found == {"acknowledged": "ada", "open": None}


async def test_incident_that_is_opened_after_the_loss_is_taken_care_of(
    two: tuple[Machine, Machine],
) -> None:
    first, second = two
    one = fires()
    made = await open_on(first.memory, one)
    made = await incidents.acknowledge(first.memory, made.id, "ada")
    await take_over(first, second)
    # A third one would have to know it, too.
    (row,) = await first.shared.sql("SELECT epoch, told FROM ops.told")
    assert (row["epoch"], '"ada"' in row["told"]) == (2, True)
    found = await open_on(second.memory, one)
    assert (found.status, found.acknowledged_by) == ("acknowledged", "ada")
    assert found.acknowledged_until == made.acknowledged_until


async def test_same_subject_is_enough_and_what_is_worse_is_not_taken_care_of(
    two: tuple[Machine, Machine],
) -> None:
    first, second = two
    for name in ("one", "two", "three"):
        made = await open_on(first.memory, fires("Odd", "P2", service=name))
        await incidents.acknowledge(first.memory, made.id, "ada")
    await take_over(first, second)
    other = fires("Other", "P2", service="one")
    assert (await open_on(second.memory, other)).status == "acknowledged"
    assert (await open_on(second.memory, fires("Other", "P1", service="two"))).status == "open"
    assert (await open_on(second.memory, fires("Other", "P2", service="four"))).status == "open"


async def test_word_of_who_acts_holds(two: tuple[Machine, Machine]) -> None:
    first, second = two
    one = fires()
    made = await open_on(first.memory, one)
    await open_on(second.memory, one)
    await incidents.acknowledge(first.memory, made.id, "ada")
    await incidents.acknowledge(first.memory, made.id, "ben", takes_over=True)
    await incidents.change_severity(
        first.memory, made.id, "ben", severity="P2", reason="few notice"
    )
    await first.share()
    await second.share()
    found = await only(second.memory)
    assert (found.status, found.acknowledged_by, found.severity) == ("acknowledged", "ben", "P2")
    # It is worse than what was acknowledged.
    await open_on(first.memory, fires("CacheBurns", "P0", service="redis"))
    await first.share()
    await second.share()
    assert (await only(second.memory)).status == "open"


async def test_what_was_said_is_done_once_and_not_kept_for_long(
    two: tuple[Machine, Machine],
) -> None:
    first, second = two
    one, other = fires(), fires("Odd", "P2", service="one")
    for each in (one, other):
        made = await open_on(first.memory, each)
        await incidents.acknowledge(first.memory, made.id, "ada")
    await take_over(first, second)
    found = await open_on(second.memory, one)
    await incidents.resolve(second.memory, found.id, "ada", reason="done")
    await incidents.reopen(second.memory, found.id, "ada")
    assert (await open_on(second.memory)).status == "open"
    late = await open_on(second.memory, other, after=joining.RETURNS)
    assert late.status == "open"


async def test_who_was_told_nothing_or_what_nobody_can_read_goes_on(
    two: tuple[Machine, Machine],
) -> None:
    _, second = two
    for told in ('{"overrides": []}', '{"incidents": [7]}'):
        await second.shared.sql("DELETE FROM ops.told")
        await second.shared.sql(f"INSERT INTO ops.told (epoch, told) VALUES (1, '{told}')")
        await second.share()
        assert (await open_on(second.memory, fires())).status == "open"


async def test_what_members_were_told_is_shown_and_not_told_twice(
    two: tuple[Machine, Machine],
) -> None:
    first, second = two
    one = fires()
    made = await open_on(first.memory, one)
    for machine in two:
        await machine.memory.write(
            statement("subscribe", ids.new(), "ada@example.edu", "en", '["chat"]', NOW)
        )
        await current.set_by_person(machine.memory, ["feed"], State.MAJOR_OUTAGE, "ada")
    await published.publish(
        first.memory, made.id, UpdateStatus.INVESTIGATING, "ada", names=["chat"], text="We look."
    )
    await open_on(second.memory, one)
    await first.share()
    await second.share()
    since = datetime.now(UTC) - HOUR
    assert await published.listed(second.memory, since) == await published.listed(
        first.memory, since
    )
    # What is added, and when it is over there first, is shown as well.
    await incidents.resolve(first.memory, made.id, "ada", reason="done")
    await published.publish(first.memory, made.id, UpdateStatus.RESOLVED, "ada")
    await take_over(first, second)
    (shown,) = await published.listed(second.memory, since)
    assert [update.status for update in shown.updates] == ["resolved", "investigating"]
    assert await second.memory.rows("subscriber_mails", 9) == []


async def test_begin_that_was_told_by_itself_is_not_told_by_who_acts_next(
    two: tuple[Machine, Machine],
) -> None:
    first, second = two
    one, now = fires(), datetime.now(UTC)
    for machine in two:
        await open_on(machine.memory, one)
        await machine.memory.write(
            statement("keep_component_state", "chat", State.PARTIAL_OUTAGE, now)
        )
    await automatic.publish(first.memory, await current.components(first.memory))
    await take_over(first, second)
    await automatic.publish(second.memory, await current.components(second.memory))
    (told,), (shown,) = [await published.listed(one.memory, now - HOUR) for one in two]
    assert [one.id for one in shown.updates] == [one.id for one in told.updates]
