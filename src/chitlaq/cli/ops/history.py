"""Earlier runs, what changed between them, and what operators wrote about checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.cli.ops.options import AsMarkdown, Details, RunFormat
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.ops.checks.runner import Run
    from chitlaq.ops.database.database import OpsDatabase

OneCheck = Annotated[str, typer.Argument(metavar="CHECK")]


def history(
    routine: Annotated[str | None, typer.Argument(help="Only runs of this routine.")] = None,
    limit: output.Limit = 20,
    as_json: output.AsJson = False,
) -> None:
    """List earlier runs, newest first.

    Example: chitlaq ops history morning
    """
    from chitlaq.ops import routines
    from chitlaq.ops.history import run_history

    found = history_db.ask(lambda database: run_history.listed(database, routine, limit))
    if not found and routine is not None:
        routines.require_recorded(routine)
    output.print_rows(
        found,
        {
            "run": lambda one: one.id,
            "routine": lambda one: one.routine,
            "when": lambda one: output.local_time(one.started_at),
            "verdict": lambda one: one.verdict,
            "by": lambda one: one.started_by,
            "took": lambda one: f"{one.duration_seconds:.1f} s",
            "found": lambda one: ", ".join(f"{n} {verdict}" for verdict, n in one.counts.items()),
        },
        as_json=as_json,
    )


def show(
    run_id: Annotated[
        str, typer.Argument(help="The id of a run (`chitlaq ops history`), or its beginning.")
    ],
    details: Details = False,
    as_json: output.AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Show an earlier run.

    Example: chitlaq ops show 019ab --details
    """
    from chitlaq.ops.history import run_history
    from chitlaq.ops.history.notes import with_notes

    async def find(database: OpsDatabase) -> Run | None:
        run = await run_history.find(database, run_id)
        return None if run is None else await with_notes(database, run)

    run = history_db.ask(find)
    if run is None:
        raise OperatorError(f"There is no run {run_id}: `chitlaq ops history` lists them.")
    RunFormat(details, as_json, as_markdown=as_markdown).print(run, *installation.current())


def diff(
    routine: Annotated[str, typer.Argument(help="A routine.")] = "morning",
    as_json: output.AsJson = False,
) -> None:
    """Show what changed between the last two runs of a routine.

    Example: chitlaq ops diff morning
    """
    from chitlaq.ops import routines
    from chitlaq.ops.history import run_diff

    routines.routine(routine)
    found = history_db.ask(lambda database: run_diff.latest(database, routine))
    if as_json:
        output.print_json(
            {"before": found.before.id, "after": found.after.id, "changes": found.changes}
        )
    elif found.changes:
        output.print_table(
            ["check", "was", "is", "now"],
            [[one.check, one.before, one.after, one.summary] for one in found.changes],
        )
    else:
        typer.echo(f"No verdict has changed since {output.local_time(found.before.started_at)}.")


def note(
    name: OneCheck,
    text: Annotated[str, typer.Argument(help="What you saw, thought or did.")],
    operator: history_db.Operator = None,
) -> None:
    """Record an observation about a check.

    Example: chitlaq ops note host.disk "ordered two disks, they arrive on Friday"
    """
    _add_note(name, "note", text, operator)


def ack(
    name: OneCheck,
    text: Annotated[str, typer.Argument(help="Why this is known, and what is being done.")],
    operator: history_db.Operator = None,
) -> None:
    """Acknowledge a problem: it is shown with your text until the check is OK again.

    Example: chitlaq ops ack host.disk "two disks arrive on Friday"
    """
    _add_note(name, "acknowledgement", text, operator)


def _add_note(name: str, kind: str, text: str, operator: str | None) -> None:
    from chitlaq.ops.checks import registry
    from chitlaq.ops.history import notes

    check, who = registry.one(name), history_db.operator(operator)
    history_db.require_here()
    history_db.ask(lambda database: notes.add(database, check.id, kind, text, who))
    typer.echo(f"Recorded: {kind} by {who} on {name}.")


def notes(
    names: Annotated[list[str] | None, typer.Argument(metavar="CHECK")] = None,
    limit: output.Limit = 20,
    as_json: output.AsJson = False,
) -> None:
    """Show notes and acknowledgements, newest first.

    Example: chitlaq ops notes host.disk
    """
    from chitlaq.ops.checks import registry
    from chitlaq.ops.history import notes

    chosen = [one.id for one in registry.select(names)] if names else None
    found = history_db.ask(lambda database: notes.listed(database, chosen, limit))
    output.print_rows(
        found,
        {
            "when": lambda one: output.local_time(one.created_at),
            "check": lambda one: one.check,
            "kind": lambda one: one.kind + ("" if one.ended_at is None else ", over"),
            "by": lambda one: one.operator,
            "text": lambda one: one.text,
        },
        as_json=as_json,
    )
