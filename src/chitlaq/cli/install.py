"""``chitlaq install``: what keeps ChitLaq running beyond a terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from chitlaq.cli import installation

install = typer.Typer(help="Have ChitLaq started with the machine.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(install, name="install")


@install.callback()
def _group() -> None:
    """Have ChitLaq started with the machine."""


@install.command()
def systemd(
    write: Annotated[
        bool, typer.Option("--write", help="Write it to /etc/systemd/system; only root may.")
    ] = False,
) -> None:
    """Print the unit with which systemd runs the whole stack; its comments say what each part is for.

    It starts the stack with the machine, knows when it is ready, starts it again when the supervisor is
    dead or hangs, and lets it write nowhere but in its home.

    Examples: chitlaq install systemd · chitlaq install systemd --write
    """
    from chitlaq.stack.install import systemd as made

    home, settings = installation.configured()
    wanted = made.of(home, settings)
    if not write:
        typer.echo(made.unit(wanted), nl=False)
        return
    path = made.write(wanted)
    typer.echo(
        f"{path} is written. ChitLaq will run as {wanted.user}, with its data in {home.root}."
    )
    typer.echo(
        "Next: `chitlaq down`, if it runs here now; then `systemctl daemon-reload` and"
        " `systemctl enable --now chitlaq`."
    )
