"""``chitlaq site``: several machines that are one installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chitlaq.cli import output
from chitlaq.core.errors import OperatorError

site = typer.Typer(help="Several machines that are one installation.", no_args_is_help=True)

Inventory = Annotated[Path, typer.Argument(help="The inventory, such as deploy/site.toml.")]


def register(app: typer.Typer) -> None:
    app.add_typer(site, name="site")


@site.callback()
def _group() -> None:
    """Several machines that are one installation."""


@site.command()
def check(file: Inventory) -> None:
    """Say everything that is wrong with an inventory, or list its nodes; it changes nothing.

    Example: chitlaq site check deploy/site.toml
    """
    from chitlaq.stack.site import nodes

    output.print_table(["node", "address", "roles", "targets"], nodes.shown(nodes.read(file)))


@site.command()
def render(
    file: Inventory,
    folder: Annotated[Path, typer.Argument(help="Where to write; keep it safe, it has secrets.")],
) -> None:
    """Write what each node reads: Patroni, etcd, Valkey, Sentinel, ChitLaq's settings, units of systemd.

    Secrets are made once and kept in the folder, so it may be run again after a change.

    Example: chitlaq site render deploy/site.toml /root/site
    """
    from chitlaq.stack.site import nodes, rendering

    wanted = nodes.read(file)
    try:
        made = rendering.render(wanted, folder)
    except OSError as error:
        raise OperatorError(f"Cannot write {folder}: {error.strerror}.") from None
    for path in made:
        typer.echo(path)
    typer.echo("docs/several-machines.md says where each file goes on its node.", err=True)
