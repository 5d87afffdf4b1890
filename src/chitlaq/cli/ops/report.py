"""The daily report, and the runbook as a page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from chitlaq.cli import history_db, installation, output


def report(
    send: Annotated[
        bool, typer.Option("--send", help="Send it to the recipients in the settings.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--to", help="Folder for the files. Default: ops/reports in the home."),
    ] = None,
    operator: history_db.Operator = None,
) -> None:
    """Run the evening routine and write the daily report, in HTML and in Markdown.

    Example: chitlaq ops report --send
    """
    from chitlaq.ops.report import publish

    home, settings = installation.current()
    who = history_db.operator(operator)
    run, lines = asyncio.run(publish.publish(home, settings, who, folder, is_to_send=send))
    for line in lines:
        typer.echo(line)
    typer.echo(f"{run.verdict}: `chitlaq ops show {run.id}` shows the run.")
    output.exit_now(output.UNHEALTHY if run.verdict.is_problem else 0)


def runbook(
    write: Annotated[
        Path | None, typer.Option("--write", help="Write the page to this file instead.")
    ] = None,
) -> None:
    """Print the runbook, generated from the checks, routines and actions.

    Example: chitlaq ops runbook > docs/runbook.md
    """
    from chitlaq.ops import runbook

    text = runbook.rendered()
    if write is None:
        typer.echo(text, nl=False)
    else:
        write.write_text(text)
        typer.echo(f"wrote {write}")
