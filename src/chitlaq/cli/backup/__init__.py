"""Backups: ``chitlaq backup run``, ``list``, ``verify``, ``drill``, ``restore``, ``prune``, ``status`` …"""

from __future__ import annotations

import typer

from chitlaq.cli.backup import listing, offsite, proof, prune, restore, run


def register(app: typer.Typer) -> None:
    backup = typer.Typer(
        name="backup",
        help="Take backups, and prove them: verify, restore into a scratch server, compare.",
        no_args_is_help=True,
    )
    # In the order in which --help lists them.
    for command in (
        run.run, listing.list_, listing.status, proof.verify, proof.drill, restore.restore,
        prune.prune, prune.discard, offsite.key, offsite.fetch, offsite.take_over,
    ):  # fmt: skip
        backup.command(command.__name__.rstrip("_").replace("_", "-"))(command)
    backup.command(hidden=True)(offsite.archive)
    app.add_typer(backup)
