"""``chitlaq universities``: whose addresses may register."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from chitlaq.cli import history_db, output, services
from chitlaq.core.errors import OperatorError
from chitlaq.core.visible import visible

SERVICE = "auth-service"

universities = typer.Typer(no_args_is_help=True, help="Universities whose addresses may register.")


class _Rule(msgspec.Struct):
    kind: str
    pattern: str
    department: str


class _University(msgspec.Struct):
    id: str
    code: str | None
    name: str
    country: str
    domains: list[str]
    rules: list[_Rule]


class _Universities(msgspec.Struct):
    items: list[_University]


class _Change(msgspec.Struct):
    action: str
    university: str
    what: str


class _Imported(msgspec.Struct):
    changes: list[_Change]
    universities: int
    domains: int


def register(app: typer.Typer) -> None:
    app.add_typer(universities, name="universities")


@universities.command("list")
def list_universities(as_json: output.AsJson = False) -> None:
    """List the universities and the domains of their addresses.

    Example: chitlaq universities list
    """
    found = services.ask(SERVICE, "GET", "/universities", _Universities)
    output.print_rows(
        found.items,
        {
            "id": lambda one: one.code,
            "university": lambda one: one.name,
            "country": lambda one: one.country,
            "domains": lambda one: ", ".join(one.domains),
            "rules": lambda one: len(one.rules) or "",
        },
        as_json=as_json,
    )


@universities.command()
def show(
    which: Annotated[str, typer.Argument(help="Its id, its name, or one of its domains.")],
    as_json: output.AsJson = False,
) -> None:
    """Show a university with its domains and the rules for its addresses.

    Example: chitlaq universities show example.edu
    """
    from chitlaq.core import addresses

    found = services.ask(SERVICE, "GET", "/universities", _Universities).items
    names = {which, which.casefold()}
    with suppress(ValueError):
        names.add(addresses.checked_domain(which))
    shown = [
        one
        for one in found
        if not names.isdisjoint({one.id, one.code, one.name.casefold(), *one.domains})
    ]
    if not shown:
        raise OperatorError(f"No university is called {which}: see `chitlaq universities list`.")
    if as_json:
        output.print_json(shown)
        return
    for one in shown:
        facts = [("id", one.code or one.id), ("name", one.name), ("country", one.country)]
        facts += [("domain", domain) for domain in one.domains]
        facts += [(rule.kind, f"{rule.pattern} {rule.department}".strip()) for rule in one.rules]
        output.print_table(["", ""], facts)


@universities.command("import")
def import_universities(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with the columns name,domain and, if you like, id,country,allow,refuse,departments."
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
    operator: history_db.Operator = None,
    yes: output.Yes = False,
    as_json: output.AsJson = False,
) -> None:
    """Add universities and domains; what the file does not name stays as it is.

    What it adds is added at once; before it changes what was known, it asks. Each line is one domain.
    `allow` and `refuse` are patterns of addresses, such as "s*@example.edu", divided by spaces;
    `departments` is "cs.example.edu=Computer Science; law.example.edu=Law".

    Example: chitlaq universities import universities.csv --dry-run
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{file} cannot be read: {error}.") from None
    found = _asked(text, apply=False)
    if not as_json:
        for one in found.changes:
            mark = "+" if one.action == "add" else "~"
            typer.echo(f"{mark} {visible(one.university)}: {visible(one.what)}")
    if not dry_run and found.changes:
        if not yes and any(one.action != "add" for one in found.changes):
            typer.confirm("Change what was known before?", abort=True, err=True)
        found = _asked(text, apply=True)
        history_db.record("universities import", str(file), operator)
    if as_json:
        output.print_json(found)
        return
    count = f"{found.domains} domains of {found.universities} universities"
    if dry_run:
        typer.echo(f"Nothing was changed: leave out --dry-run to import {count}.")
    else:
        typer.echo(f"{count} are known{'' if found.changes else ' already'}.")


def _asked(text: str, *, apply: bool) -> _Imported:
    body = {"csv": text, "apply": apply}
    return services.ask(SERVICE, "POST", "/universities/import", _Imported, body)
