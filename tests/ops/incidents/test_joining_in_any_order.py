"""Whatever order, batches and repetitions alerts are reported in, the same incidents come of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history.alert_history import ReportedAlert
from chitlaq.ops.incidents import incidents, joining
from tests.conftest import run_folder
from tests.ops.incidents.alerts import NOW, alert, report

# What explains what (a host, a database, the edge, services), families, and what has to do with none.
ABOUT = [
    alert("HostDown", host="a"), alert("InodesLow", host="a"), alert("MemoryLow", host="b"),
    alert("DatabaseDown"), alert("EdgeDown"), alert("EdgeAvailabilityBurnsFast"),
    alert("ServiceAvailabilityBurnsFast"), alert("ServiceLatencyBurnsFast", service="websocket"),
    alert("ServiceDown", service="websocket", job="websocket"), alert("DatabaseClockDiffersUnseen"),
    alert("BackupTooOld"), alert("BackupBad", kind="physical"), alert("MailsStuck"),
    alert("Watchdog"), alert("JobsDead"),
]  # fmt: skip

Reports = list[list[ReportedAlert]]


@st.composite
def told(draw: st.DrawFn, most: int = 8) -> tuple[Reports, Reports]:
    """Reports as they should come, and the same in another order, repeated, in other batches."""
    chosen = draw(st.lists(st.sampled_from(ABOUT), min_size=1, max_size=most, unique_by=id))
    reports: list[ReportedAlert] = []
    for one in chosen:
        for at in draw(st.lists(st.integers(0, 8), min_size=1, max_size=2, unique=True)):
            started = NOW + timedelta(seconds=at * 30)
            reports.append(replace(one, starts_at=started))
            if draw(st.booleans()):
                over = started + timedelta(seconds=20)
                reports.append(replace(one, starts_at=started, ends_at=over, status="resolved"))
    reports.sort(key=lambda one: (one.starts_at, one.status))
    again = reports + draw(st.lists(st.sampled_from(reports), max_size=4))
    shuffled = draw(st.permutations(again))
    cuts = sorted(draw(st.sets(st.integers(1, len(shuffled)), max_size=6)))
    parts = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    return [reports], parts


async def outcome(batches: Sequence[Sequence[ReportedAlert]], at: float) -> set[object]:
    with (
        tempfile.TemporaryDirectory(dir=run_folder()) as folder,
        OpsDatabase(Home(Path(folder))) as database,
    ):
        for batch in batches:
            await report(database, *batch, at=at)
        return {
            (frozenset(alert.fingerprint for alert in one.alerts), one.severity, one.title)
            for one in await incidents.listed(database, limit=100)
        }


@given(told())
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
async def test_order_and_repetition_change_nothing(reports: tuple[Reports, Reports]) -> None:
    """Without storms: what was one before its causes were known stays one incident."""
    expected, found = reports
    with mock.patch.object(joining, "STORM", len(ABOUT)):
        assert await outcome(expected, at=270) == await outcome(found, at=270)


@given(told(most=joining.STORM - 1))
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
async def test_neither_does_what_was_resolved_meanwhile(reports: tuple[Reports, Reports]) -> None:
    expected, found = reports
    assert await outcome(expected, at=1200) == await outcome(found, at=1200)


async def test_a_storm_is_one_incident_in_any_order() -> None:
    storm = [alert("ErrorsLogged", at=n, service=f"service-{n:02}") for n in range(20)]
    forwards = await outcome([[one] for one in storm], at=60)
    assert len(forwards) == 1
    assert await outcome([[one] for one in reversed(storm)], at=60) == forwards
    assert await outcome([storm], at=60) == forwards
