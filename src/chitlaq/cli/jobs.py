"""``chitlaq jobs``: waiting, running and dead background jobs."""

from __future__ import annotations

from enum import StrEnum
from operator import itemgetter
from typing import Annotated, Any
from uuid import UUID

import typer

from chitlaq.cli import data, output
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count

jobs = typer.Typer(no_args_is_help=True, help="Background jobs: waiting, running, dead.")

KindOption = Annotated[str | None, typer.Option(help="Only jobs of this kind.")]
OneJob = Annotated[UUID | None, typer.Argument(metavar="ID", help="One job.")]
AllDead = Annotated[str | None, typer.Option("--kind", help="All dead jobs of this kind.")]


class State(StrEnum):
    waiting = "waiting"
    running = "running"
    dead = "dead"


def register(app: typer.Typer) -> None:
    app.add_typer(jobs, name="jobs")


@jobs.command("list")
def list_jobs(
    kind: KindOption = None,
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of rows, next due first.")
    ] = 100,
    as_json: output.AsJson = False,
) -> None:
    """List background jobs that are not done, and why they failed.

    Example: chitlaq jobs list --state dead
    """
    rows = data.fetch(
        "SELECT id, kind, state, attempts - uncounted AS attempts, created_at, due_at, reason, request_id"
        " FROM jobs.jobs"
        " WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR state = $2)"
        " ORDER BY due_at, id LIMIT $3",
        kind,
        state and state.value,
        limit,
    )
    columns = ("id", "kind", "state", "attempts", "created_at", "due_at", "reason")
    output.print_rows(rows, {name: itemgetter(name) for name in columns}, as_json=as_json)


@jobs.command("retry")
def retry_jobs(
    job_id: OneJob = None,
    kind: AllDead = None,
) -> None:
    """Run a job now: a dead one with all its attempts again, a waiting one without its pause.

    Example: chitlaq jobs retry --kind send_mail
    """
    rows = data.fetch(
        "UPDATE jobs.jobs SET state = 'waiting', uncounted = attempts, due_at = now()"
        " WHERE id = ANY ($1) AND state <> 'running' RETURNING id",
        [row["id"] for row in _wanted(job_id, kind)],
    )
    typer.echo(f"{count(len(rows), 'job')} will run again.")


@jobs.command("discard")
def discard_jobs(
    job_id: OneJob = None,
    kind: AllDead = None,
    yes: output.Yes = False,
) -> None:
    """Delete jobs that will never be done: they are shown first, and you are asked.

    Without a terminal and without --yes, nothing is deleted. What a job would have done is not done: a
    mail is not sent, and its text is deleted; a post reaches no timeline.

    Example: chitlaq jobs discard --kind send_mail
    """
    found = _wanted(job_id, kind)
    if not found:
        typer.echo(f"No job of the kind {kind} is dead.")
        return
    columns = ("id", "kind", "state", "created_at", "reason")
    output.print_rows(found, {name: itemgetter(name) for name in columns}, as_json=False)
    question = f"Delete {count(len(found), 'job')} for good?"
    if not output.is_wanted(question, yes=yes, nothing="Nothing was deleted."):
        return
    # Those shown, unless one has been retried meanwhile. The link in a mail must not outlive its job.
    gone = data.fetch(
        "WITH gone AS ("
        " DELETE FROM jobs.jobs j USING unnest($1::uuid[], $2::text[]) AS shown (id, state)"
        " WHERE j.id = shown.id AND j.state = shown.state RETURNING j.id, j.kind, j.payload"
        "), emptied AS ("
        " UPDATE mail.messages m SET text = '', html = '', links = '{}',"
        " unsubscribe = split_part(unsubscribe, '?', 1) FROM gone"
        " WHERE gone.kind = 'send_mail' AND m.id = (gone.payload->>'message_id')::uuid"
        ") SELECT id FROM gone",
        [row["id"] for row in found],
        [row["state"] for row in found],
    )
    typer.echo(f"{count(len(gone), 'job')} deleted.")


def _wanted(job_id: UUID | None, kind: str | None) -> list[dict[str, Any]]:
    """Return the one job, which must not be running, or all dead ones of a kind."""
    if (job_id is None) == (kind is None):
        raise typer.BadParameter("give the ID of a job, or --kind for all dead jobs of a kind")
    rows = data.fetch(
        "SELECT id, kind, state, created_at, reason FROM jobs.jobs"
        " WHERE (id = $1 AND state <> 'running') OR (kind = $2 AND state = 'dead') ORDER BY id",
        job_id,
        kind,
    )
    if job_id is not None and not rows:
        raise OperatorError(f"No job {job_id} is waiting or dead: see `chitlaq jobs list`.")
    return rows
