"""Ten thousand incidents in history leave the console quick, and the service that serves it small."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase
from tests.conftest import Stack
from tests.ops.console.conftest import Visitor
from tests.ops.incidents.test_much_history import MANY, history, seconds


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_first_screen_with_everything_down_is_quick_and_ops_service_stays_small(
    alone: Stack, visitor: Callable[[], Visitor]
) -> None:
    with OpsDatabase(Home(alone.home)) as database:
        await database.write(*history(MANY))
    one = visitor()
    await one.use_link(alone)
    for path in ("/ops/incidents", f"/ops/incidents/{MANY}", "/ops/alerts", "/ops/audit"):
        assert (await one.get(path)).status_code == 200
    assert await seconds(lambda: one.get("/ops/")) < 1
    assert memory_of_listener(alone.ports["ops"]) < 100e6


def memory_of_listener(port: int) -> float:
    """The proportional set size of the process that listens on a port, in bytes."""
    (pid,) = {
        one.pid
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port
    }
    found: float = psutil.Process(pid).memory_full_info().pss
    return found
