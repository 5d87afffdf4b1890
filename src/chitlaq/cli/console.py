"""``chitlaq console``: a link that signs in to the operations console."""

from __future__ import annotations

import asyncio

import typer

from chitlaq.cli import history_db, installation


def register(app: typer.Typer) -> None:
    app.command()(console)


def console(operator: history_db.Operator = None) -> None:
    """Print a link that signs in to the operations console: once, within ten minutes.

    It needs no operator's account, so it is also the way in when one is locked or forgotten.

    Example: chitlaq console
    """
    from chitlaq.ops.console.access import links

    home, settings = installation.current()
    who = history_db.operator(operator)
    for link in asyncio.run(links.asked(home, settings, who)):
        typer.echo(link)
