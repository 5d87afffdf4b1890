"""``chitlaq ops``: run the runbook's checks, keep their history, and carry out actions."""

from __future__ import annotations

import typer

from chitlaq.cli.ops import actions, checks, history, report, watch


def register(app: typer.Typer) -> None:
    ops = typer.Typer(
        no_args_is_help=True, help="The runbook: run checks, keep their history, and act."
    )
    # In the order in which --help lists them.
    for module in (checks, history, actions, watch, report):
        module.register(ops)
    app.add_typer(ops, name="ops")
