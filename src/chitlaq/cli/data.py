"""Commands on data: migrate, seed, mail."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from chitlaq.cli import installation, output
from chitlaq.core.errors import OperatorError
from chitlaq.core.visible import one_line

if TYPE_CHECKING:
    import asyncpg

    from chitlaq.core.data.migration_review import Review
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings

T = TypeVar("T")

DEMO_MEMBERS = 2000

mail = typer.Typer(no_args_is_help=True, help="Read the mailbox of the embedded stack.")


def register(app: typer.Typer) -> None:
    app.command()(migrate)
    app.command()(seed)
    app.add_typer(mail, name="mail")


def migrate(
    provision: Annotated[
        bool,
        typer.Option(
            "--provision",
            help="First create the roles and the database; seed demo data if it is empty.",
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what that would do to a running system.")
    ] = False,
) -> None:
    """Migrate the database to this version.

    With --check, pending migrations are tried on a scratch database without rows: it says which tables they
    lock and for about how long, and what the version before would miss. Exit code 1 if members would notice.

    Examples: chitlaq migrate · chitlaq migrate --check
    """
    from chitlaq.core.data import migrations
    from chitlaq.seed import demo

    home, settings = installation.current()
    if check:
        _check(home, settings)
        return
    if provision:
        migrations.provision(settings, home)
    applied = migrations.apply(settings, home)
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("nothing to apply: the database is up to date")
    if provision:
        asyncio.run(demo.at_first_start(settings, home, DEMO_MEMBERS))


def _check(home: Home, settings: Settings) -> None:
    """Print what pending migrations would do.

    Raises:
        OperatorError: one would keep members waiting, or takes away what the version before uses.
    """
    from chitlaq.core.data import migration_review

    found = migration_review.pending(settings, home)
    if not found:
        typer.echo("nothing to apply: the database is up to date")
        return
    print_reviews(found)
    faults = [f"{one.name} {one.refusal}" for one in found if one.refusal]
    faults += [f"{one.name} takes something away" for one in found if one.is_too_new_for("")]
    if faults:
        raise OperatorError(f"Stop ChitLaq before this upgrade: {'; '.join(faults)}.")


def print_reviews(found: Sequence[Review]) -> None:
    """Print what migrations would do to a running system."""
    output.print_table(
        ["migration", "locks", "at most about", "takes away"],
        [
            [
                one.name,
                ", ".join(f"{work.table} ({work.lock})" for work in one.works),
                f"{one.seconds:.0f} s",
                "; ".join(one.contracts),
            ]
            for one in found
        ],
    )


def seed(
    members: Annotated[int, typer.Option(min=10, max=1_000_000, help="Number of members.")] = 2000,
    posts_per_member: Annotated[
        int, typer.Option(min=0, max=1000, help="Average number of posts per member.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="The same seed makes the same data.")] = 1,
    replace: Annotated[
        bool, typer.Option("--replace", help="First delete all existing members and posts.")
    ] = False,
    yes: output.Yes = False,
    as_json: output.AsJson = False,
) -> None:
    """Fill an empty database with universities, members, a graph, posts and conversations.

    Example: chitlaq seed --members 2000
    """
    from chitlaq.seed import demo

    home, settings = installation.current()
    wanted = demo.Seeding(members, members * posts_per_member, seed)
    if replace and not yes:
        count = _run(demo.members_there(settings, home))
        typer.confirm(f"Delete {count} members with all that they wrote, for good?", abort=True)
    with output.progress(enabled=not as_json) as advance:
        report = _run(demo.seed(settings, home, wanted, replace=replace, progress=advance))
    if as_json:
        output.print_json(report)
    else:
        typer.echo(demo.described(report))


@mail.command("list")
def list_mail(
    to: Annotated[str | None, typer.Option(help="Only mails to this address.")] = None,
    as_json: output.AsJson = False,
) -> None:
    """List the newest mails.

    Example: chitlaq mail list --to ada@example.edu
    """
    rows = fetch(
        "SELECT created_at, to_address AS to, subject, sent_at FROM mail.messages"
        " WHERE $1::text IS NULL OR to_address = lower($1) ORDER BY created_at DESC, id DESC LIMIT 100",
        to,
    )
    output.print_rows(
        rows,
        {
            "written": itemgetter("created_at"),
            "to": itemgetter("to"),
            "subject": itemgetter("subject"),
            "sent": lambda row: row["sent_at"] or "not sent",
        },
        as_json=as_json,
    )


@mail.command("show")
def show_mail(
    to: Annotated[str | None, typer.Option(help="The newest mail to this address.")] = None,
    as_json: output.AsJson = False,
) -> None:
    """Show the newest mail, optionally to one address.

    Example: chitlaq mail show --to ada@example.edu --json
    """
    rows = fetch(
        'SELECT to_address AS "to", subject, text, html, links, created_at FROM mail.messages'
        " WHERE $1::text IS NULL OR to_address = lower($1) ORDER BY created_at DESC, id DESC LIMIT 1",
        to,
    )
    if not rows:
        raise OperatorError(f"There is no mail{f' to {to}' if to else ''} yet.")
    if as_json:
        output.print_json(rows[0])
    else:
        to_address, subject = one_line(rows[0]["to"]), one_line(rows[0]["subject"])
        typer.echo(f"To: {to_address}\nSubject: {subject}\n\n{rows[0]['text']}")


def fetch(statement: str, *args: object) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        async with _connection(*installation.current()) as connection:
            return [dict(row) for row in await connection.fetch(statement, *args)]

    return _run(read())


def _connection(
    home: Home, settings: Settings
) -> AbstractAsyncContextManager[asyncpg.Connection[asyncpg.Record]]:
    from chitlaq.core.data import postgres

    return postgres.connection(postgres.dsn(settings, home, postgres.OWNER))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; a database that is down is one sentence, not a traceback."""
    import asyncpg

    try:
        return asyncio.run(work)
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError) as error:
        raise OperatorError(
            f"PostgreSQL is not reachable ({error}): is the stack up? See `chitlaq ps`."
        ) from None
    except asyncpg.UndefinedTableError:
        raise OperatorError("The database is not prepared yet: run `chitlaq migrate`.") from None
