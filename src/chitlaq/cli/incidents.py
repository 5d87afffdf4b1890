"""``chitlaq incidents``: what needs a person, and what people do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.cli.alerts import COLOURS
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count, lasted

if TYPE_CHECKING:
    from chitlaq.ops.database.database import OpsDatabase
    from chitlaq.ops.incidents.action_items import ActionItem
    from chitlaq.ops.incidents.details import Details
    from chitlaq.ops.incidents.incidents import Incident, IncidentAlert

Number = Annotated[int, typer.Argument(metavar="N", help="The incident's number.", min=1)]
SeverityWord = Literal["P0", "P1", "P2", "P3"]
Seen = Annotated[
    int | None,
    typer.Option("--version", help="The version that you saw; refused if it has changed since."),
]
Why = Annotated[str, typer.Option("--why", help="The reason, for the timeline.")]


def register(app: typer.Typer) -> None:
    incidents = typer.Typer(
        invoke_without_command=True, help="Incidents: what needs a person, and what was done."
    )
    incidents.callback()(list_)
    commands: tuple[Callable[..., None], ...] = (
        show, open_, ack, note, resolve, severity, merge, split, reopen, postmortem, item, items,
        done,
    )  # fmt: skip
    for command in commands:
        incidents.command(command.__name__.rstrip("_"))(command)
    app.add_typer(incidents, name="incidents")


def list_(
    context: typer.Context,
    status: Annotated[
        Literal["open", "acknowledged", "resolved"] | None,
        typer.Option("--status", help="Only those with this status."),
    ] = None,
    limit: output.Limit = 20,
    as_json: output.AsJson = False,
) -> None:
    """List incidents: those not resolved first, then the newest.

    Example: chitlaq incidents --status open
    """
    if context.invoked_subcommand is not None:
        return
    from chitlaq.ops.incidents import incidents

    found = history_db.ask(lambda database: incidents.listed(database, status=status, limit=limit))
    if found or as_json:
        output.print_rows(
            found,
            {
                "incident": lambda one: one.id,
                "severity": lambda one: _coloured(one.severity),
                "status": _status,
                "opened": lambda one: output.local_time(one.opened_at),
                "alerts": lambda one: one.alert_count,
                "what": lambda one: one.title,
            },
            as_json=as_json,
        )
    else:
        typer.echo("There is no such incident." if status else "There has been no incident.")


def show(number: Number, as_json: output.AsJson = False) -> None:
    """Show an incident: its alerts, what it did to members, its timeline and its action items.

    Example: chitlaq incidents show 12
    """
    from chitlaq.ops.incidents import details

    home, settings = installation.current()
    found = history_db.ask(lambda database: details.of(database, home, settings, number))
    if as_json:
        fields = {name: getattr(found.incident, name) for name in found.incident.__struct_fields__}
        rest = {
            name: getattr(found, name) for name in found.__struct_fields__ if name != "incident"
        }
        output.print_json({**fields, **rest})
    else:
        _print(found)


def open_(
    title: Annotated[str, typer.Argument(help="What is wrong, in one sentence.")],
    severity: Annotated[SeverityWord, typer.Option(help="P0 to P3, as in the runbook.")],
    about: Annotated[
        str, typer.Option(help="What it is about, so that alerts join it: component:postgres.")
    ] = "",
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Open an incident by hand; whoever is on call is told as for an alert.

    Example: chitlaq incidents open "Members report that pictures are missing" --severity P1
    """
    from chitlaq.ops.incidents import incidents

    history_db.require_here()
    who = history_db.operator(operator)
    made = history_db.ask(
        lambda database: incidents.open_by_hand(database, title, severity, who, subject=about)
    )
    _say(made, "is open", as_json=as_json)


