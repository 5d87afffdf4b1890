"""The screen of `chitlaq ops watch`: it shows the worst results that fit."""

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

from chitlaq.cli import run_view
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops import routines
from chitlaq.ops.checks import runner
from chitlaq.ops.checks.model import Check
from chitlaq.ops.checks.sources.system import SystemView


def _end_on_signal() -> None:
    """Let Ctrl-C end it even if a background shell makes its children ignore SIGINT."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def refresh(home: Home, settings: Settings, checks: Sequence[Check], every: float) -> None:
    """Run, show and wait until interrupted. A pipe receives one run after the other."""
    console = Console()
    _end_on_signal()
    live = Live(console=console, screen=True, auto_refresh=False) if console.is_terminal else None
    with suppress(asyncio.CancelledError), live or nullcontext():
        while True:
            system = SystemView(home, settings)
            try:
                run = await runner.run(system, "watch", checks, "watch")
            finally:
                await system.close()
            run = await routines.with_notes_if_available(home, settings, run)
            if live is None:
                console.print(run_view.rendered(run, {}, details=False))
                sys.stdout.flush()
            else:
                foot = Text(
                    f"{datetime.now().astimezone():%H:%M:%S}, every {every:g} s; Ctrl-C ends",
                    style="dim",
                )
                shown = run_view.fitting(run, console, console.height - 1)
                live.update(Group(shown, foot), refresh=True)
            await asyncio.sleep(every)
