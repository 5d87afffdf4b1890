"""``chitlaq certificates``: nginx's certificate, its renewal, and trust in the local authority."""

from __future__ import annotations

import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import installation, output
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, programs

if TYPE_CHECKING:
    from chitlaq.stack.acme.renewal import Plan

SYSTEM_FOLDER = Path("/usr/local/share/ca-certificates")
"""Where Debian and Ubuntu look for authorities of this machine's own."""
UPDATE_SECONDS = 60

certificates = typer.Typer(help="nginx's certificate, and trust in the authority that made it.")


def register(app: typer.Typer) -> None:
    app.add_typer(certificates, name="certificates")


@certificates.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show()


@certificates.command()
def show(as_json: output.AsJson = False) -> None:
    """Show nginx's certificate: its names, who made it, and until when it is good.

    Example: chitlaq certificates show
    """
    from chitlaq.stack.servers import certificates as made

    home, settings = installation.current()
    found = made.shown(home, settings)
    if as_json:
        output.print_json(found)
        return
    typer.echo(f"file     {found.file}")
    typer.echo(f"names    {', '.join(found.names)}")
    typer.echo(f"issuer   {found.issuer}")
    typer.echo(f"expires  {output.local_time(found.expires_at)}")
    typer.echo(f"SHA-256  {found.sha256}")
    if found.authority:
        typer.echo(
            "\nA local authority made it, and it is renewed by itself. `chitlaq certificates trust` says how"
            " browsers come to trust it."
        )
    if found.renewal:
        typer.echo(f"\n{_said(found.renewal)}")


@certificates.command()
def renew(
    write: Annotated[
        bool, typer.Option("--write", help="Order it, and let nginx read it.")
    ] = False,
    if_due: Annotated[
        bool, typer.Option("--if-due", help="Only if it is due, and nobody waits for anything.")
    ] = False,
) -> None:
    """Say which certificate would be ordered by ACME, of whom, and why; nobody is asked without --write.

    With --write it is ordered now, whether or not it is due. Authorities limit how often they are asked.

    Example: chitlaq certificates renew
    """
    from chitlaq.stack.acme import renewal
    from chitlaq.stack.supervisor import control

    home, settings = installation.current()
    if not renewal.is_wanted(settings):
        raise OperatorError(
            "nginx's certificate does not come by ACME: set acme.directory, and no tls.certificate."
        )
    now = datetime.now(UTC)
    wanted = renewal.plan(home, settings, now)
    if not write:
        typer.echo(_said(wanted))
        return
    if if_due and not wanted.is_due(now):
        return
    renewal.renew(home, settings, now)
    typer.echo(f"There is a certificate for {', '.join(wanted.names)}.")
    if not if_due:  # the supervisor itself sees to the rest
        try:
            control.ask(home, control.Restart("nginx"))
        except control.NotRunningError:
            typer.echo("nginx reads it when ChitLaq starts.")


@certificates.command()
def keep(
    minutes: Annotated[
        float, typer.Option(help="How often it looks whether the certificate is due.")
    ] = 10.0,
) -> None:
    """Renew nginx's certificate whenever it is due, until stopped: for containers, which have no supervisor.

    Example: chitlaq certificates keep
    """
    from chitlaq.stack import containers

    home, settings = installation.current()
    while True:
        try:
            containers.keep_certificate(home, settings)
        except OperatorError as error:
            typer.echo(str(error), err=True)
        time.sleep(minutes * 60)


def _said(wanted: Plan) -> str:
    """What is next by ACME, for people."""
    when = f"{'now' if wanted.at <= datetime.now(UTC) else output.local_time(wanted.at)}"
    asked = ", then ".join(wanted.directories)
    lines = [
        f"renewal  {when}{f', since {wanted.reason}' if wanted.reason else ''}",
        f"for      {', '.join(wanted.names)}",
        f"by       {asked}",
    ]
    if wanted.failures:
        lines.append(f"failed   {wanted.failures} times in a row, at last: {wanted.failure}")
    return "\n".join(lines)


@certificates.command()
def trust(
    write: Annotated[
        bool, typer.Option("--write", help="Add it to what this machine (Debian, Ubuntu) trusts.")
    ] = False,
) -> None:
    """Say how to trust the local authority, which vouches for this installation's names alone.

    Nothing is changed without --write, which needs root.

    Example: chitlaq certificates trust
    """
    from chitlaq.stack import commands
    from chitlaq.stack.servers import certificates as made

    home, settings = installation.current()
    authority = made.shown(home, settings).authority
    if authority is None:
        raise OperatorError(
            "nginx has a certificate of your own (tls.certificate): trust its authority."
        )
    target = SYSTEM_FOLDER / "chitlaq.crt"
    if write:
        try:
            files.write(target, Path(authority).read_text(), mode=0o644)
            programs.run(["update-ca-certificates"], timeout_seconds=UPDATE_SECONDS).checked()
        except OSError as error:
            raise OperatorError(
                f"{target} cannot be written ({error}): run it as root, on Debian or Ubuntu."
            ) from None
        typer.echo(
            f"{target} is trusted by this machine; Firefox and Chromium have lists of their own."
        )
        return
    path, itself = (
        shlex.quote(authority),
        "\n                (or: sudo chitlaq certificates trust --write)",
    )
    if fetch := commands.fetch(authority, home):
        typer.echo(f"The containers have it; first: {fetch}\n")
        path, itself = Path(authority).name, ""
    typer.echo(f"""The authority: {authority}

Debian, Ubuntu  sudo cp {path} {target} && sudo update-ca-certificates{itself}
Fedora          sudo trust anchor {path}
macOS           sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {path}
Windows         certutil -addstore Root authority.crt
Chromium        certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n ChitLaq -i {path}
Firefox         Settings, Privacy & Security, View Certificates, Authorities, Import
curl            curl --cacert {path} https://localhost:{settings.optional_port_of("nginx")}/

It vouches for the names of `chitlaq certificates show` alone. Its key stays in {home.certificates}.""")