def ack(
    number: Number,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Although somebody else has acknowledged it.")
    ] = False,
    version: Seen = None,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Take care of an incident: nobody else is called until the acknowledgement expires.

    Example: chitlaq incidents ack 12
    """
    from chitlaq.ops.incidents import incidents

    history_db.require_here()
    change = partial(incidents.acknowledge, takes_over=take_over)
    _change(change, number, version, operator, "is yours", as_json=as_json)


def note(
    number: Number,
    text: Annotated[str, typer.Argument(help="What you saw, thought or did.")],
    helped: Annotated[
        bool, typer.Option("--helped", help="For the postmortem: this helped.")
    ] = False,
    hindered: Annotated[
        bool, typer.Option("--hindered", help="For the postmortem: this hindered.")
    ] = False,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Add an observation to the timeline.

    Example: chitlaq incidents note 12 "the disk of the database server is replaced"
    """
    from chitlaq.ops.incidents import incidents

    if helped and hindered:
        raise typer.BadParameter("Choose one of --helped and --hindered.")
    kind: Literal["note", "helped", "hindered"] = (
        "helped" if helped else "hindered" if hindered else "note"
    )
    change = partial(incidents.note, text=text, kind=kind)
    _change(change, number, None, operator, "has your note", as_json=as_json)


