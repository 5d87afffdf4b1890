"""``chitlaq sso``: the identity providers that sign members of universities in."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from chitlaq.cli import history_db, output, services
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count

SERVICE = "auth-service"
PATH = "/sso/providers"

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `chitlaq sso list` shows it.")]

sso = typer.Typer(
    no_args_is_help=True, help="Identity providers that sign members in (OpenID Connect)."
)


class _Rule(msgspec.Struct):
    kind: str
    claim: str
    pattern: str
    value: str


class _Provider(msgspec.Struct):
    name: str
    title: str
    university: str
    issuer: str
    client_id: str
    redirect_uri: str
    scopes: list[str]
    verified_claim: str
    second_factors: list[str]
    rules: list[_Rule]
    linked: int
    disabled_at: datetime | None


class _Providers(msgspec.Struct):
    items: list[_Provider]


class _Test(msgspec.Struct):
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    keys: int
    asks: str
    warnings: list[str]


class _Unlinked(msgspec.Struct):
    unlinked: int


def register(app: typer.Typer) -> None:
    app.add_typer(sso, name="sso")


@sso.command("list")
def list_providers(as_json: output.AsJson = False) -> None:
    """List the identity providers.

    Example: chitlaq sso list
    """
    output.print_rows(
        services.ask(SERVICE, "GET", PATH, _Providers).items,
        {
            "name": lambda one: one.name,
            "title": lambda one: one.title,
            "university": lambda one: one.university,
            "issuer": lambda one: one.issuer,
            "linked": lambda one: one.linked,
            "rules": lambda one: len(one.rules) or "",
            "state": lambda one: "disabled" if one.disabled_at else "signs in",
        },
        as_json=as_json,
    )


@sso.command()
def add(
    name: Annotated[str, typer.Argument(help="How addresses and commands name it.")],
    university: Annotated[str, typer.Option(help="Whose people: an id, a name or a domain.")],
    issuer: Annotated[str, typer.Option(help="The provider's URL, exactly as it states it.")],
    client_id: Annotated[str, typer.Option(help="What the provider calls this installation.")],
    secret_file: Annotated[
        Path | None,
        typer.Option(help="The file with the client secret; without it, you are asked."),
    ] = None,
    title: Annotated[str, typer.Option(help="What the sign-in page says.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="Asked for beside openid.")] = None,
    verified_claim: Annotated[
        str, typer.Option(help="The claim that says that an address is verified; '' if all are.")
    ] = "email_verified",
    second_factor: Annotated[
        list[str] | None,
        typer.Option(help="A value of amr or acr that stands for a second factor."),
    ] = None,
    department: Annotated[
        list[str] | None, typer.Option(help="CLAIM=PATTERN=DEPARTMENT, the first that matches.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="CLAIM=PATTERN=ROLE: moderator or admin.")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Add an identity provider, which signs members in from now on.

    The provider must know this installation's redirect URI, which is shown. Its secret is kept encrypted.

    Example: chitlaq sso add campus --university example.edu --issuer https://id.example.edu --client-id web
    """
    rules = [_rule("department", text) for text in department or []]
    rules += [_rule("role", text) for text in role or []]
    body = {
        "name": name,
        "university": university,
        "issuer": issuer,
        "client_id": client_id,
        "secret": _secret(secret_file),
        "title": title or name,
        "scopes": ["openid", *(scope if scope is not None else ("email", "profile"))],
        "verified_claim": verified_claim,
        "second_factors": second_factor or [],
        "rules": rules,
    }
    added = services.ask(SERVICE, "POST", PATH, _Provider, body)
    if as_json:
        output.print_json(added)
        return
    typer.echo(f"{added.name} signs in people of {added.university}.")
    typer.echo(f"Redirect URI, for the provider: {added.redirect_uri}")
    typer.echo(f"Look whether it answers: chitlaq sso test {added.name}")


@sso.command("test")
def examine(name: Name, as_json: output.AsJson = False) -> None:
    """Ask a provider for what it publishes, and show what it would be asked. Nobody is signed in.

    Example: chitlaq sso test example
    """
    found = services.ask(SERVICE, "POST", f"{_path(name)}/test", _Test)
    if as_json:
        output.print_json(found)
        return
    facts = [
        ("signs in at", found.authorization_endpoint),
        ("gives tokens at", found.token_endpoint),
        ("says more at", found.userinfo_endpoint or "nowhere"),
        ("signs out at", found.end_session_endpoint or "nowhere"),
        ("keys", f"{found.keys} at {found.jwks_uri}"),
        ("is asked", found.asks),
    ]
    output.print_table(["", ""], facts)
    for warning in found.warnings:
        typer.echo(f"Note: {warning}.")


@sso.command()
def disable(name: Name) -> None:
    """Let a provider sign nobody in; who is signed in stays so.

    Example: chitlaq sso disable example
    """
    services.ask(SERVICE, "POST", f"{_path(name)}/disable", NoneType)
    typer.echo(f"{name} signs nobody in.")


@sso.command()
def enable(name: Name) -> None:
    """Let a disabled provider sign members in again.

    Example: chitlaq sso enable example
    """
    services.ask(SERVICE, "POST", f"{_path(name)}/enable", NoneType)
    typer.echo(f"{name} signs in.")


@sso.command()
def unlink(
    name: Name,
    login: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its address or username.")],
    operator: history_db.Operator = None,
) -> None:
    """Forget whom a provider means by an account, because it now knows the same person by another subject.

    At the next sign-in, the account is linked again by its verified address.

    Example: chitlaq sso unlink example ada@example.edu
    """
    body = {"operator": history_db.operator(operator), "login": login}
    if not services.ask(SERVICE, "POST", f"{_path(name)}/unlink", _Unlinked, body).unlinked:
        raise OperatorError(f"{name} has signed nobody in to an account {login}.")
    typer.echo(f"{login} is linked again when they sign in.")


@sso.command()
def remove(name: Name, yes: output.Yes = False) -> None:
    """Forget a provider, and whom it means; accounts stay, and have a password if one was ever chosen.

    Without a terminal and without --yes, nothing is removed.

    Example: chitlaq sso remove example --yes
    """
    found = [
        one for one in services.ask(SERVICE, "GET", PATH, _Providers).items if one.name == name
    ]
    if not found:
        raise OperatorError(f"No identity provider is called {name}: see `chitlaq sso list`.")
    question = f"Remove {name}, with which {count(found[0].linked, 'account')} signed in?"
    if not output.is_wanted(question, yes=yes, nothing="Nothing was removed."):
        return
    services.ask(SERVICE, "DELETE", _path(name), NoneType)
    typer.echo(f"{name} is removed.")


def _path(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"


def _secret(file: Path | None) -> str:
    if file is None:
        asked: str = typer.prompt("Client secret", hide_input=True, err=True)
        return asked
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{file} cannot be read: {error}.") from None


def _rule(kind: str, text: str) -> _Rule:
    parts = [part.strip() for part in text.split("=", 2)]
    if len(parts) != 3 or not all(parts):
        raise OperatorError(f"{text!r} is no rule: write CLAIM=PATTERN={kind.upper()}.")
    return _Rule(kind, *parts)
