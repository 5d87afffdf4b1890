"""``chitlaq status``: what members are told at ``/status``; for the processes, see ``chitlaq ps``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.ops.database.database import OpsDatabase

status = typer.Typer(
    invoke_without_command=True,
    help="The status page: what members are told. For the processes, see `chitlaq ps`.",
)
maintenance = typer.Typer(no_args_is_help=True, help="Announced work.")
status.add_typer(maintenance, name="maintenance")

Components = Annotated[
    list[str], typer.Argument(metavar="COMPONENT…", help="`chitlaq status` lists them; or `all`.")
]
Text = Annotated[str, typer.Option("--text", help="What members should know beside.")]
TextTr = Annotated[str, typer.Option("--text-tr", help="The same in Turkish.")]
Title = Annotated[str, typer.Option("--title", help="A title instead of the components' names.")]
TitleTr = Annotated[str, typer.Option("--title-tr", help="The same in Turkish.")]


def register(app: typer.Typer) -> None:
    app.add_typer(status, name="status")


@status.callback()
def show(context: typer.Context, as_json: output.AsJson = False) -> None:
    """Show what the status page says of each component, and why.

    Example: chitlaq status
    """
    if context.invoked_subcommand:
        return
    from chitlaq.ops.statuspage import current

    found = history_db.ask(current.components)
    output.print_rows(
        found,
        {
            "component": lambda one: one.id,
            "members see": lambda one: one.state,
            "since": lambda one: output.local_time(one.since) if one.since else "",
            "measured": lambda one: one.measured,
            "because": lambda one: (
                f"set by {one.set_by}"
                if one.set_by
                else f"maintenance {one.maintenance}"
                if one.maintenance
                else ""
            ),
        },
        as_json=as_json,
    )


@status.command(name="set")
def set_(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="COMPONENT… STATE",
            help="operational, degraded, partial, major, maintenance; or `clear`.",
        ),
    ],
    operator: history_db.Operator = None,
) -> None:
    """Show a state whatever is measured, until it is cleared. The page says that a person set it.

    Examples: chitlaq status set feed degraded · chitlaq status set feed clear
    """
    from chitlaq.ops.statuspage import current

    *names, word = words
    if not names:
        raise OperatorError("Say what, and how it is: `chitlaq status set feed degraded`.")
    who = history_db.operator(operator)
    history_db.require_here()

    async def work(database: OpsDatabase) -> list[str]:
        if word == "clear":
            return await current.clear(database, names, who)
        return await current.set_by_person(database, names, current.state_of(word), who)

    _done(work, "Measured again: {}." if word == "clear" else f"{{}}: shown as {word}.")


@status.command()
def publish(
    incident: Annotated[int, typer.Argument(help="Its number: `chitlaq incidents`.")],
    state: Annotated[
        str,
        typer.Argument(metavar="STATUS", help="investigating, identified, monitoring, resolved."),
    ],
    components: Annotated[
        list[str] | None,
        typer.Option(
            "--component", help="What members notice; may be repeated. Default: what it is about."
        ),
    ] = None,
    text: Text = "",
    text_tr: TextTr = "",
    title: Title = "",
    title_tr: TitleTr = "",
    operator: history_db.Operator = None,
) -> None:
    """Tell members and subscribers about an incident, in English and Turkish.

    Example: chitlaq status publish 12 investigating --text "Posts may appear late."
    """
    from chitlaq.ops.statuspage import published

    history_db.require_here()
    who = history_db.operator(operator)
    at = published.status_of(state)

    async def work(database: OpsDatabase) -> list[str]:
        done = await published.publish(
            database,
            incident,
            at,
            who,
            names=components or (),
            text=text,
            text_tr=text_tr,
            title=title,
            title_tr=title_tr,
        )
        return [done.title, done.updates[0].text]

    _done(work, "Published: {}")


@status.command()
def export(
    target: Annotated[
        str, typer.Argument(metavar="FOLDER|s3://…", help="Where a copy of the page is written.")
    ],
) -> None:
    """Write a copy of the page that another machine can serve.

    The setting `statuspage.copy_to` does so whenever something changes.

    Examples: chitlaq status export /mnt/web/status · chitlaq status export s3://status-copy/chitlaq
    """
    from chitlaq.ops.oncall import zone
    from chitlaq.ops.statuspage import copies, site, snapshot

    home, settings = installation.current()
    zone.use(home, settings)
    where = target if target.startswith("s3://") else str(Path(target).expanduser().absolute())
    said = history_db.ask(lambda database: snapshot.taken(database, settings))
    found = site.copied(said, settings)
    copies.export(settings, where, found)
    typer.echo(f"wrote {len(found)} files to {where}")


_FORMATS = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]


@maintenance.command()
def add(
    components: Components,
    starts: Annotated[
        datetime,
        typer.Option("--from", formats=_FORMATS, help="Local time."),
    ],
    ends: Annotated[
        datetime,
        typer.Option("--to", formats=_FORMATS, help="Local time."),
    ],
    title: Title,
    title_tr: TitleTr = "",
    text: Text = "",
    text_tr: TextTr = "",
    operator: history_db.Operator = None,
) -> None:
    """Announce work: the page shows it in advance, its alerts are silenced, and nobody is called.

    Example: chitlaq status maintenance add chat --from 2027-02-01T02:00 --to 2027-02-01T03:00 --title Disks
    """
    from chitlaq.ops.statuspage import maintenance as announced

    who = history_db.operator(operator)
    history_db.require_here()

    async def work(database: OpsDatabase) -> list[str]:
        made = await announced.add(
            database,
            components,
            starts.astimezone(),
            ends.astimezone(),
            title,
            who,
            title_tr=title_tr,
            text=text,
            text_tr=text_tr,
        )
        return [str(made.id)]

    _done(work, "Announced as maintenance {}.")


@maintenance.command(name="list")
def list_(as_json: output.AsJson = False) -> None:
    """List work that goes on or is ahead.

    Example: chitlaq status maintenance list
    """
    from chitlaq.ops.statuspage import maintenance as announced

    now = datetime.now(UTC)
    found = [
        one
        for one in history_db.ask(lambda database: announced.listed(database, now))
        if one.status(now) != "completed"
    ]
    output.print_rows(
        found,
        {
            "maintenance": lambda one: one.id,
            "from": lambda one: output.local_time(one.starts_at),
            "to": lambda one: output.local_time(one.ends_at),
            "status": lambda one: one.status(now),
            "components": lambda one: ", ".join(one.components),
            "title": lambda one: one.title,
            "by": lambda one: one.made_by,
        },
        as_json=as_json,
    )


@maintenance.command()
def end(
    number: Annotated[int, typer.Argument(help="`chitlaq status maintenance list`.")],
    operator: history_db.Operator = None,
) -> None:
    """End work early, or withdraw it before it begins.

    Example: chitlaq status maintenance end 3
    """
    from chitlaq.ops.statuspage import maintenance as announced

    who = history_db.operator(operator)
    history_db.require_here()

    async def work(database: OpsDatabase) -> list[str]:
        ended = await announced.end(database, number, who)
        return [f"{ended.id} is {'withdrawn' if ended.is_withdrawn else 'over'}"]

    _done(work, "Maintenance {}.")


def _done(work: Callable[[OpsDatabase], Awaitable[list[str]]], said: str) -> None:
    """Do something, write the page at once, and say what was done."""
    from chitlaq.ops.oncall import zone
    from chitlaq.ops.statuspage import site

    home, settings = installation.current()

    async def changed(database: OpsDatabase) -> list[str]:
        words = await work(database)
        zone.use(home, settings)
        try:
            await site.write(home, settings, database)
        except OSError as error:
            words.append(f"the page is not written yet ({error.strerror})")
        return words

    typer.echo(said.format("\n".join(history_db.ask(changed))))