def resolve(
    number: Number,
    why: Why = "",
    version: Seen = None,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """End an incident. One that alerts have opened ends by itself when they are over.

    Example: chitlaq incidents resolve 12 --why "the old disk is back in place"
    """
    from chitlaq.ops.incidents import incidents

    change = partial(incidents.resolve, reason=why)
    _change(change, number, version, operator, "is resolved", as_json=as_json)


def reopen(
    number: Number,
    why: Why = "",
    version: Seen = None,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Open a resolved incident again; then only a person ends it.

    Example: chitlaq incidents reopen 12 --why "members still report it"
    """
    from chitlaq.ops.incidents import incidents

    change = partial(incidents.reopen, reason=why)
    _change(change, number, version, operator, "is open again", as_json=as_json)


def severity(
    number: Number,
    to: Annotated[SeverityWord, typer.Argument(metavar="SEVERITY", help="P0 to P3.")],
    why: Why = "",
    version: Seen = None,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Raise or lower the severity of an incident.

    Example: chitlaq incidents severity 12 P0 --why "nobody can sign in"
    """
    from chitlaq.ops.incidents import incidents

    history_db.require_here()
    change = partial(incidents.change_severity, severity=to, reason=why)
    _change(change, number, version, operator, f"is {to}", as_json=as_json)


def merge(
    number: Number,
    into: Annotated[int, typer.Option(help="The incident that it becomes part of.", min=1)],
    version: Seen = None,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Make an incident, with its alerts, part of another one.

    Example: chitlaq incidents merge 13 --into 12
    """
    from chitlaq.ops.incidents import incidents

    change = partial(incidents.merge, into=into)
    _change(change, number, version, operator, f"includes incident {number} now", as_json=as_json)


def split(
    number: Number,
    alerts: Annotated[
        list[str], typer.Argument(metavar="ALERT", help="The alerts that have another cause.")
    ],
    title: Annotated[
        str, typer.Option(help="Of the new incident. Default: of its worst alert.")
    ] = "",
    version: Seen = None,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Move alerts into an incident of their own; both are kept apart from then on.

    Example: chitlaq incidents split 12 MailsStuck
    """
    from chitlaq.ops.incidents import incidents

    change = partial(incidents.split, alerts=alerts, title=title)
    _change(change, number, version, operator, "has these alerts now", as_json=as_json)


def postmortem(number: Number) -> None:
    """Write the postmortem of an incident, in Markdown, from its timeline.

    Example: chitlaq incidents postmortem 12 > incident-12.md
    """
    from chitlaq.ops.incidents import postmortem

    home, settings = installation.current()
    typer.echo(
        history_db.ask(lambda database: postmortem.markdown(database, home, settings, number)),
        nl=False,
    )


def item(
    number: Number,
    text: Annotated[str, typer.Argument(help="What is to be done.")],
    owner: Annotated[str, typer.Option(help="Who does it.")],
    due: Annotated[str, typer.Option(metavar="DATE", help="Until when: 2026-12-10.")],
    operator: history_db.Operator = None,
) -> None:
    """Add an action item to an incident; the weekly routine asks about it once it is overdue.

    Example: chitlaq incidents item 12 "alert on slow disks" --owner ada --due 2026-12-10
    """
    from chitlaq.ops.incidents import action_items

    try:
        due_on = date.fromisoformat(due)
    except ValueError:
        raise OperatorError(f"{due!r} is not a date: write 2026-12-10.") from None
    who = history_db.operator(operator)
    made = history_db.ask(
        lambda database: action_items.add(
            database, number, who, text=text, owner=owner, due_on=due_on
        )
    )
    typer.echo(f"Action item {made.id}: {made.owner} until {made.due_on}.")


def items(
    with_done: Annotated[bool, typer.Option("--all", help="Those that are done, too.")] = False,
    limit: output.Limit = 50,
    as_json: output.AsJson = False,
) -> None:
    """List action items, by when they are due.

    Example: chitlaq incidents items
    """
    from chitlaq.ops.incidents import action_items

    found = history_db.ask(
        lambda database: action_items.listed(
            database, is_open=None if with_done else True, limit=limit
        )
    )
    _print_items(found, as_json=as_json)


def _print_items(found: Sequence[ActionItem], *, as_json: bool) -> None:
    output.print_rows(
        found,
        {
            "item": lambda one: one.id,
            "incident": lambda one: one.incident_id,
            "due": lambda one: one.due_on,
            "who": lambda one: one.owner,
            "what": lambda one: one.text,
            "done": lambda one: one.done_at and output.local_time(one.done_at),
        },
        as_json=as_json,
    )


def done(
    number: Annotated[int, typer.Argument(metavar="ITEM", help="The action item's number.", min=1)],
    operator: history_db.Operator = None,
) -> None:
    """Mark an action item as done.

    Example: chitlaq incidents done 3
    """
    from chitlaq.ops.incidents import action_items

    who = history_db.operator(operator)
    over = history_db.ask(lambda database: action_items.finish(database, number, who))
    typer.echo(f"Done: {over.text}")


def _change(
    change: Callable[[OpsDatabase, int, str, int | None], Awaitable[Incident]],
    number: int,
    version: int | None,
    operator: str | None,
    what: str,
    *,
    as_json: bool,
) -> None:
    """Change an incident, and say what became of it."""
    who = history_db.operator(operator)
    changed = history_db.ask(lambda database: change(database, number, who, version))
    _say(changed, what, as_json=as_json)


def _say(found: Incident, what: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json(found)
    else:
        typer.echo(f"Incident {found.id} {what}: {found.severity}, {_status(found)}. {found.title}")


def _status(one: Incident) -> str:
    if one.status == "acknowledged" and one.acknowledged_until is not None:
        until = one.acknowledged_until.astimezone()
        return f"acknowledged by {one.acknowledged_by} until {until:%H:%M}"
    if one.status == "resolved" and one.merged_into is not None:
        return f"merged into {one.merged_into}"
    return one.status


def _coloured(severity: str) -> object:
    from rich.text import Text

    return Text(severity, style=COLOURS.get(severity, ""))


def _print(found: Details) -> None:
    from chitlaq.ops.incidents import impact

    one = found.incident
    typer.echo(f"Incident {one.id}, {one.severity}, {_status(one)}: {one.title}")
    typer.echo(f"opened {output.local_time(one.opened_at)} by {one.opened_by}; {_told(one)}")
    typer.echo(f"members: {impact.said(found.impact)}")
    for route in found.impact.routes:
        typer.echo(f"  {route.route}: {route.failed:,} of {route.requests:,} failed")
    if one.alerts:
        typer.echo(f"\n{count(one.alert_count, 'alert')}:")
        output.print_table(
            ["severity", "alert", "since", "lasted", "what"],
            [_alert(alert) for alert in one.alerts],
        )
    typer.echo("\ntimeline:")
    output.print_table(
        ["when", "what", "who", ""],
        [
            [f"{line.at.astimezone():%Y-%m-%d %H:%M:%S}", line.kind, line.actor, line.text]
            for line in found.timeline
        ],
    )
    if found.action_items:
        typer.echo("\naction items:")
        _print_items(found.action_items, as_json=False)


def _told(one: Incident) -> str:
    if one.status != "open" or one.next_escalation_at is None:
        return "nobody else is told"
    return f"the next level is told at {one.next_escalation_at.astimezone():%H:%M:%S}"


def _alert(alert: IncidentAlert) -> list[object]:
    length = lasted(((alert.ended_at or datetime.now(UTC)) - alert.started_at).total_seconds())
    state = length if alert.ended_at else f"{length}, firing"
    return [
        _coloured(alert.severity),
        alert.name,
        output.local_time(alert.started_at),
        state + (f" ({alert.times} times)" if alert.times > 1 else ""),
        alert.summary,
    ]
