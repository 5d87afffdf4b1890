"""kill -9 between storing an alert and opening its incident loses none, and opens none twice."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.database import database as database_module
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload
from chitlaq.ops.incidents import incidents, timeline
from tests.conftest import short_form
from tests.ops.incidents.alerts import alert, later

FIRST = [alert("ServiceAvailabilityBurnsFast"), alert("EdgeAvailabilityBurnsFast")]
CAUSE = [alert("DatabaseDown"), alert("BackupTooOld")]


def _die_at(home: Home, step: int) -> None:
    """Report the cause of two open incidents, and die before a statement of the transaction."""
    asyncio.run(_report_and_join(home, step))


async def _report_and_join(home: Home, step: int) -> None:
    left = step
    run = database_module.Transaction._run

    def counted(self: database_module.Transaction, name: str, args: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(self, name, args)  # type: ignore[arg-type]

    with OpsDatabase(home) as database:
        await alert_history.store(database, AlertmanagerPayload(CAUSE))
        database_module.Transaction._run = counted  # type: ignore[method-assign, assignment]
        await later(database, 60)


@pytest.mark.parametrize("step", short_form(range(40), "0", "7", "12"))
async def test_killed_at_any_statement_it_goes_on_where_it_was(tmp_path: Path, step: int) -> None:
    home = Home(tmp_path)
    with OpsDatabase(home) as database:
        await alert_history.store(database, AlertmanagerPayload(FIRST))
        await later(database, 30)
        assert len(await incidents.listed(database, limit=9)) == 2
    process = multiprocessing.get_context("fork").Process(target=_die_at, args=(home, step))
    process.start()
    process.join(60)
    assert process.exitcode in {-signal.SIGKILL, 0}
    if process.exitcode == 0:
        assert step > 15, "it was not killed"
    with OpsDatabase(home) as database:
        await later(database, 60)
        await later(database, 61)
        found = await incidents.listed(database, limit=9)
        assert sorted(one.alert_count for one in found) == [1, 3]
        (merged,) = [one for one in found if one.alert_count == 3]
        lines = [one.kind for one in await timeline.of(database, merged.id)]
        assert lines.count("opened") == 2, "of both that were merged"
        assert lines.count("severity") == 0
