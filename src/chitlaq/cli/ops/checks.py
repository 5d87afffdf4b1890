"""Run routines and single checks, and list them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.cli.ops.options import AsMarkdown, AsNagios, Details, RunFormat

if TYPE_CHECKING:
    from chitlaq.ops.checks.model import Check
    from chitlaq.ops.checks.runner import Result

# As in `ops.routines.ROUTINES`, which would import every check for `--help`; a test compares them.
ROUTINES = {
    "morning": "Is everything up, and what happened overnight?",
    "midday": "How fast and how reliably are members served?",
    "evening": "The day in review, backups, security, and capacity for tomorrow.",
    "weekly": "Updates, log rotation, files that are safe to delete, and action items.",
    "monthly": "Speed, capacity and growth.",
}


def routine(name: str, purpose: str) -> Callable[..., None]:
    """Return the command that runs a routine."""

    def command(
        details: Details = False,
        as_json: output.AsJson = False,
        as_nagios: AsNagios = False,
        as_markdown: AsMarkdown = False,
        operator: history_db.Operator = None,
    ) -> None:
        from chitlaq.ops import routines

        form = RunFormat(details, as_json, as_nagios, as_markdown)
        _run(name, routines.checks_of(name), operator, form)

    command.__name__ = name
    command.__doc__ = f"{purpose}\n\nExample: chitlaq ops {name} --details"
    return command


def check(
    names: Annotated[
        list[str],
        typer.Argument(help="Checks by id, or every check of a kind: database, api, host."),
    ],
    details: Details = False,
    as_json: output.AsJson = False,
    as_nagios: AsNagios = False,
    as_markdown: AsMarkdown = False,
    operator: history_db.Operator = None,
) -> None:
    """Run single checks.

    Examples: chitlaq ops check database · chitlaq ops check host.disk --details
    """
    from chitlaq.ops.checks import registry

    form = RunFormat(details, as_json, as_nagios, as_markdown)
    _run("check", registry.select(names), operator, form)


def _run(name: str, checks: Sequence[Check], operator: str | None, form: RunFormat) -> None:
    """Run checks, print and record their results; the exit code reports the verdict."""
    from chitlaq.ops import routines

    home, settings = installation.current()
    who = history_db.operator(operator)
    with output.progress(enabled=form.is_for_people) as advance:

        def on_result(result: Result, done: int, total: int) -> None:
            advance(name, done, total)

        run, trouble = asyncio.run(
            routines.run_and_store(home, settings, name, checks, who, on_result)
        )
    form.print(run, home, settings)
    if trouble:
        typer.echo(f"\n{trouble}", err=not form.is_for_people)
    output.exit_now(form.exit_code(run))


def list_(as_json: output.AsJson = False) -> None:
    """List all checks, routines and actions.

    Example: chitlaq ops list
    """
    from chitlaq.ops import routines
    from chitlaq.ops.actions.registry import ACTIONS
    from chitlaq.ops.checks import registry

    checks = registry.CHECKS
    if as_json:
        home, settings = installation.current()
        output.print_json(
            [
                {
                    "check": one.id,
                    "title": one.title,
                    "section": one.section,
                    "looks_at": one.looks_at,
                    "remedy": one.remedy,
                    "commands": registry.commands(one, settings, home),
                    "routines": routines.containing(one.id),
                }
                for one in checks.values()
            ]
        )
        return
    output.print_table(
        ["check", "what", "routines", "looks at"],
        [
            [c.id, c.title, ", ".join(routines.containing(c.id)), c.looks_at]
            for c in checks.values()
        ],
    )
    typer.echo()
    output.print_table(
        ["action", "what", "needs"], [[a.name, a.title, a.target] for a in ACTIONS.values()]
    )
