"""``chitlaq backup restore``: restore the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, output
from chitlaq.cli.backup.session import current, session

if TYPE_CHECKING:
    from chitlaq.backups.catalog.records import Record
    from chitlaq.backups.context import BackupContext
    from chitlaq.backups.restore.plan import RestorePlan, RestoreResult


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
    from chitlaq.backups.restore import pending
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
    _print_result(result, plan)


def _print_plan(context: BackupContext, plan: RestorePlan) -> None:
    from chitlaq.backups.catalog import records
    from chitlaq.backups.postgres import base_backup
    from chitlaq.core.point_in_time import shown

    catalog = records.read(context.folder)
    record = catalog.get(plan.backup)
    source = f"{plan.backup}, which is gone"
    if record is not None:
        source = f"{plan.backup}, taken {shown(record.created_at)}, {_until(record, plan)}"
    timelines = base_backup.wal_archive(context).timelines
    if record is not None and record.is_physical and len(timelines) > 1:
        newest = ", the newest" if plan.timeline == timelines[-1] else f" of {timelines[-1]}"
        source += f", along timeline {plan.timeline}{newest}"
    typer.echo(
        f"""\
This will
  1. stop ChitLaq, if it runs;
  2. restore {source};
  3. put it in place of {context.home.postgres_data}, which is kept as {plan.aside}."""
    )
    if record is not None:
        typer.echo(_proof(record))
    if plan.passed_over:
        typer.echo("Newer backups that are not used:")
        for reason in plan.passed_over:
            typer.echo(f"  {reason}")
    typer.echo()


def _until(record: Record, plan: RestorePlan) -> str:
    from chitlaq.core.point_in_time import shown

    if plan.to_time:
        return f"and all changes after it up to {shown(plan.to_time)}"
    return "and all archived changes after it" if record.is_physical else "without later changes"


def _proof(record: Record) -> str:
    """What is known about the chosen backup: bad results first."""
    if failed := record.last_failure:
        return f"KNOWN TO BE BAD since {failed.at.astimezone():%Y-%m-%d %H:%M}: {failed.detail}"
    if record.drilled is not None:
        when = f"{record.drilled.at.astimezone():%Y-%m-%d %H:%M}"
        return f"The restore drill at {when} succeeded in {record.drilled.seconds:.0f} s."
    if record.verified is not None:
        return f"It was verified at {record.verified.at.astimezone():%Y-%m-%d %H:%M}."
    return "It was never verified."


def _print_result(result: RestoreResult, plan: RestorePlan) -> None:
    from chitlaq.core.point_in_time import shown

    typer.echo(f"Restored from {result.backup}: {result.rows:,} rows.")
    for note in result.notes:
        typer.echo(note)
    if result.last_commit is not None:
        typer.echo(f"The last change in it was made at {shown(result.last_commit)}.")
    if result.damage:
        typer.echo(f"{result.damage} Changes after that are lost.")
    elif not result.is_as_asked:
        typer.echo("The WAL ends there: it has no later change before the requested time.")
    if result.aside:
        typer.echo(f"The previous data is in {result.aside}; `chitlaq backup discard` deletes it.")
        if plan.left is not None:
            typer.echo(f"`chitlaq backup restore --timeline {plan.left}` goes back to it.")
    typer.echo("Next: `chitlaq up`, check the data, then `chitlaq backup run full`.")
