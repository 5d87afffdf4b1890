"""``chitlaq users``: accounts, and ``chitlaq audit``: what happened to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlencode

import msgspec
import typer

from chitlaq.cli import history_db, output, services
from chitlaq.core import point_in_time
from chitlaq.core.formatting import count

if TYPE_CHECKING:
    from chitlaq.services.auth.roles.schemas import AccountItem

SERVICE = "auth-service"

Name = Annotated[str, typer.Argument(metavar="NAME", help="A username, an address or an id.")]
Role = Literal["moderator", "admin", "operator"]
RoleName = Annotated[Role, typer.Argument(help="The role.")]
Reason = Annotated[str, typer.Option(help="Why, for those who look it up.")]
IdentifiedBy = Annotated[str, typer.Option(help="How you know that it is the owner who asks.")]

users = typer.Typer(no_args_is_help=True, help="Accounts: roles, devices, and who may not sign in.")


def register(app: typer.Typer) -> None:
    app.add_typer(users, name="users")
    app.command("audit")(audit)


@users.command("list")
def list_users(
    search: Annotated[str | None, typer.Option(help="A part of a name or an address.")] = None,
    role: Annotated[Role | None, typer.Option(help="Only accounts with this role.")] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disabled/--enabled", help="Only these.")
    ] = None,
    limit: output.Limit = 100,
    as_json: output.AsJson = False,
) -> None:
    """List accounts, newest first.

    Examples: chitlaq users list --search ada · chitlaq users list --role operator
    """
    from chitlaq.services.auth.roles.schemas import Accounts

    asked = {"search": search, "role": role, "disabled": disabled, "limit": limit}
    found = services.ask(SERVICE, "GET", f"/accounts?{_query(asked)}", Accounts).items
    output.print_rows(
        found,
        {
            "username": lambda one: one.username,
            "name": lambda one: one.display_name,
            "address": lambda one: one.email,
            "roles": lambda one: ", ".join(one.roles),
            "devices": lambda one: one.sessions or "",
            "last used": lambda one: (
                output.local_time(one.last_used_at) if one.last_used_at else ""
            ),
            "disabled": lambda one: one.disabled_reason,
        },
        as_json=as_json,
    )


@users.command()
def show(name: Name, as_json: output.AsJson = False) -> None:
    """Show an account.

    Example: chitlaq users show ada@example.edu
    """
    _print(_account(name), as_json=as_json)


@users.command()
def create(
    address: Annotated[str, typer.Argument(help="The owner's university address.")],
    username: Annotated[str, typer.Argument(help="The username.")],
    name: Annotated[str | None, typer.Option(help="The name that others see.")] = None,
    language: Annotated[Literal["en", "tr"], typer.Option(help="Of the mails.")] = "en",
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Make an account, and mail its owner a link to choose a password.

    Example: chitlaq users create ada@example.edu ada --name "Ada Lovelace"
    """
    said = {"email": address, "username": username, "display_name": name or username}
    _print(_made("/accounts", operator, language=language, **said), as_json=as_json)


