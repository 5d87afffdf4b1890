"""``chitlaq sso``: the identity providers that sign members of universities in."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, output, services
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count

if TYPE_CHECKING:
    from chitlaq.services.auth.sso.schemas import ProviderItem

SERVICE = "auth-service"
PATH = "/sso/providers"

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `chitlaq sso list` shows it.")]

sso = typer.Typer(
    no_args_is_help=True, help="Identity providers that sign members in (OpenID Connect)."
)


def register(app: typer.Typer) -> None:
    app.add_typer(sso, name="sso")


@sso.command("list")
def list_providers(as_json: output.AsJson = False) -> None:
    """List the identity providers.

    Example: chitlaq sso list
    """
    output.print_rows(
        _all(),
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
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Add an identity provider, which signs members in from now on.

    The provider must know this installation's redirect URI, which is shown. Its secret is kept encrypted.

    Example: chitlaq sso add campus --university example.edu --issuer https://id.example.edu --client-id web
    """
    from chitlaq.services.auth.sso.schemas import ProviderItem

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
    added = services.ask(SERVICE, "POST", PATH, ProviderItem, body)
    history_db.record("sso add", f"{added.name} {added.issuer}", operator)
    if as_json:
        output.print_json(added)
        return
    typer.echo(f"{added.name} signs in people of {added.university}.")
    typer.echo(f"Redirect URI, for the provider: {added.redirect_uri}")
    typer.echo(f"Look whether it answers: `chitlaq sso test {added.name}`")


@sso.command("test")
def examine(name: Name, as_json: output.AsJson = False) -> None:
    """Ask a provider for what it publishes, and show what it would be asked. Nobody is signed in.

    Example: chitlaq sso test example
    """
    from chitlaq.services.auth.sso.schemas import ProviderTest

    found = services.ask(SERVICE, "POST", f"{_path(name)}/test", ProviderTest)
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


def _opens(word: str, meaning: str, done: str) -> None:
    def change(name: Name, operator: history_db.Operator = None) -> None:
        services.ask(SERVICE, "POST", f"{_path(name)}/{word}", NoneType)
        history_db.record(f"sso {word}", name, operator)
        typer.echo(f"{name} {done}.")

    change.__doc__ = f"{meaning}\n\nExample: chitlaq sso {word} example"
    sso.command(word)(change)


_opens("disable", "Let a provider sign nobody in; who is signed in stays so.", "signs nobody in")
_opens("enable", "Let a disabled provider sign members in again.", "signs in")


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
    from chitlaq.services.auth.sso.schemas import Unlinked

    body = {"operator": history_db.operator(operator), "login": login}
    if not services.ask(SERVICE, "POST", f"{_path(name)}/unlink", Unlinked, body).unlinked:
        raise OperatorError(f"{name} has signed nobody in to an account {login}.")
    typer.echo(f"{login} is linked again when they sign in.")


@sso.command()
def remove(name: Name, operator: history_db.Operator = None, yes: output.Yes = False) -> None:
    """Forget a provider, and whom it means; accounts stay, and have a password if one was ever chosen.

    Without a terminal and without --yes, nothing is removed.

    Example: chitlaq sso remove example --yes
    """
    found = _one(name)
    question = f"Remove {name}, with which {count(found.linked, 'account')} signed in?"
    if not output.is_wanted(question, yes=yes, nothing="Nothing was removed."):
        return
    body = {"operator": history_db.operator(operator)}
    services.ask(SERVICE, "POST", f"{_path(name)}/remove", NoneType, body)
    history_db.record("sso remove", f"{name} {found.issuer}", operator)
    typer.echo(f"{name} is removed.")


def _all() -> list[ProviderItem]:
    from chitlaq.services.auth.sso.schemas import ProviderItems

    return services.ask(SERVICE, "GET", PATH, ProviderItems).items


def _one(name: str) -> ProviderItem:
    for one in _all():
        if one.name == name:
            return one
    raise OperatorError(f"No identity provider is called {name!r}: see `chitlaq sso list`.")


def _path(name: str) -> str:
    """The path of a provider that there is; other names may hold what a path cannot."""
    return f"{PATH}/{_one(name).name}"


def _secret(file: Path | None) -> str:
    if file is None:
        asked: str = typer.prompt("Client secret", hide_input=True, err=True)
        return asked
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{file} cannot be read: {error}.") from None


def _rule(kind: str, text: str) -> dict[str, str]:
    parts = [part.strip() for part in text.split("=", 2)]
    if len(parts) != 3 or not all(parts):
        raise OperatorError(f"{text!r} is no rule: write CLAIM=PATTERN={kind.upper()}.")
    return {"kind": kind, **dict(zip(("claim", "pattern", "value"), parts, strict=True))}
