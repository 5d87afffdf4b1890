"""``chitlaq announce``: what all members, or those of a university or a department, are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode
from uuid import UUID

import typer

from chitlaq.cli import history_db, output, services
from chitlaq.core.formatting import count
from chitlaq.core.visible import visible

if TYPE_CHECKING:
    from chitlaq.services.websocket.notifications.announcements.schemas import Announcement

SERVICE = "websocket"

announce = typer.Typer(no_args_is_help=True, help="Announcements to members.")

Id = Annotated[UUID, typer.Argument(metavar="ID", help="As in `chitlaq announce list`.")]


def register(app: typer.Typer) -> None:
    app.add_typer(announce, name="announce")


@announce.command()
def write(
    text: Annotated[str, typer.Argument(help="What to announce.")],
    university: Annotated[str | None, typer.Option(help="Only to its members, by name.")] = None,
    department: Annotated[
        str | None, typer.Option(help="Only to its members, of that university.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it is a banner.")] = 7,
    operator: history_db.Operator = None,
    yes: output.Yes = False,
    as_json: output.AsJson = False,
) -> None:
    """Tell all members something, or those of a university or a department.

    It says how many they are and asks. Without a terminal and without --yes, nothing is announced.

    Example: chitlaq announce write "The library closes at 18:00 today." --university "Example University"
    """
    from chitlaq.services.websocket.notifications.announcements.schemas import (
        Announcement,
        Audience,
    )

    said = {"university": university, "department": department}
    to = {name: value for name, value in said.items() if value is not None}
    found = services.ask(SERVICE, "GET", f"/announcements/audience?{urlencode(to)}", Audience)
    members = count(found.recipients, "member")
    if not yes:
        typer.echo(f"To {members}: {visible(text)}", err=True)
    if not output.is_wanted(
        f"Announce this to {members}?", yes=yes, nothing="Nothing was announced."
    ):
        return
    name = history_db.operator(operator)
    expires_at = datetime.now(UTC) + timedelta(days=days)
    body = {"text": text, "expires_at": expires_at, "operator": name, **to}
    made = services.ask(SERVICE, "POST", "/announcements", Announcement, body)
    history_db.record("announce", f"{made.id}: {text}", operator)
    _print(made, as_json=as_json)


@announce.command("list")
def list_announcements(
    limit: Annotated[int, typer.Option(min=1, max=100, help="Maximum number of rows.")] = 20,
    as_json: output.AsJson = False,
) -> None:
    """List announcements and how far they are, the latest first.

    Example: chitlaq announce list
    """
    from chitlaq.core.http.paging import Page
    from chitlaq.services.websocket.notifications.announcements.schemas import Announcement

    found = services.ask(SERVICE, "GET", f"/announcements?limit={limit}", Page[Announcement]).items
    output.print_rows(
        found,
        {
            "id": lambda one: one.id,
            "written": lambda one: output.local_time(one.created_at),
            "by": lambda one: one.author or one.operator,
            "to": _addressed,
            "state": lambda one: one.state,
            "reached": lambda one: f"{one.reached} of {one.audience}",
            "until": lambda one: output.local_time(one.expires_at),
            "text": lambda one: one.text,
        },
        as_json=as_json,
    )


@announce.command()
def pause(which: Id, operator: history_db.Operator = None, as_json: output.AsJson = False) -> None:
    """Tell nobody else for now.

    Example: chitlaq announce pause 019ac000-0000-7000-8000-000000000000
    """
    _change(which, "paused", operator, as_json=as_json)


@announce.command()
def resume(which: Id, operator: history_db.Operator = None, as_json: output.AsJson = False) -> None:
    """Go on with an announcement that was paused, or stands still because its job is dead.

    Example: chitlaq announce resume 019ac000-0000-7000-8000-000000000000
    """
    _change(which, "delivering", operator, as_json=as_json)


@announce.command()
def cancel(
    which: Id,
    operator: history_db.Operator = None,
    yes: output.Yes = False,
    as_json: output.AsJson = False,
) -> None:
    """Tell nobody else, and end the banner; who was told keeps the notification.

    You are asked; without a terminal and without --yes, nothing changes.

    Example: chitlaq announce cancel 019ac000-0000-7000-8000-000000000000 --yes
    """
    if output.is_wanted("Tell nobody else, for good?", yes=yes, nothing="Nothing has changed."):
        _change(which, "cancelled", operator, as_json=as_json)


@announce.command()
def withdraw(
    which: Id,
    operator: history_db.Operator = None,
    yes: output.Yes = False,
    as_json: output.AsJson = False,
) -> None:
    """Take an announcement back from all who were told: nobody can read it any more.

    You are asked; without a terminal and without --yes, nothing changes.

    Example: chitlaq announce withdraw 019ac000-0000-7000-8000-000000000000 --yes
    """
    if output.is_wanted("Take it back from everybody?", yes=yes, nothing="Nothing has changed."):
        _change(which, "withdrawn", operator, as_json=as_json)


def _change(which: UUID, state: str, operator: str | None, *, as_json: bool) -> None:
    from chitlaq.services.websocket.notifications.announcements.schemas import Announcement

    body = {"state": state, "operator": history_db.operator(operator)}
    changed = services.ask(SERVICE, "PUT", f"/announcements/{which}/state", Announcement, body)
    history_db.record(f"announce {state}", str(which), operator)
    _print(changed, as_json=as_json)


def _addressed(one: Announcement) -> str:
    return " / ".join(name for name in (one.university, one.department) if name) or "all"


def _print(one: Announcement, *, as_json: bool) -> None:
    if as_json:
        output.print_json(one)
        return
    shown = [
        ("id", one.id),
        ("to", _addressed(one)),
        ("text", one.text),
        ("state", one.state),
        ("reached", f"{one.reached} of {one.audience}"),
        ("until", output.local_time(one.expires_at)),
    ]
    output.print_table(["", ""], shown)
