"""``chitlaq keys``: which keys sign access tokens."""

from __future__ import annotations

from datetime import datetime
from types import NoneType
from typing import Annotated

import msgspec
import typer

from chitlaq.cli import history_db, output, services
from chitlaq.core.errors import OperatorError

SERVICE = "auth-service"


class _Key(msgspec.Struct):
    id: str
    state: str
    created_at: datetime
    signs_from: datetime
    last_signed_at: datetime | None


class _Keys(msgspec.Struct):
    items: list[_Key]


keys = typer.Typer(no_args_is_help=True, help="The keys that sign access tokens.")


def register(app: typer.Typer) -> None:
    app.add_typer(keys, name="keys")


@keys.command("list")
def list_keys(as_json: output.AsJson = False) -> None:
    """List the keys whose tokens are trusted, newest first: waiting, signing, retired.

    Example: chitlaq keys list
    """
    _print(_all(), as_json=as_json)


@keys.command()
def rotate(operator: history_db.Operator = None, as_json: output.AsJson = False) -> None:
    """Publish a new key, which signs in two minutes. Nobody is signed out.

    The old key goes when the last of its tokens is over. Where auth-service runs on several machines, copy
    the new file in secrets/ to each; a machine without it goes on with a key of its own.

    Example: chitlaq keys rotate
    """
    made = services.ask(SERVICE, "POST", "/auth/keys", _Key)
    history_db.record("keys rotate", made.id, operator)
    if as_json:
        output.print_json(made)
    else:
        typer.echo(f"{made.id} is published, and signs from {output.local_time(made.signs_from)}.")


@keys.command()
def remove(
    key: Annotated[str, typer.Argument(metavar="ID", help="As `chitlaq keys list` shows it.")],
    operator: history_db.Operator = None,
    yes: output.Yes = False,
) -> None:
    """Trust a key no more, because somebody else may have it: its tokens stop working within seconds.

    Members stay signed in: their clients get a token of another key. If the key signs, a new one takes over
    first. Without a terminal and without --yes, nothing is removed.

    Example: chitlaq keys remove 9mSZ1R8Yp0Jc2yFq4U1sYb0Yw8m6r5dQh3kTzVnXaLE
    """
    found = [one for one in _all() if one.id == key]
    if not found:
        raise OperatorError(f"No key {key} is trusted: see `chitlaq keys list`.")
    _print(found, as_json=False)
    if not output.is_wanted("Remove this key?", yes=yes, nothing="Nothing was removed."):
        return
    services.ask(SERVICE, "DELETE", f"/auth/keys/{key}", NoneType)
    history_db.record("keys remove", key, operator)
    typer.echo("The key is removed.")


def _all() -> list[_Key]:
    return services.ask(SERVICE, "GET", "/auth/keys", _Keys).items


def _print(found: list[_Key], *, as_json: bool) -> None:
    output.print_rows(
        found,
        {
            "id": lambda one: one.id,
            "state": lambda one: one.state,
            "signs from": lambda one: output.local_time(one.signs_from),
            "last signed": lambda one: (
                output.local_time(one.last_signed_at) if one.last_signed_at else ""
            ),
        },
        as_json=as_json,
    )
