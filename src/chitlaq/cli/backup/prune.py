"""``chitlaq backup prune`` and ``discard``: delete expired backups, and what restores have kept."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from chitlaq.cli import history_db, output
from chitlaq.cli.backup.session import Names, current, exit_for, find, print_outcome, session, size


def prune(
    names: Names = None, yes: output.Yes = False, operator: history_db.Operator = None
) -> None:
    """Show which backups have expired, and why the others are kept; delete them with --yes.

    Named backups are deleted whatever their age, except the newest proved one and those that others need.

    Examples: chitlaq backup prune --yes · chitlaq backup prune full_20261124T023000 --yes
    """
    from chitlaq.backups import daily
    from chitlaq.backups.catalog import presence

    context = current()
    catalog = presence.read(context.folder)
    named = [find(context, catalog, name) for name in names or []]
    decisions = daily.retention_decisions(context, datetime.now(UTC), named)
    output.print_table(
        ["backup", "size", "", "because it"],
        [
            [one.record.id, size(one.record.bytes), "stays" if one.is_kept else "goes", one.reason]
            for one in decisions
        ],
    )
    gone = [one.record for one in decisions if not one.is_kept]
    if not gone and not yes:
        typer.echo("\nNothing has expired.")
        return
    if not yes:
        freed = size(sum(record.bytes for record in gone))
        typer.echo(
            f"\nNothing was deleted. `chitlaq backup prune --yes` deletes {len(gone)} ({freed})."
        )
        return
    with session(" ".join(["prune", *(names or [])]), operator) as (context, record):
        done = (
            daily.delete_named(context, gone, print_outcome)
            if named
            else daily.prune(context, datetime.now(UTC), print_outcome)
        )
        record(done)
    exit_for(done)


def discard(yes: output.Yes = False, operator: history_db.Operator = None) -> None:
    """Show the data that restores have kept aside; delete it with --yes.

    Example: chitlaq backup discard --yes
    """
    from chitlaq.backups.context import size_of
    from chitlaq.backups.restore import restore

    kept = restore.kept_aside(current())
    if not kept:
        typer.echo("Restores have kept nothing.")
        return
    for path in kept:
        typer.echo(f"{size(size_of(path)):>10}  {path}")
    if not yes:
        typer.echo("\nNothing was deleted. `chitlaq backup discard --yes` deletes it.")
        return
    with session("discard", operator) as (_, record):
        restore.discard(kept)
        record([])
    typer.echo("Deleted.")
