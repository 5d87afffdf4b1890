"""Ten thousand incidents in history cost neither time nor memory when one looks at a few of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase, Statement, statement
from chitlaq.ops.history import alert_history, run_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload
from chitlaq.ops.incidents import action_items, incidents, timeline
from tests.ops.incidents.alerts import NOW, alert, later, report

MANY = 10_000
LINES = 10


def history(count: int) -> list[Statement]:
    """What stores resolved incidents, an hour apart, each with two alerts and ten lines."""
    found: list[Statement] = []
    for number in range(1, count + 1):
        hours = -3600 * (count - number + 2)
        at = NOW + timedelta(seconds=hours)
        both = [
            alert("ErrorsLogged", at=hours, until=hours + 60, service=f"service-{one}")
            for one in range(2)
        ]
        found += alert_history.statements(AlertmanagerPayload(both))
        found.append(statement("open_incident", f"Errors {number}", "P2", "", at, "ChitLaq", 1, 0))
        over = at + timedelta(minutes=6)
        found.append(
            statement(
                "change_incident", number, "P2", "resolved", f"Errors {number}", "", None, None, None,
                over, "ChitLaq", None, 0, 1, 1,
            )
        )  # fmt: skip
        found += [
            statement("add_alert_to_incident", one.fingerprint, one.starts_at, number)
            for one in both
        ]
        found += [timeline.add(number, "note", "ada", f"line {n}", at=at) for n in range(LINES)]
    return found


async def seconds(work: Callable[[], Awaitable[object]]) -> float:
    """The median time of a few calls."""
    taken = []
    for _ in range(15):
        begun = perf_counter()
        await work()
        taken.append(perf_counter() - begun)
    return median(taken)


async def looks(database: OpsDatabase, number: int) -> list[float]:
    async def lines() -> list[timeline.Entry]:
        return await timeline.of(database, number)

    return [
        await seconds(lambda: incidents.listed(database, limit=50)),
        await seconds(lambda: incidents.shown(database, number)),
        await seconds(lines),
        await seconds(lambda: later(database, 60)),
    ]


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_ten_thousand_incidents_slow_nothing_down(tmp_path: Path) -> None:
    taken = {}
    for count in (60, MANY):
        with OpsDatabase(Home(tmp_path / str(count))) as database:
            await database.write(*history(count))
            await report(database, alert("DatabaseDown"))
            tracemalloc.start()
            taken[count] = await looks(database, count // 2)
            (_, peak) = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 5e6
    for few, many in zip(taken[60], taken[MANY], strict=True):
        # A look at each of them would take 170 times as long.
        assert many < 20 * few + 0.05, taken


async def test_incidents_leave_with_the_rest_of_the_history(database: OpsDatabase) -> None:
    await database.write(*history(5))
    await report(database, alert("DatabaseDown"))
    await action_items.add(database, 2, "ada", text="see", owner="ada", due_on=date(2999, 1, 31))
    await run_history.prune(database, NOW - timedelta(hours=3))
    assert [one.id for one in await incidents.listed(database, limit=9)] == [6, 5, 4, 2]
    await action_items.finish(database, 1, "ada")
    await run_history.prune(database, NOW - timedelta(hours=3))
    assert [one.id for one in await incidents.listed(database, limit=9)] == [6, 5, 4]
    assert await timeline.of(database, 1) == []
