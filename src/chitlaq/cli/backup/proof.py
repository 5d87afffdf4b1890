"""``chitlaq backup verify`` and ``drill``: prove backups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db
from chitlaq.cli.backup.session import Names, exit_for, find, print_outcome, session
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.backups.catalog.records import Catalog, ProofResult, Record
    from chitlaq.backups.context import BackupContext

# The tables whose rows the runbook counts in a restored database, and what they hold.
_COUNTED = {"feed.posts": "posts", "websocket.messages": "messages"}


def verify(names: Names = None, operator: history_db.Operator = None) -> None:
    """Check that backups are unchanged since they were taken; all of them by default.

    Example: chitlaq backup verify chitlaq_20261124T023000
    """
    from chitlaq.backups.proof import verify

    seen = verify.AlreadyVerified()
    _prove(
        "verify",
        names or [],
        operator,
        lambda context, record: verify.verify(context, record, seen),
        lambda _context, catalog: catalog.good,
    )


def drill(
    names: Names = None,
    database: Annotated[
        str, typer.Option(help="The database's name in the scratch server, for a dump.")
    ] = "chitlaq",
    operator: history_db.Operator = None,
) -> None:
    """Restore backups into a scratch server and compare; the newest of each kind by default.

    Example: chitlaq backup drill
    """
    from chitlaq.backups import daily
    from chitlaq.backups.proof import drill

    def work(context: BackupContext, record: Record) -> ProofResult:
        drilled = drill.drill(context, record, database)
        if drilled.is_good and record.tables:
            # The runbook asks the restored database for these, and the scratch server is gone.
            counts = ", ".join(
                f"{record.tables[table].rows:,} {what}"
                for table, what in _COUNTED.items()
                if table in record.tables
            )
            typer.echo(f"{database} held {counts}.")
        return drilled

    _prove("drill", names or [], operator, work, lambda context, _: daily.newest_to_drill(context))


def _prove(
    verb: str,
    names: Sequence[str],
    operator: str | None,
    work: Callable[[BackupContext, Record], ProofResult],
    by_default: Callable[[BackupContext, Catalog], Sequence[Record]],
) -> None:
    from functools import partial

    from chitlaq.backups.catalog import records
    from chitlaq.backups.steps import Steps

    with session(" ".join([verb, *names]), operator) as (context, record):
        catalog = records.read(context.folder)
        wanted = [find(context, catalog, name) for name in names] or by_default(context, catalog)
        if not wanted:
            raise OperatorError(
                f"There are no backups in {context.folder}: run `chitlaq backup run`."
            )
        steps = Steps(print_outcome)
        for one in wanted:
            steps.prove(verb, one, partial(work, context))
        record(steps.outcomes)
    exit_for(steps.outcomes)
