"""An incident ends when its alerts do, comes back with them, and nobody is called for nothing."""

from __future__ import annotations

import asyncio

import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.incidents import incidents, timeline
from chitlaq.ops.incidents.changes import IncidentChangedError
from tests.ops.incidents.alerts import alert, later, names, report


async def kinds(database: OpsDatabase, number: int) -> list[str]:
    return [one.kind for one in await timeline.of(database, number)]


async def test_incident_resolves_itself_five_minutes_after_its_last_alert(
    database: OpsDatabase,
) -> None:
    await report(database, alert("DatabaseDown"), alert("BackupTooOld"))
    await report(database, alert("DatabaseDown", until=100), at=399)
    assert [one.status for one in await incidents.listed(database, limit=9)] == ["open", "open"]
    await later(database, 400)
    found = {one.title: one for one in await incidents.listed(database, limit=9)}
    assert found["BackupTooOld is bad."].status == "open"
    over = found["DatabaseDown is bad."]
    assert (over.status, over.resolved_by) == ("resolved", "ChitLaq")
    assert "resolved" in await kinds(database, over.id)


async def test_incident_resolves_itself_though_a_clock_was_ahead_for_a_while(
    database: OpsDatabase,
) -> None:
    for years in (1, 7000):
        ahead = years * 365 * 86_400
        await report(database, alert("CacheDown", at=ahead))
        await report(database, alert("CacheDown", at=ahead, until=ahead), at=400)
        (found,) = await incidents.listed(database, limit=9)
        assert found.status == "resolved"


async def test_incident_opened_by_hand_is_ended_by_hand(database: OpsDatabase) -> None:
    await incidents.open_by_hand(database, "Slow", "P2", "ada", subject="component:postgres")
    (found,) = await report(database, alert("DatabaseDown"))
    assert (found.opened_by, found.severity, found.title) == ("ada", "P0", "Slow")
    await report(database, alert("DatabaseDown", until=100), at=9_000)
    (found,) = await incidents.listed(database, limit=9)
    assert found.status == "open"


async def test_what_comes_back_within_half_an_hour_reopens_its_incident(
    database: OpsDatabase,
) -> None:
    await report(database, alert("CacheDown"))
    await report(database, alert("CacheDown", until=60), at=400)
    (found,) = await report(database, alert("CacheDown", at=2100), at=2110)
    assert (found.status, found.alerts[0].times) == ("open", 2)
    assert (await kinds(database, found.id)).count("reopened") == 1
    await report(database, alert("CacheDown", at=2100, until=2200), at=2600)
    assert len(await report(database, alert("CacheDown", at=4500), at=4510)) == 2, "that is another"


async def test_reopened_incident_is_called_after_what_is_wrong_now(database: OpsDatabase) -> None:
    for name in ("EdgeDown", "EdgeAvailabilityBurnsFast"):
        await report(database, alert(name, until=60), at=400)
    # It explains what came of the other one, so it is the same incident.
    for name, at in (("DatabaseDown", 900), ("ServiceAvailabilityBurnsFast", 910)):
        (found,) = await report(database, alert(name, at=at), at=at + 5)
        assert (found.status, found.title) == ("open", "DatabaseDown is bad.")
    (found,) = await report(database, alert("EdgeDown", at=920), at=930)
    assert found.title == "EdgeDown is bad.", "it began first, and is wrong again"


async def test_alert_that_flaps_for_an_hour_is_one_incident_that_names_it(
    database: OpsDatabase,
) -> None:
    for at in range(0, 3600, 30):
        await report(database, alert("CacheDown", at=at), at=at + 1)
        await report(database, alert("CacheDown", at=at, until=at + 15), at=at + 16)
    (found,) = await incidents.listed(database, limit=9)
    assert found.status == "open"
    lines = await timeline.of(database, found.id)
    assert [one.kind for one in lines] == ["alert", "opened"]
    assert "flaps: it began 120 times" in lines[0].text
    await later(database, 3600 + 1700)
    assert (await incidents.shown(database, found.id)).status == "open", "it may flap again"
    await later(database, 3600 + 1900)
    assert (await incidents.shown(database, found.id)).status == "resolved"


async def test_slow_flapping_reopens_an_incident_a_few_times_only(database: OpsDatabase) -> None:
    for at in range(0, 10 * 900, 900):
        await report(database, alert("CacheDown", at=at), at=at + 1)
        await report(database, alert("CacheDown", at=at, until=at + 60), at=at + 61)
        await later(database, at + 500)
    (found,) = await incidents.listed(database, limit=9)
    assert (await kinds(database, found.id)).count("reopened") == 2