@users.command()
def verify(
    address: Annotated[str, typer.Argument(help="An address that was registered.")],
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Make a registration an account without the mail, because you know who registered.

    Refused if the address was registered several times: a stranger may have chosen a password.

    Example: chitlaq users verify ada@example.edu
    """
    _print(_made("/accounts/verify", operator, email=address), as_json=as_json)


@users.command("reset-password")
def reset_password(
    name: Name, operator: history_db.Operator = None, as_json: output.AsJson = False
) -> None:
    """Mail the owner of an account a link to choose a new password; the old one works until then.

    If somebody else may know the password, end the sessions too, or disable the account meanwhile.

    Example: chitlaq users reset-password ada
    """
    account = _change(_account(name), "reset-password", operator)
    if as_json:
        output.print_json(account)
    else:
        typer.echo(f"A link to choose a new password is on its way to {account.email}.")


@users.command("reset-factors")
def reset_factors(
    name: Name,
    identified_by: IdentifiedBy,
    operator: history_db.Operator = None,
    yes: output.Yes = False,
    as_json: output.AsJson = False,
) -> None:
    """Remove the codes and passkeys of an account whose owner has lost them: the password alone opens it.

    Make sure that it is the owner who asks, by no less than what made the account theirs: in person with the
    university's card, or by a link to the university's address and a call back. How you did goes into the
    audit log. The owner gets a mail. The account is shown first, and you are asked. Without a terminal and
    without --yes, nothing changes.

    Example: chitlaq users reset-factors ada --identified-by "student card, in person" --yes
    """
    account = _account(name)
    if not yes:
        _print(account, as_json=False)
    question = f"Let the password alone open the account {account.username}?"
    if output.is_wanted(question, yes=yes, nothing="Nothing has changed."):
        changed = _change(account, "reset-factors", operator, identified_by=identified_by)
        _print(changed, as_json=as_json)


@users.command()
def disable(
    name: Name,
    reason: Reason,
    operator: history_db.Operator = None,
    yes: output.Yes = False,
    as_json: output.AsJson = False,
) -> None:
    """Let nobody sign in to an account, and sign its devices out; what its member wrote stays.

    The account is shown first, and you are asked. Without a terminal and without --yes, nothing changes.

    Example: chitlaq users disable ada --reason "left the university" --yes
    """
    account = _account(name)
    if not yes:
        _print(account, as_json=False)
    question = f"Disable {account.username}, and sign {count(account.sessions, 'device')} out?"
    if output.is_wanted(question, yes=yes, nothing="Nothing has changed."):
        changed = _change(account, "disable", operator, reason=reason)
        _print(changed, as_json=as_json)


@users.command()
def enable(
    name: Name, operator: history_db.Operator = None, as_json: output.AsJson = False
) -> None:
    """Let the owner of a disabled account sign in again.

    Example: chitlaq users enable ada
    """
    _print(_change(_account(name), "enable", operator), as_json=as_json)


@users.command()
def delete(
    name: Name,
    operator: history_db.Operator = None,
    yes: output.Yes = False,
    as_json: output.AsJson = False,
) -> None:
    """Delete an account: it is signed out and hidden at once, and erased after 14 days.

    Until then its owner, who gets a mail, may sign in and keep it; to prevent that, disable it first. The
    account is shown first, and you are asked. Without a terminal and without --yes, nothing changes.

    Example: chitlaq users delete ada --yes
    """
    from chitlaq.services.auth.departures.schemas import Departure

    account = _account(name)
    if not yes:
        _print(account, as_json=False)
    question = f"Delete {account.username}, and everything of theirs, for everybody?"
    if output.is_wanted(question, yes=yes, nothing="Nothing has changed."):
        path = f"{_path(account)}/delete"
        left = services.ask(SERVICE, "POST", path, Departure, _work(operator))
        if as_json:
            output.print_json(left)
        else:
            typer.echo(
                f"{account.username} is hidden, and erased at {output.local_time(left.erase_at)}."
            )


def _changes_role(word: str, meaning: str) -> None:
    def change(
        name: Name,
        role: RoleName,
        operator: history_db.Operator = None,
        as_json: output.AsJson = False,
    ) -> None:
        _print(_change(_account(name), word, operator, role=role), as_json=as_json)

    change.__doc__ = f"{meaning}\n\nExample: chitlaq users {word} ada moderator"
    users.command(word)(change)


_changes_role(
    "grant",
    "Give an account a role; each role may do what those before it may: moderator, admin, operator.",
)
_changes_role(
    "revoke",
    "Take a role from an account; within seconds, its tokens do not have it any more.",
)


@users.command()
def sessions(
    name: Name,
    end: Annotated[str | None, typer.Option(help="Sign out the device of this session.")] = None,
    end_all: Annotated[bool, typer.Option("--end-all", help="Sign all devices out.")] = False,
    operator: history_db.Operator = None,
    yes: output.Yes = False,
    as_json: output.AsJson = False,
) -> None:
    """List the signed-in devices of an account, or sign them out.

    To sign out, you are asked; without a terminal and without --yes, nothing changes.

    Examples: chitlaq users sessions ada · chitlaq users sessions ada --end-all --yes
    """
    from chitlaq.core.http.paging import Page
    from chitlaq.services.auth.roles.schemas import Ended
    from chitlaq.services.auth.sessions.schemas import SessionItem

    account = _account(name)
    if end is None and not end_all:
        path = f"{_path(account)}/sessions?limit=100"
        found = services.ask(SERVICE, "GET", path, Page[SessionItem]).items
        output.print_rows(
            found,
            {
                "session": lambda one: one.id,
                "device": lambda one: one.device,
                "address": lambda one: one.address,
                "country": lambda one: one.country or "",
                "signed in": lambda one: output.local_time(one.created_at),
                "last used": lambda one: output.local_time(one.last_used_at),
            },
            as_json=as_json,
        )
        return
    if end is not None and end_all:
        raise typer.BadParameter("give --end with a session, or --end-all")
    what = f"session {end}" if end else f"all {count(account.sessions, 'device')}"
    question = f"Sign {what} of {account.username} out?"
    if output.is_wanted(question, yes=yes, nothing="Nobody was signed out."):
        body = _work(operator, session_id=end)
        done = services.ask(SERVICE, "POST", f"{_path(account)}/sessions/end", Ended, body)
        if as_json:
            output.print_json(done)
        else:
            typer.echo(f"{count(done.ended, 'session')} of {account.username} ended.")


def audit(
    user: Annotated[
        str | None, typer.Option(help="Only about this account: username, address or id.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From this time on: '2h', '09:00', '2026-11-24 02:15'.")
    ] = None,
    limit: output.Limit = 100,
    as_json: output.AsJson = False,
) -> None:
    """Show what happened to accounts' security, newest first: who did what, from where and when.

    Examples: chitlaq audit --since 2h · chitlaq audit --user ada
    """
    from chitlaq.services.auth.audit.schemas import AuditEntries

    moment = point_in_time.parse(since, "--since").isoformat() if since else None
    asked = {"user": user, "since": moment, "limit": limit}
    found = services.ask(SERVICE, "GET", f"/audit?{_query(asked)}", AuditEntries).items
    output.print_rows(
        found,
        {
            "when": lambda one: output.local_time(one.happened_at),
            "account": lambda one: one.username,
            "what": lambda one: one.action,
            "by": lambda one: one.operator,
            "address": lambda one: one.address,
            "device": lambda one: one.user_agent,
            "detail": lambda one: " ".join(
                f"{name}={said}" for name, said in msgspec.json.decode(one.detail).items()
            ),
        },
        as_json=as_json,
    )


def _account(name: str) -> AccountItem:
    from chitlaq.services.auth.roles.schemas import AccountItem

    return services.ask(SERVICE, "GET", f"/account?{_query({'name': name})}", AccountItem)


def _change(account: AccountItem, action: str, operator: str | None, **said: str) -> AccountItem:
    return _made(f"{_path(account)}/{action}", operator, **said)


def _made(path: str, operator: str | None, **said: str) -> AccountItem:
    """Let the service do something; return the account as it is then."""
    from chitlaq.services.auth.roles.schemas import AccountItem

    return services.ask(SERVICE, "POST", path, AccountItem, _work(operator, **said))


def _path(account: AccountItem) -> str:
    return f"/accounts/{account.id}"


def _work(operator: str | None, **said: str | None) -> dict[str, str | None]:
    return {"operator": history_db.operator(operator), **said}


def _query(asked: Mapping[str, object]) -> str:
    def written(value: object) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return urlencode({name: written(value) for name, value in asked.items() if value is not None})


def _print(account: AccountItem, *, as_json: bool) -> None:
    if as_json:
        output.print_json(account)
        return
    shown = [
        ("id", account.id),
        ("username", account.username),
        ("name", account.display_name),
        ("address", account.email),
        ("university", account.university),
        ("roles", ", ".join(["member", *account.roles])),
        ("registered", output.local_time(account.created_at)),
        ("devices", account.sessions),
        ("last used", output.local_time(account.last_used_at) if account.last_used_at else ""),
    ]
    if account.disabled_at is not None:
        disabled = f"{output.local_time(account.disabled_at)}: {account.disabled_reason}"
        shown.append(("disabled", disabled))
    output.print_table(["", ""], shown)
