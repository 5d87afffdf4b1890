"""Backups: ``chitlaq backup run``, ``list``, ``verify``, ``drill``, ``restore``, ``prune``, ``status`` …"""

from __future__ import annotations

import typer

from chitlaq.cli.backup import listing, offsite, proving, removing, restoring, taking


def register(app: typer.Typer) -> None:
    backup = typer.Typer(
        name="backup",
        help="Take backups, and prove them: verify, restore into a scratch server, compare.",
        no_args_is_help=True,
    )
    for module in (taking, listing, proving, restoring, removing, offsite):
        module.register(backup)
    app.add_typer(backup)
