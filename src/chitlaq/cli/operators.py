"""``chitlaq operators``: who may sign in to the operations console."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, output

if TYPE_CHECKING:
    from chitlaq.ops.console.access.operators import Operator, Operators

operators = typer.Typer(no_args_is_help=True, help="Who may sign in to the operations console.")

Name = Annotated[str, typer.Argument(help="The operator's name.")]


def register(app: typer.Typer) -> None:
    app.add_typer(operators, name="operators")


@operators.command()
def add(name: Name, operator: history_db.Operator = None) -> None:
    """Add an operator: ask for a password (without a terminal: the first line of standard input).

    Prints what the operator's authenticator app needs for the six digits, once.

    Example: chitlaq operators add ada
    """
    made = asyncio.run(_file().add(name, _password()))
    history_db.record("operators add", name, operator)
    _print_enrolment(made)


@operators.command("list")
def list_(as_json: output.AsJson = False) -> None:
    """List the operators.

    Example: chitlaq operators list
    """
    found = [
        {"name": one.name, "added_at": one.added_at, "changed_at": one.changed_at}
        for one in _file().listed()
    ]
    if as_json:
        output.print_json(found)
    elif found:
        output.print_table(
            ["name", "added", "password or code changed"],
            [
                [one["name"], *(f"{one[at]:%Y-%m-%d}" for at in ("added_at", "changed_at"))]
                for one in found
            ],
        )
    else:
        typer.echo("There are no operators yet: `chitlaq operators add NAME`.")


@operators.command()
def remove(name: Name, operator: history_db.Operator = None) -> None:
    """Remove an operator; who is signed in as this operator no longer is.

    Example: chitlaq operators remove ada
    """
    from chitlaq.ops.console.access.sessions import Sessions

    _file().remove(name)
    # The file says nothing any more of who was signed in by a link.
    history_db.ask(lambda database: Sessions(database).end_all(name))
    history_db.record("operators remove", name, operator)
    typer.echo(f"{name} can no longer sign in.")


@operators.command()
def password(name: Name, operator: history_db.Operator = None) -> None:
    """Give an operator a new password, and end their sessions.

    Example: chitlaq operators password ada
    """
    asyncio.run(_file().change_password(name, _password()))
    history_db.record("operators password", name, operator)
    typer.echo(f"{name} has a new password; sessions of {name} have ended.")


@operators.command()
def totp(name: Name, operator: history_db.Operator = None) -> None:
    """Give an operator a new key for the authenticator app, and end their sessions.

    Example: chitlaq operators totp ada
    """
    made = _file().renew_totp(name)
    history_db.record("operators totp", name, operator)
    _print_enrolment(made)


def _file() -> Operators:
    from chitlaq.core.installation.home import Home
    from chitlaq.ops.console.access.operators import Operators

    return Operators(Home.from_environment())


def _password() -> str:
    if sys.stdin.isatty():
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return asked
    return sys.stdin.readline().rstrip("\n")


def _print_enrolment(operator: Operator) -> None:
    from chitlaq.ops.console.access.operators import enrolment

    typer.echo(
        f"Enter this key in {operator.name}'s authenticator app; it is not shown again:\n"
        f"  {operator.totp_secret}\n  {enrolment(operator)}"
    )
