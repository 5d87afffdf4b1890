"""Alerts on the same thing are one incident, in whatever order and how often they are reported."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload
from chitlaq.ops.incidents import incidents, joining, timeline
from tests.ops.incidents.alerts import NOW, alert, later, names, report


async def test_alert_opens_an_incident_with_its_severity_and_summary(database: OpsDatabase) -> None:
    (found,) = await report(database, alert("DatabaseDown"))
    assert (found.severity, found.status, found.title) == ("P0", "open", "DatabaseDown is bad.")
    assert found.subject == "component:postgres"
    assert [one.kind for one in await timeline.of(database, found.id)][-1] == "opened"


@pytest.mark.parametrize("name", ["Watchdog", "DeadlocksOften"])
async def test_watchdog_and_p3_open_nothing(database: OpsDatabase, name: str) -> None:
    assert await report(database, alert(name)) == []


async def test_cause_and_effects_are_one_incident_that_is_called_after_the_cause(
    database: OpsDatabase,
) -> None:
    await report(database, alert("ServiceAvailabilityBurnsFast", service="feed-service"))
    await report(database, alert("EdgeAvailabilityBurnsFast"))
    assert len(await report(database, alert("BackupTooOld"))) == 3
    found = await report(database, alert("DatabaseDown", at=50))
    assert names(found)[1] == {
        "ServiceAvailabilityBurnsFast", "EdgeAvailabilityBurnsFast", "DatabaseDown",
    }  # fmt: skip
    assert (found[1].title, found[1].severity) == ("DatabaseDown is bad.", "P0")


async def test_effect_joins_the_cause_that_was_there_before(database: OpsDatabase) -> None:
    await report(database, alert("DatabaseDown"))
    (found,) = await report(database, alert("ServiceAvailabilityBurnsFast", at=30))
    assert found.title == "DatabaseDown is bad."
    assert found.alert_count == 2


async def test_incident_is_called_after_what_began_first_though_it_is_reported_last(
    database: OpsDatabase,
) -> None:
    await report(database, alert("BackupTooOld", at=60))
    (found,) = await report(database, alert("BackupBad", at=30))
    assert found.title == "BackupBad is bad."
    (found,) = await report(database, alert("BackupTooOld", at=0))
    assert found.title == "BackupTooOld is bad."


async def test_fifty_alerts_are_one_incident(database: OpsDatabase) -> None:
    storm = [alert("ErrorsLogged", at=n, service=f"service-{n}") for n in range(50)]
    for one in storm:
        await report(database, one)
    (found,) = await incidents.listed(database, limit=100)
    assert found.alert_count == 50
    assert found.title.startswith("Alert storm: ")


async def test_storm_does_not_go_on_because_its_messages_fail(database: OpsDatabase) -> None:
    down = [alert("ErrorsLogged", at=n, until=60, service=f"service-{n}") for n in range(5)]
    await report(database, alert("PagesFail", at=2), *down)
    found = await report(database, alert("PagesStuck", at=50))
    assert {frozenset(one) for one in names(found)} == {
        frozenset({"ErrorsLogged"}), frozenset({"PagesFail", "PagesStuck"}),
    }  # fmt: skip
    await later(database, 500)
    storm, pages = sorted(
        await incidents.listed(database, limit=9), key=lambda one: -one.alert_count
    )
    assert (storm.status, pages.status) == ("resolved", "open")


async def test_alert_that_nobody_can_read_or_name_keeps_no_other_from_opening_an_incident(
    database: OpsDatabase,
) -> None:
    nameless = replace(alert(" ", severity="P1"), annotations={"summary": " "})
    await alert_history.store(database, AlertmanagerPayload([nameless]))
    labels = '{"component": ["of", "another", "form"]}'
    broken = ("broken", "Broken", "P0", labels, "", "", NOW, None)
    await database.write(statement("keep_alert", *broken))
    found = await report(database, alert("CacheDown"))
    assert {one.title for one in found} == {"CacheDown is bad.", "An alert without a name"}


async def test_incidents_that_are_too_many_are_one_whenever_their_alerts_began(
    database: OpsDatabase,
) -> None:
    hours = range(0, 3600 * 3 * joining.MAX_OPEN, 3600)
    alerts = [alert("ErrorsLogged", at=-at, service=f"service-{at}") for at in hours]
    assert len(await report(database, *alerts[: joining.MAX_OPEN])) == joining.MAX_OPEN
    for first in range(joining.MAX_OPEN, len(alerts), joining.MAX_OPEN):
        found = await report(database, *alerts[first : first + joining.MAX_OPEN])
    assert len(found) <= joining.MAX_OPEN
    assert sum(one.alert_count for one in found) == len(alerts)
    assert found[-1].title.startswith("Alert storm: ")
