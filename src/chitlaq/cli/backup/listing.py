"""``chitlaq backup list`` and ``status``: the backups and their health."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from chitlaq.cli import history_db, output
from chitlaq.cli.backup.session import current, size

if TYPE_CHECKING:
    from chitlaq.backups.catalog.records import ProofResult, Record
    from chitlaq.backups.context import BackupContext


def list_(as_json: output.AsJson = False) -> None:
    """List all backups, and when each was verified, drilled and copied.

    Example: chitlaq backup list
    """
    from chitlaq.backups.catalog import presence

    context = current()
    catalog = presence.read(context.folder)
    if as_json:
        output.print_json([_as_json(context, record) for record in catalog.good])
        return
    if not catalog.good and not catalog.damaged:
        typer.echo(f"There are no backups in {context.folder}: run `chitlaq backup run`.")
        return
    output.print_table(
        ["backup", "taken", "size", "verified", "drilled", "copied"],
        [_row(record) for record in catalog.good]
        + [[name, "", "", "unusable: its record is damaged", "", ""] for name in catalog.damaged],
    )


def status(as_json: output.AsJson = False) -> None:
    """Report the health of the backups; exit code 3 if there is a problem.

    Example: chitlaq backup status
    """
    from chitlaq.cli.ops.options import RunFormat
    from chitlaq.ops.checks import registry
    from chitlaq.ops.routines import run_and_store

    context = current()
    home, settings, checks = context.home, context.settings, registry.select(["backup"])
    run, _ = asyncio.run(run_and_store(home, settings, "check", checks, history_db.operator(None)))
    RunFormat(details=False, as_json=as_json).print(run, home, settings)
    if not as_json:
        typer.echo(f"\nBackup folder: {context.folder}.")
        _print_leftovers(context)
    if run.verdict.is_problem:
        raise typer.Exit(output.UNHEALTHY)


def _row(record: Record) -> list[str]:
    return [
        record.id,
        f"{record.created_at.astimezone():%Y-%m-%d %H:%M}",
        size(record.bytes),
        _verified(record),
        _result(record.drilled),
        f"{record.copied.at.astimezone():%m-%d %H:%M}" if record.copied else "",
    ]


def _verified(record: Record) -> str:
    if record.lost:
        return f"BAD: {record.lost}"
    if record.changed_at:
        return f"{_result(record.verified)}; CHANGED {record.changed_at.astimezone():%m-%d %H:%M}"
    return _result(record.verified)


def _result(result: ProofResult | None) -> str:
    if result is None:
        return "never"
    when = f"{result.at.astimezone():%m-%d %H:%M}"
    return when if result.is_good else f"BAD {when}: {result.detail}"


def _as_json(context: BackupContext, record: Record) -> dict[str, Any]:
    import msgspec

    return {**msgspec.to_builtins(record), "path": str(context.folder / record.path)}


def _print_leftovers(context: BackupContext) -> None:
    from chitlaq.backups.restore import pending, restore

    if pending.exists(context):
        typer.echo("A restore was interrupted: `chitlaq backup restore --resume`.")
    if restore.kept_aside(context):
        typer.echo("Restores kept the previous data: `chitlaq backup discard` shows it.")
