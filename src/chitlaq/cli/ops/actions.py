"""Carry out an action on the record, and list the record."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import Annotated
from uuid import UUID

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.core.errors import OperatorError


def do(
    name: Annotated[str, typer.Argument(metavar="ACTION", help="See `chitlaq ops list`.")],
    target: Annotated[str, typer.Argument(help="The target, if the action needs one.")] = "",
    yes: output.Yes = False,
    why: Annotated[str | None, typer.Option("--why", help="The reason, for the record.")] = None,
    operator: history_db.Operator = None,
    recorded_as: Annotated[
        UUID | None, typer.Option(hidden=True, help="The record that the console has begun.")
    ] = None,
) -> None:
    """Carry out an action: it is shown first, confirmed, and recorded.

    Without a terminal and without --yes, nothing is done.

    Examples: chitlaq ops do prune · chitlaq ops do kill 4711 --why "holds the lock of incident 3"
    """
    from chitlaq.ops.actions import record, registry
    from chitlaq.ops.actions.model import ActionContext

    home, settings = installation.current()
    action, context = registry.select(name, target), ActionContext(home, settings)
    plan = asyncio.run(action.plan(context, target))
    typer.echo(f"{action.title}:")
    for line in plan or ["nothing to do"]:
        typer.echo(f"  {line}")
    if not plan:
        return
    is_terminal = sys.stdin.isatty()
    if not yes and not (is_terminal and typer.confirm("Do it?")):
        hint = "" if is_terminal else " To do it, add --yes and --why."
        typer.echo(f"Nothing was done.{hint}")
        return
    if not why and is_terminal:
        why = typer.prompt("Why")
    if not why:
        raise OperatorError("Give the reason, for the record: --why TEXT.")
    begun = record.begun(name, target, history_db.operator(operator), why, recorded_as)
    told = replace(context, say=lambda text: typer.echo(text, err=True))
    done = history_db.ask(lambda database: record.carry_out(action, told, begun, database))
    if recorded_as is not None:
        # The console shows the record.
        raise typer.Exit(0 if done.succeeded else 1)
    typer.echo(done.output)
    if not done.succeeded:
        raise OperatorError(f"{name} failed; its output is above and in the record.")


def actions(limit: output.Limit = 20, as_json: output.AsJson = False) -> None:
    """Show who did what, when and why.

    Example: chitlaq ops actions
    """
    from chitlaq.ops.actions import record

    found = history_db.ask(lambda database: record.listed(database, limit))
    outcomes = {True: "done", False: "failed", None: "did not end"}
    output.print_rows(
        found,
        {
            "when": lambda one: output.local_time(one.started_at),
            "action": lambda one: f"{one.action} {one.target}".strip(),
            "by": lambda one: one.operator,
            "why": lambda one: one.reason,
            "outcome": lambda one: outcomes[one.succeeded],
            "output": lambda one: one.output.strip().rpartition("\n")[2],
        },
        as_json=as_json,
    )
