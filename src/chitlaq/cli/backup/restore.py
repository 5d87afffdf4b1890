"""``chitlaq backup restore``: restore the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, output
from chitlaq.cli.backup.session import current, session

if TYPE_CHECKING:
    from chitlaq.backups.context import BackupContext
    from chitlaq.backups.restore.plan import RestorePlan


def restore(
    name: Annotated[
        str | None, typer.Argument(help="A backup; by default the newest that fits.")
    ] = None,
    to_time: Annotated[
        str | None,
        typer.Option(
            "--to-time", help="'2026-11-24 02:15:00', 02:15 (local, or with a zone), 10m (ago)."
        ),
    ] = None,
    timeline: Annotated[
        int | None,
        typer.Option(
            "--timeline", help="The timeline. Default: the one that was current at that time."
        ),
    ] = None,
    up_to_damage: Annotated[
        bool,
        typer.Option("--up-to-damage", help="If the WAL is damaged, restore what precedes it."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish an interrupted restore.")
    ] = False,
    yes: output.Yes = False,
    operator: history_db.Operator = None,
) -> None:
    """Restore the database to its latest state or to a point in time. The current data is kept aside.

    Examples: chitlaq backup restore · chitlaq backup restore --to-time "2026-11-24 02:15"
    """
    from chitlaq.backups.restore import pending, wording
    from chitlaq.backups.restore import restore as restoring
    from chitlaq.core import point_in_time

    moment = point_in_time.parse(to_time, "--to-time") if to_time else None
    plan = (
        pending.resume(current())
        if resume
        else pending.begin(current(), name, moment, timeline, is_up_to_damage=up_to_damage)
    )
    _print_plan(current(), plan)
    if not yes and not typer.confirm("Do this?", default=False):
        raise typer.Exit(1)
    purpose = "restore" + (f" {name}" if name else "") + (f" to {moment}" if moment else "")
    with session(purpose, operator, is_urgent=True) as (context, record):
        restoring.preflight(context, plan)
        if restoring.stop_stack(context):
            typer.echo("ChitLaq is stopped.")
        try:
            result = restoring.execute(context, plan)
        except BaseException:
            if hint := restoring.next_step(context):
                typer.echo(hint, err=True)
            raise
        record([])
    for line in wording.result(result, plan):
        typer.echo(line)
    typer.echo("Next: `chitlaq up`, check the data, then `chitlaq backup run full`.")


def _print_plan(context: BackupContext, plan: RestorePlan) -> None:
    from chitlaq.backups.restore import wording

    typer.echo(
        f"""\
This will
  1. stop ChitLaq, if it runs;
  2. restore {wording.source(context, plan)};
  3. put it in place of {context.home.postgres_data}, which is kept as {plan.aside}."""
    )
    for line in wording.caveats(context, plan):
        typer.echo(line)
    typer.echo()
