"""``chitlaq backup run``: take backups."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from chitlaq.cli import history_db
from chitlaq.cli.backup.session import current, exit_for, print_outcome, session


def run(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(help="full, incremental, dump, configuration. Default: those due today."),
    ] = None,
    daily: Annotated[
        bool, typer.Option("--daily", help="Also verify all, drill, and delete expired backups.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(hidden=True, help="With --daily: skip steps that succeeded since then."),
    ] = None,
    operator: history_db.Operator = None,
) -> None:
    """Take backups now, verify them, and copy them off-site if a destination is set.

    Exit code 1 if a backup could not be taken, copied or deleted; 3 if one is bad.

    Examples: chitlaq backup run · chitlaq backup run dump · chitlaq backup run --daily
    """
    from chitlaq.backups import daily as jobs
    from chitlaq.core import point_in_time

    named = kinds or []
    today = datetime.now().astimezone().date()
    wanted = jobs.kinds_to_take(current(), named, today)
    begin = point_in_time.parse(since, "--since") if since else None
    purpose = " ".join(["run", *named, *(["--daily"] if daily else [])])
    with session(purpose, operator) as (context, record):
        done = (
            jobs.run(context, today, print_outcome, begin)
            if daily
            else jobs.take_backups(context, wanted, print_outcome)
        )
        record(done)
    exit_for(done)
