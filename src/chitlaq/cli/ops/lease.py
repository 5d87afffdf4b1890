"""Say which ops-service acts."""

from __future__ import annotations

import asyncio

import typer

from chitlaq.cli import installation, output
from chitlaq.core.formatting import duration


def lease(as_json: output.AsJson = False) -> None:
    """Show whose ops-service runs routines and tells people of incidents; exit code 3 if nobody's does.

    Of several machines with one database one does, and another takes over when it is gone.

    Example: chitlaq ops lease
    """
    from chitlaq.ops.lease import asking

    home, settings = installation.current()
    found = asyncio.run(asking.ask(home, settings))
    if as_json:
        output.print_json(found)
    elif found is None:
        typer.echo("Nobody has held the lease yet: ops-service takes it when it starts.")
    else:
        since = output.local_time(found.held_since)
        here = "this machine" if found.is_here else "another machine"
        if found.is_held:
            typer.echo(
                f"{found.host} ({here}) holds the lease since {since}, as holder number {found.epoch}."
            )
        else:
            typer.echo(
                f"Nobody holds the lease since {duration(-found.seconds_left)}; before, {found.host} ({here})"
                f" held it since {since}."
            )
    if found is None or not found.is_held:
        raise typer.Exit(output.UNHEALTHY)
