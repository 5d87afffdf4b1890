"""``chitlaq oncall``: who is told of incidents, and whether their channels work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.core import point_in_time
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.ops.oncall.current import Current
    from chitlaq.ops.oncall.duties import Duty
    from chitlaq.ops.oncall.roster import Roster
    from chitlaq.ops.oncall.rotations import Override, Shift

oncall = typer.Typer(no_args_is_help=True, help="Who is told of incidents, and how.")
override = typer.Typer(no_args_is_help=True, help="Who stands in for whom.")

PersonName = Annotated[str, typer.Argument(metavar="PERSON", help="As in oncall.toml.")]
RotationName = Annotated[str, typer.Argument(metavar="ROTATION", help="As in oncall.toml.")]


def register(app: typer.Typer) -> None:
    oncall.add_typer(override, name="override")
    app.add_typer(oncall, name="oncall")


@oncall.command()
def init() -> None:
    """Write an example of oncall.toml, to be edited.

    Example: chitlaq oncall init
    """
    from chitlaq.core.host import files
    from chitlaq.ops.oncall.example import EXAMPLE

    home, _ = installation.configured()
    if home.oncall_file.exists():
        raise OperatorError(
            f"{home.oncall_file} exists already: edit it, `chitlaq oncall show` checks it."
        )
    home.root.mkdir(parents=True, exist_ok=True)
    files.write_once(home.oncall_file, EXAMPLE)
    typer.echo(
        f"{home.oncall_file} is written, and in effect: until you edit it, ada@example.edu is told of"
        " incidents. Check it with `chitlaq oncall show`, and send a message to everybody with"
        " `chitlaq oncall test`."
    )


@oncall.command()
def now(as_json: output.AsJson = False) -> None:
    """Show who is told at each level now, until when, and the last handover note.

    Example: chitlaq oncall now
    """
    from chitlaq.ops.oncall import duties

    current, known = _read()
    at = datetime.now(UTC)
    found = history_db.ask(lambda database: duties.now(database, current.roster, known, at))
    if as_json:
        output.print_json(found)
    elif not found:
        typer.echo(f"Nobody is told of incidents. {current.why_nobody}")
    else:
        output.print_table(
            ("level", "who", "until", "then", "handover note"),
            [
                (
                    one.level,
                    ", ".join(one.people) or "nobody",
                    _until(one),
                    one.then or "",
                    _note(one),
                )
                for one in found
            ],
        )


@oncall.command()
def show(
    days: Annotated[int, typer.Option(min=1, max=366, help="How far ahead.")] = 28,
    as_json: output.AsJson = False,
) -> None:
    """Check oncall.toml, and show the shifts that follow from it, with gaps.

    Example: chitlaq oncall show --days 60
    """
    from chitlaq.ops.oncall import rotations

    current, known = _read()
    roster = current.roster
    begin = datetime.now(UTC)
    found: list[Shift] = [
        shift
        for rotation in roster.rotations
        for shift in rotations.shifts(roster, known, rotation, begin, begin + timedelta(days=days))
    ]
    if as_json:
        output.print_json(found)
    elif not roster.rotations:
        typer.echo(
            "There are no rotations: `chitlaq oncall init` writes an example, and `chitlaq oncall now` says"
            " who is told meanwhile."
        )
    else:
        output.print_table(
            ("rotation", "from", "until", "who"),
            [
                (
                    one.rotation, output.local_time(one.starts_at), output.local_time(one.ends_at),
                    one.person or "nobody: a gap",
                )
                for one in found
            ],
        )  # fmt: skip
    if current.fault:
        # Which it has said already.
        raise typer.Exit(output.UNHEALTHY)


@oncall.command()
def people(as_json: output.AsJson = False) -> None:
    """Show people, their channels, and how the last message of each went.

    Example: chitlaq oncall people
    """
    from chitlaq.ops.oncall import deliveries

    roster = _roster()
    found = history_db.ask(lambda database: deliveries.listed(database, roster))
    output.print_rows(
        found,
        {
            "person": lambda one: one.person,
            "name": lambda one: roster.people[one.person].name,
            "channel": lambda one: one.channel,
            "after": lambda one: f"{one.after_minutes} min",
            "last message": lambda one: output.local_time(one.at) if one.at else "never",
            "outcome": lambda one: one.outcome or "",
            "what came back": lambda one: one.detail,
        },
        as_json=as_json,
    )


@oncall.command("test")
def send_test(
    person: Annotated[
        str | None, typer.Argument(help="As in oncall.toml; by default everybody.")
    ] = None,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Send a test message to every channel of a person, or of everybody, and show what came back.

    Exit code 3 if a channel did not take it.

    Example: chitlaq oncall test ada
    """
    from chitlaq.ops.oncall import deliveries

    _, settings = installation.current()
    current, _ = _read()
    roster = current.roster
    chosen = [roster.person(person)] if person else list(roster.people.values())
    if not chosen:
        typer.echo(current.why_nobody, err=True)
        raise typer.Exit(output.UNHEALTHY)
    who = history_db.operator(operator)
    found = history_db.ask(lambda database: deliveries.test(database, settings.smtp, chosen, who))
    output.print_rows(
        found,
        {
            "person": lambda one: one.person,
            "channel": lambda one: one.channel,
            "outcome": lambda one: one.outcome,
            "what came back": lambda one: one.detail,
        },
        as_json=as_json,
    )
    if any(one.outcome != "sent" for one in found):
        raise typer.Exit(output.UNHEALTHY)


