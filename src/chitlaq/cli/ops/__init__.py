"""``chitlaq ops``: run the runbook's checks, keep their history, and carry out actions."""

from __future__ import annotations

from collections.abc import Callable

import typer

from chitlaq.cli.ops import actions, checks, history, lease, report, watch


def register(app: typer.Typer) -> None:
    ops = typer.Typer(
        no_args_is_help=True, help="The runbook: run checks, keep their history, and act."
    )
    # In the order in which --help lists them.
    commands: tuple[Callable[..., None], ...] = (
        *(checks.routine(name, purpose) for name, purpose in checks.ROUTINES.items()),
        checks.check, checks.list_, history.history, history.show, history.diff, history.note,
        history.ack, history.notes, actions.do, actions.actions, watch.watch, lease.lease,
        report.report, report.runbook,
    )  # fmt: skip
    for command in commands:
        ops.command(command.__name__.rstrip("_"))(command)
    app.add_typer(ops, name="ops")
