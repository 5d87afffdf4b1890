"""Announced work is shown in advance, silences exactly what it explains, and only while it goes on."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import httpx
import pytest

from chitlaq import inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring.alerts import registry
from chitlaq.ops.actions import record
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.incidents import incidents
from chitlaq.ops.statuspage import current, maintenance, silencing
from chitlaq.ops.statuspage.components import AT_EDGE, COMPONENTS, EDGE, EVERYWHERE, State
from chitlaq.ops.statuspage.maintenance import Maintenance
from tests.ops.incidents.alerts import NOW, alert, report

HOUR = timedelta(hours=1)


async def announced(
    database: OpsDatabase, *names: str, begins: timedelta = -HOUR, lasts: timedelta = 2 * HOUR
) -> Maintenance:
    start = datetime.now(UTC) + begins
    return await maintenance.add(database, names, start, start + lasts, "New disks", "ada")


async def test_work_is_shown_while_it_goes_on_and_not_longer(database: OpsDatabase) -> None:
    work = await announced(database, "feed", begins=HOUR)
    for at, state, status in (
        (work.starts_at - HOUR, State.OPERATIONAL, "scheduled"),
        (work.starts_at, State.UNDER_MAINTENANCE, "in_progress"),
        (work.ends_at, State.OPERATIONAL, "completed"),
    ):
        feed = (await current.components(database, at))[1]
        assert (feed.state, work.status(at)) == (state, status)


async def test_person_s_word_counts_during_work(database: OpsDatabase) -> None:
    await announced(database, "feed")
    await current.set_by_person(database, ["feed"], State.MAJOR_OUTAGE, "ada")
    assert (await current.components(database))[1].state is State.MAJOR_OUTAGE


async def test_work_can_be_ended_early_and_withdrawn_once(database: OpsDatabase) -> None:
    going_on, ahead = (
        await announced(database, "feed"),
        await announced(database, "chat", begins=HOUR),
    )
    assert not (await maintenance.end(database, going_on.id, "ada")).is_withdrawn
    withdrawn = await maintenance.end(database, ahead.id, "ada")
    assert withdrawn.is_withdrawn
    assert withdrawn.status(ahead.starts_at) == "completed"
    assert not withdrawn.is_on(ahead.starts_at)
    with pytest.raises(OperatorError, match="ended at"):
        await maintenance.end(database, ahead.id, "ada")
    with pytest.raises(OperatorError, match="no maintenance 99"):
        await maintenance.end(database, 99, "ada")


@pytest.mark.parametrize(
    ("begins", "lasts"),
    [(HOUR, -HOUR), (-3 * HOUR, HOUR), (HOUR, timedelta(days=31)), (HOUR, timedelta())],
)
async def test_times_must_make_sense(
    database: OpsDatabase, begins: timedelta, lasts: timedelta
) -> None:
    with pytest.raises(OperatorError, match=r"Maintenance (ends|lasts)"):
        await announced(database, "feed", begins=begins, lasts=lasts)


async def test_work_is_on_something_and_has_a_title(database: OpsDatabase) -> None:
    now = datetime.now(UTC)
    for names, title in (([], "x"), (["feeds"], "x"), (["feed"], " "), (["feed"], "two\nlines")):
        with pytest.raises(OperatorError):
            await maintenance.add(database, names, now, now + HOUR, title, "ada")


def alerts() -> list[dict[str, str]]:
    """Every alert that there is, of every service if it is about one."""
    named = {*EVERYWHERE, *(name for one in COMPONENTS.values() for name in one.alerts)}
    services = [row.name for row in inventory.SERVICES]
    return [
        {"alertname": alert.name, "service": service}
        for alert in registry.alerts()
        for service in (
            [""] if alert.name in named else EDGE if alert.name in AT_EDGE else services
        )
    ]


def test_what_opens_no_incident_is_what_is_silenced() -> None:
    for size in range(1, len(COMPONENTS) + 1):
        for names in combinations(COMPONENTS, size):
            now = datetime.now(UTC)
            work = Maintenance(1, "x", "x", "", "", [*names], now, now, None, now, "ada")
            targets = [one.split("=~") for one in maintenance.silenced(names)]
            for labels in alerts():
                is_silent = any(re.fullmatch(pattern, labels[label]) for label, pattern in targets)
                assert is_silent == work.explains(labels), (names, labels)


async def test_expected_alert_opens_no_incident_unless_it_outlasts_the_work(
    database: OpsDatabase,
) -> None:
    await database.rows(
        "add_maintenance", "New disks", "Yeni diskler", "", "", '["chat"]',
        NOW, NOW + timedelta(minutes=10), NOW - HOUR, "ada",
    )  # fmt: skip
    service = alert("ServiceDown", at=60, service="websocket", job="websocket")
    assert await report(database, service, at=120) == []
    # What ended while it was expected is forgotten, also when it is reported late.
    ended = alert("EventLoopLags", at=60, until=500, service="websocket")
    assert await report(database, ended, at=1_200) != [], "ServiceDown has outlasted the work"
    (found,) = await incidents.listed(database, limit=10)
    assert [one.name for one in found.alerts] == ["ServiceDown"]


async def test_other_alert_opens_an_incident_during_work(database: OpsDatabase) -> None:
    await database.rows(
        "add_maintenance", "New disks", "Yeni diskler", "", "", '["chat"]',
        NOW, NOW + timedelta(minutes=10), NOW - HOUR, "ada",
    )  # fmt: skip
    for other in (
        alert("ServiceDown", at=60, service="feed-service", job="feed-service"),
        alert("BackupTooOld", at=60),
    ):
        assert await report(database, other, at=120)


async def test_withdrawn_work_explains_nothing(database: OpsDatabase) -> None:
    work = await announced(database, "chat", begins=HOUR)
    withdrawn = await maintenance.end(database, work.id, "ada")
    labels = {"alertname": "ServiceDown", "service": "websocket"}
    assert maintenance.is_explained([work], labels, work.starts_at)
    assert not maintenance.is_explained([withdrawn], labels, work.starts_at)


async def test_silences_begin_and_end_with_the_work(
    home: Home, database: OpsDatabase, alertmanager: httpx.AsyncClient, alertmanager_url: str
) -> None:
    settings = Settings(alertmanager_url=SecretUrl(alertmanager_url))
    work = await announced(database, "sign-in", "mail")

    async def active() -> dict[str, Any]:
        found = (await alertmanager.get("/api/v2/silences")).json()
        reason = f"maintenance {work.id}: New disks"
        return {
            one["matchers"][0]["value"]: one
            for one in found
            if one["comment"] == reason and one["status"]["state"] == "active"
        }

    async def turn(at: datetime) -> None:
        await silencing.silence(database, home, settings, at)

    now = datetime.now(UTC)
    await turn(work.starts_at - HOUR)
    assert await active() == {}
    for _ in range(2):
        await turn(now)
    made = await active()
    assert made.keys() == {"auth-service", "MailsStuck"}
    assert {one["createdBy"] for one in made.values()} == {"ada"}
    ends = datetime.fromisoformat(made["MailsStuck"]["endsAt"])
    assert abs(ends - work.ends_at - maintenance.ENDING) < timedelta(seconds=1)
    await maintenance.end(database, work.id, "ada")
    await turn(datetime.now(UTC))
    assert await active(), "its alerts may take some minutes to end"
    for _ in range(2):
        await turn(datetime.now(UTC) + maintenance.ENDING)
    assert await active() == {}
    reason = f"maintenance {work.id}: New disks"
    assert sorted(
        one.action for one in await record.listed(database, 10) if one.reason == reason
    ) == ["silence", "silence", "unsilence", "unsilence"]


async def test_silence_of_a_process_that_was_killed_is_not_made_twice(
    home: Home, database: OpsDatabase, alertmanager: httpx.AsyncClient, alertmanager_url: str
) -> None:
    settings = Settings(alertmanager_url=SecretUrl(alertmanager_url))
    now, title = datetime.now(UTC), secrets.token_hex(6)
    works = [
        await maintenance.add(database, ["chat"], now, now + HOUR, title, "ada") for _ in range(2)
    ]
    await silencing.silence(database, home, settings, now)
    before = [dict(row) for row in await database.rows("maintenance_silences")]
    assert len(before) == len(works), "of two maintenances, each has its own"
    # Killed before the database had the first.
    (lost, _) = before
    await database.write(
        statement("drop_maintenance_silence", lost["maintenance_id"], lost["target"])
    )
    await silencing.silence(database, home, settings, now)
    assert [dict(row) for row in await database.rows("maintenance_silences")] == before
    found = (await alertmanager.get("/api/v2/silences")).json()
    made = sorted(one["comment"] for one in found if title in one["comment"])
    assert made == [f"maintenance {one.id}: {title}" for one in works]


async def test_silences_wait_for_an_alertmanager_that_is_down(
    home: Home, database: OpsDatabase
) -> None:
    await announced(database, "chat")
    settings = Settings(alertmanager_url=SecretUrl("http://127.0.0.1:9"))
    with pytest.raises(OperatorError, match="Alertmanager"):
        await silencing.silence(database, home, settings, datetime.now(UTC))
    assert [one.action for one in await record.listed(database, 10)] == ["status maintenance add"]
    assert await database.rows("maintenance_silences") == []


async def test_silence_that_somebody_ended_is_forgotten(
    home: Home, database: OpsDatabase, alertmanager: httpx.AsyncClient, alertmanager_url: str
) -> None:
    """Alertmanager forgets silences after five days, and asking for one is then refused."""
    settings = Settings(alertmanager_url=SecretUrl(alertmanager_url))
    work = await announced(database, "chat")
    unknown = "00000000-0000-4000-8000-000000000000"
    await database.write(
        statement("keep_maintenance_silence", work.id, "service=~websocket", unknown)
    )
    await maintenance.end(database, work.id, "ada")
    await silencing.silence(database, home, settings, datetime.now(UTC) + maintenance.ENDING)
    assert await database.rows("maintenance_silences") == []
