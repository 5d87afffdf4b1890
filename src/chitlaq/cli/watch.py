"""``chitlaq ops watch``: the same checks again and again, on one screen."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from chitlaq.cli import history_db, run_view
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops import routines
from chitlaq.ops.checks.model import Check
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.system import SystemView

USUAL = (
    "services.processes", "gateway.health", "websocket.health", "feed.health", "search.health",
    "auth.health", "ops.health", "alerts.active", "api.latency", "api.throughput", "api.errors",
    "api.refusals", "websocket.connections", "database.connections", "database.locks",
    "database.activity", "redis.memory", "redis.stats", "host.load", "host.memory", "host.disk",
    "host.cpu", "host.bandwidth",
)  # fmt: skip


def usual() -> list[Check]:
    """The checks that are quick, and that change from one moment to the next."""
    return [CHECKS[name] for name in USUAL]


def _end_when_told() -> None:
    """Let Ctrl-C end it also where a shell in the background lets its children ignore that."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def watch(home: Home, settings: Settings, checks: Sequence[Check], every: float) -> None:
    """Look, show, wait; until interrupted. A pipe gets one look after the other."""
    console = Console()
    _end_when_told()
    live = Live(console=console, screen=True, auto_refresh=False) if console.is_terminal else None
    with suppress(asyncio.CancelledError), live or nullcontext():
        while True:
            system = SystemView(home, settings)
            try:
                run = await routines.run(system, "watch", checks, "watch")
            finally:
                await system.close()
            run = await history_db.with_notes(home, settings, run)
            if live is None:
                console.print(run_view.rendered(run, {}, details=False))
                sys.stdout.flush()
            else:
                foot = Text(
                    f"{datetime.now().astimezone():%H:%M:%S}, again every {every:g} s; Ctrl-C ends",
                    style="dim",
                )
                shown = run_view.fitting(run, console, console.height - 1)
                live.update(Group(shown, foot), refresh=True)
            await asyncio.sleep(every)