@oncall.command()
def handover(
    rotation: RotationName,
    note: Annotated[str, typer.Option("--note", help="What whoever takes over should know.")],
    operator: history_db.Operator = None,
) -> None:
    """Leave a note to whoever takes a duty over; `chitlaq oncall now` and the console show it.

    Example: chitlaq oncall handover primary --note "disk of db1 is replaced on Tuesday"
    """
    from chitlaq.ops.oncall import duties

    roster = _roster()
    who = history_db.operator(operator)
    history_db.ask(lambda database: duties.hand_over(database, roster, rotation, who, note))
    typer.echo("The note is left.")


@oncall.command()
def calendar(
    person: PersonName,
    url: Annotated[bool, typer.Option("--url", help="Print the address to subscribe to.")] = False,
) -> None:
    """Print the shifts of a person as iCalendar, or the address of that at ops-service.

    Example: chitlaq oncall calendar ada
    """
    from chitlaq.core.installation.secrets import Secrets
    from chitlaq.ops.oncall import overrides, shift_calendar

    home, settings = installation.current()
    roster = _roster()
    found = roster.person(person)
    if url:
        token = shift_calendar.token(Secrets(home.secrets).ops_token, found.id)
        typer.echo(f"http://localhost:{settings.port_of('ops-service')}/oncall/{token}.ics")
        return
    begin = datetime.now(UTC)
    known = history_db.ask(
        lambda database: overrides.listed(database, begin - shift_calendar.BEFORE)
    )
    typer.echo(shift_calendar.calendar(roster, known, found, begin), nl=False)


@override.command("add")
def override_add(
    rotation: RotationName,
    person: PersonName,
    until: Annotated[str, typer.Option("--until", help="'2026-12-24 18:00', or '18:00' (today).")],
    since: Annotated[str | None, typer.Option("--from", help="As --until. Default: now.")] = None,
    note: Annotated[str, typer.Option("--note", help="Why.")] = "",
    operator: history_db.Operator = None,
) -> None:
    """Let a person stand in for whoever has the duty by plan.

    Example: chitlaq oncall override add primary grace --until "2026-12-24 18:00"
    """
    from chitlaq.ops.oncall import overrides

    roster = _roster()
    begin = point_in_time.parse(since, "--from", may_be_future=True) if since else datetime.now(UTC)
    end = point_in_time.parse(until, "--until", may_be_future=True)
    history_db.require_here()
    who = history_db.operator(operator)
    made = history_db.ask(
        lambda database: overrides.add(database, roster, rotation, person, (begin, end), who, note)
    )
    typer.echo(
        f"{person} has {rotation} from {output.local_time(made.starts_at)} until"
        f" {output.local_time(made.ends_at)}. To undo it: `chitlaq oncall override remove {made.id[-8:]}`"
    )


@override.command("list")
def override_list(as_json: output.AsJson = False) -> None:
    """List who stands in, now and later.

    Example: chitlaq oncall override list
    """
    _, known = _read()
    output.print_rows(
        known,
        {
            "id": lambda one: one.id[-8:],
            "rotation": lambda one: one.rotation,
            "who": lambda one: one.person,
            "from": lambda one: output.local_time(one.starts_at),
            "until": lambda one: output.local_time(one.ends_at),
            "made by": lambda one: one.made_by,
            "note": lambda one: one.note,
        },
        as_json=as_json,
    )


@override.command("remove")
def override_remove(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="As listed.")],
    operator: history_db.Operator = None,
) -> None:
    """Remove an override: whoever has the duty by plan has it again.

    Example: chitlaq oncall override remove 9d8e4f5b
    """
    from chitlaq.ops.oncall import overrides

    history_db.require_here()
    who = history_db.operator(operator)
    history_db.ask(lambda database: overrides.remove(database, identifier, who))
    typer.echo("The override is removed.")


def _read() -> tuple[Current, list[Override]]:
    """Return the roster in effect and the overrides from now on, and say what is wrong with the file."""
    from chitlaq.ops.oncall import current, overrides

    home, settings = installation.current()
    found = current.read(home, settings.operations)
    if found.fault:
        typer.echo(found.fault, err=True)
    known = history_db.ask(lambda database: overrides.listed(database, datetime.now(UTC)))
    return found, known


def _roster() -> Roster:
    return _read()[0].roster


def _until(one: Duty) -> str:
    return output.local_time(one.until) if one.until else ""


def _note(one: Duty) -> str:
    if one.note is None:
        return ""
    return f"{one.note.text} ({one.note.made_by}, {output.local_time(one.note.at)})"
