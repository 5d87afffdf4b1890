"""``chitlaq ops watch``: a screen of checks that refreshes itself."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from chitlaq.cli import installation


def register(ops: typer.Typer) -> None:
    ops.command()(watch)


def watch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Checks. Default: a selection of quick ones."),
    ] = None,
    every: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between runs.")] = 5.0,
) -> None:
    """Run checks repeatedly on one screen, worst first. Ctrl-C ends it.

    Example: chitlaq ops watch database host --every 2
    """
    from chitlaq.cli.ops import screen
    from chitlaq.ops import routines
    from chitlaq.ops.checks import registry

    home, settings = installation.current()
    checks = registry.select(names or routines.WATCHED)
    asyncio.run(screen.refresh(home, settings, checks, every))
