"""What the backup commands share: one session at a time, a record of it, outcomes and exit codes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.core.host import programs

if TYPE_CHECKING:
    from chitlaq.backups.catalog.records import Catalog, Record
    from chitlaq.backups.context import BackupContext
    from chitlaq.backups.steps import StepOutcome
    from chitlaq.ops.actions.model import ActionRecord

# Exit code when a backup could not be examined, and none was found bad.
INCONCLUSIVE = 4

Names = Annotated[
    list[str] | None, typer.Argument(help="Backups, as listed by `chitlaq backup list`.")
]
Recorder = Callable[[Sequence["StepOutcome"]], None]
"""Adds outcomes to the record of the session."""


def current() -> BackupContext:
    """The backups of the current installation."""
    from chitlaq.backups.context import BackupContext

    return BackupContext(*installation.current())


@contextmanager
def session(
    purpose: str, operator: str | None, *, is_urgent: bool = False
) -> Iterator[tuple[BackupContext, Recorder]]:
    """Hold the backup lock, show progress, and record the action and the operator."""
    from chitlaq.backups.context import BackupContext, exclusive_session

    signal.signal(signal.SIGTERM, programs.exit_on_signal)
    home, settings = installation.current()
    with (
        exclusive_session(home, purpose, is_urgent=is_urgent),
        _recorded(purpose, operator) as record,
        output.progress(enabled=True, unit="bytes") as report_progress,
    ):
        yield BackupContext(home, settings, report_progress), record


@contextmanager
def _recorded(purpose: str, operator: str | None) -> Iterator[Recorder]:
    """Record an action when it begins and when it ends."""
    from chitlaq.ops.actions import record

    def keep(done: ActionRecord) -> None:
        history_db.ask(lambda database: record.store(database, done))

    begun = record.begun("backup", purpose, history_db.operator(operator), "")
    keep(begun)
    outcomes: list[StepOutcome] = []
    try:
        yield outcomes.extend
    except BaseException as error:
        keep(record.ended(begun, str(error) or repr(error), succeeded=False))
        raise
    result = "\n".join(f"{one.step}: {one.detail}" for one in outcomes) or "done"
    keep(record.ended(begun, result, succeeded=all(one.is_good for one in outcomes)))


def find(context: BackupContext, catalog: Catalog, name: str) -> Record:
    """The backup that an operator names.

    Raises:
        OperatorError: there is no such backup.
    """
    from chitlaq.backups.catalog import lookup

    record, identical_file = lookup.find(context.folder, catalog, name)
    if identical_file is not None:
        typer.echo(
            f"{identical_file} is identical to {context.folder / record.path}, checked here."
        )
    return record


def print_outcome(outcome: StepOutcome) -> None:
    mark = "ok " if outcome.is_good else "BAD" if outcome.is_conclusive else "INCONCLUSIVE"
    typer.echo(f"{mark} {outcome.step}: {outcome.detail} ({outcome.seconds:.1f} s)")


def exit_for(outcomes: Sequence[StepOutcome]) -> None:
    """Exit with the code of the outcomes; return if all are good."""
    bad = [one for one in outcomes if not one.is_good]
    if not bad:
        return
    typer.echo(f"\n{len(bad)} of {len(outcomes)} steps did not succeed.", err=True)
    if any(not one.is_finding for one in bad):
        raise typer.Exit(1)
    raise typer.Exit(output.UNHEALTHY if any(one.is_conclusive for one in bad) else INCONCLUSIVE)


def size(bytes_: int) -> str:
    from chitlaq.core.formatting import size

    return size(bytes_)