async def test_acknowledgement_ends_after_its_time(database: OpsDatabase) -> None:
    (found,) = await report(database, alert("DatabaseDown"))
    taken = await incidents.acknowledge(database, found.id, "ada")
    assert taken.acknowledged_until is not None
    await later(database, at=taken.acknowledged_until)
    now = await incidents.shown(database, found.id)
    assert (now.status, now.acknowledged_by) == ("open", None)
    assert "expired" in await kinds(database, found.id)


async def test_worse_alert_ends_an_acknowledgement_that_was_for_less(database: OpsDatabase) -> None:
    (found,) = await report(database, alert("MemoryLow", host="a"))
    await incidents.acknowledge(database, found.id, "ada")
    (same,) = await report(database, alert("InodesLow", host="a"))
    assert (same.status, same.severity) == ("acknowledged", "P2")
    (now,) = await report(database, alert("DiskAlmostFull", host="a"))
    assert (now.status, now.severity, now.title) == ("open", "P0", "DiskAlmostFull is bad.")


async def test_lowered_severity_is_raised_by_another_alert_only(database: OpsDatabase) -> None:
    (found,) = await report(database, alert("DiskAlmostFull", host="a"))
    await incidents.change_severity(database, found.id, "ada", severity="P2", reason="a test disk")
    (now,) = await report(database, alert("DiskAlmostFull", host="a", at=600), at=610)
    assert now.severity == "P2"
    (now,) = await report(database, alert("HostDown", host="a"))
    assert now.severity == "P0"


async def test_of_two_who_acknowledge_at_once_one_is_told(database: OpsDatabase) -> None:
    (found,) = await report(database, alert("DatabaseDown"))
    answers = await asyncio.gather(
        incidents.acknowledge(database, found.id, "ada", found.version),
        incidents.acknowledge(database, found.id, "bob", found.version),
        return_exceptions=True,
    )
    refused = [one for one in answers if isinstance(one, IncidentChangedError)]
    assert len(refused) == 1
    assert "has changed since you looked" in str(refused[0])


async def test_split_alerts_stay_apart_whatever_explains_them(database: OpsDatabase) -> None:
    await report(database, alert("ServiceAvailabilityBurnsFast"), alert("DatabaseDown"))
    made = await incidents.split(database, 1, "ada", alerts=["ServiceAvailabilityBurnsFast"])
    assert (made.id, made.severity) == (2, "P1")
    again = [alert("ServiceAvailabilityBurnsFast", at=300), alert("DatabaseDown", at=300)]
    found = await report(database, *again, at=310)
    assert names(found) == [{"ServiceAvailabilityBurnsFast"}, {"DatabaseDown"}]
    with pytest.raises(OperatorError, match="nothing would be left"):
        await incidents.split(database, 2, "ada", alerts=["ServiceAvailabilityBurnsFast"])


async def test_merged_incident_gets_the_later_alerts_of_both(database: OpsDatabase) -> None:
    await report(database, alert("CacheDown"), alert("BackupTooOld"))
    await incidents.merge(database, 1, "ada", into=2)
    (found,) = await report(
        database, alert("CacheDown", at=600), alert("BackupTooOld", at=600), at=610
    )
    assert (found.id, found.alert_count) == (2, 2)


async def test_incident_whose_alerts_fire_is_not_resolved_without_a_reason(
    database: OpsDatabase,
) -> None:
    (found,) = await report(database, alert("CacheDown"))
    with pytest.raises(OperatorError, match="1 alert of incident 1 may still be firing"):
        await incidents.resolve(database, found.id, "ada")
    over = await incidents.resolve(database, found.id, "ada", reason="a test of ours")
    assert over.status == "resolved"
    (still,) = await report(database, alert("CacheDown"), at=600)
    assert still.status == "resolved", "the same episode is reported again"


async def test_what_a_person_raises_is_acknowledged_for_a_shorter_time(
    database: OpsDatabase,
) -> None:
    (found,) = await report(database, alert("CacheDown"))
    taken = await incidents.acknowledge(database, found.id, "ada")
    raised = await incidents.change_severity(
        database, found.id, "ada", severity="P0", reason="nobody can sign in"
    )
    assert taken.acknowledged_until is not None
    assert raised.acknowledged_until is not None
    assert raised.acknowledged_until < taken.acknowledged_until
