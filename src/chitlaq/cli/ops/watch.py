"""``chitlaq ops watch``: a screen of checks that refreshes itself, with the worst results that fit."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import installation, terminal

if TYPE_CHECKING:
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings
    from chitlaq.ops.checks.model import Check


def watch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Checks. Default: a selection of quick ones.")
    ] = None,
    every: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between runs.")] = 5.0,
) -> None:
    """Run checks repeatedly on one screen, worst first. Ctrl-C ends it.

    Example: chitlaq ops watch database host --every 2
    """
    from chitlaq.ops import routines
    from chitlaq.ops.checks import registry

    home, settings = installation.current()
    checks = registry.select(names or routines.WATCHED)
    asyncio.run(_refresh(home, settings, checks, every))


async def _refresh(home: Home, settings: Settings, checks: Sequence[Check], every: float) -> None:
    """Run, show and wait until interrupted. A pipe receives one run after the other."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from chitlaq.cli import run_view
    from chitlaq.ops import routines
    from chitlaq.ops.checks import runner
    from chitlaq.ops.checks.sources.system import SystemView
    from chitlaq.ops.database.database import OpsDatabase

    console = terminal.console()
    task = asyncio.current_task()
    assert task is not None
    # Ctrl-C ends it even if a background shell makes its children ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    live = Live(console=console, screen=True, auto_refresh=False) if console.is_terminal else None
    with suppress(asyncio.CancelledError), live or nullcontext(), OpsDatabase(home) as database:
        while True:
            system = SystemView(home, settings)
            try:
                run = await runner.run(system, "watch", checks, "watch")
            finally:
                await system.close()
            run = await routines.with_notes_if_available(database, run)
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
