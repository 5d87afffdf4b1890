"""``chitlaq config``: the settings in effect, and the configuration generated from them."""

from __future__ import annotations

import getpass
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import installation, output, reload, terminal
from chitlaq.cli.serve import load
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings
    from chitlaq.services.gateway.nginx import Tls

config = typer.Typer(no_args_is_help=True, help="Settings, and the servers' configuration.")


def register(app: typer.Typer) -> None:
    app.add_typer(config, name="config")


def _tls(home: Home, settings: Settings) -> Tls | None:
    """The edge's port with TLS, with a certificate that nginx can use."""
    from chitlaq.services.gateway.nginx import Tls
    from chitlaq.stack.servers import certificates, nginx

    port = nginx.tls_port(home, settings)
    if port is None:
        number = settings.optional_port_of("nginx")
        typer.echo(f"port {number} is another program's: nginx answers without TLS only", err=True)
        return None
    certificates.ensure(home, settings)
    certificate, key = settings.edge_certificate(home)
    return Tls(port, certificate, key, is_stapled=bool(certificates.responder(certificate)))


@config.command()
def show(as_json: output.AsJson = False) -> None:
    """List every setting with its value and environment variable; secrets are hidden.

    Example: chitlaq config show
    """
    from chitlaq.core.installation import settings_loading

    home, settings = installation.configured()
    rows = []
    for dotted, field in settings_loading.fields():
        value = settings.value_of(dotted)
        rows.append(
            {
                "setting": dotted,
                "value": settings_loading.shown(value),
                "is_default": value == field.default,
                "variable": settings_loading.variable_of(dotted),
            }
        )
    if as_json:
        output.print_json({"home": str(home.root), "settings": rows})
        return
    typer.echo(f"home: {home.root} (CHITLAQ_HOME)\nfile: {home.settings_file}\n")
    output.print_table(
        ["setting", "value", "", "variable"],
        [
            [row["setting"], row["value"], "" if row["is_default"] else "changed", row["variable"]]
            for row in rows
        ],
    )


@config.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A file of settings; default: the home's chitlaq.toml.")
    ] = None,
) -> None:
    """Say everything that is wrong with a file of settings, with line and remedy; it changes nothing.

    Files that it names have to be on this machine.

    Example: chitlaq config check /tmp/chitlaq.toml
    """
    from chitlaq.core.installation import settings_loading, settings_review
    from chitlaq.core.installation.home import Home

    home = Home.from_environment()
    path = file or home.settings_file
    try:
        problems = settings_review.reviewed(settings_loading.text_of(path), has_files=True)
    except FileNotFoundError:
        raise OperatorError(f"There is no file {path}.") from None
    for one in problems:
        place = f"{path}:{one.line}" if one.line else f"{path}"
        subject = f"{one.setting}: " if one.setting else ""
        terminal.write_styled(f"{place}: {subject}{one.what}: {one.remedy}.\n")
    if problems:
        raise typer.Exit(1)
    # With the variables of the environment, which win over the file and may not go together with it.
    settings_loading.load(home, file=path)
    typer.echo(f"{path} is valid.")


@config.command()
def diff(
    file: Annotated[
        Path | None, typer.Argument(help="A file of settings; default: the home's chitlaq.toml.")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Compare the settings of a file with the running stack's and the defaults; secrets are hidden.

    The environment counts, as it does for the stack. Of what is not running yet, it says what it takes.

    Examples: chitlaq config diff · chitlaq config diff /tmp/chitlaq.toml
    """
    from chitlaq.core.installation import settings_loading
    from chitlaq.core.installation.home import Home
    from chitlaq.stack.supervisor import control

    home = Home.from_environment()
    file = file and file.absolute()
    settings = settings_loading.load(home, file=file)
    is_running = True
    try:
        changes = control.reload(home, control.Reload(file=str(file or "")))
    except control.NotRunningError:
        is_running, changes = False, []
    pending = {one.setting: one for one in changes}
    rows = []
    for dotted, field in settings_loading.fields():
        value, change = settings.value_of(dotted), pending.get(dotted)
        if change is None and value == field.default:
            continue
        shown = settings_loading.shown(value)
        rows.append(
            {
                "setting": dotted,
                "running": change.before if change else shown if is_running else None,
                "file": change.after if change else shown,
                "default": settings_loading.shown(field.default),
                "takes": reload.taking(change, home) if change else "",
            }
        )
    if as_json:
        output.print_json(rows)
        return
    if not is_running:
        typer.echo("ChitLaq is not running here.", err=True)
    output.print_table(
        ["setting", "running", "file", "default", "to apply it"],
        [list(row.values()) for row in rows],
    )
    if file and pending and file != home.settings_file:
        typer.echo(
            "\nThe commands read the home's own file. To use this one, first:"
            f"\n{shlex.join(['cp', str(file), str(home.settings_file)])}"
        )


@config.command()
def nginx(
    write: Annotated[
        bool, typer.Option("--write", help="Put it where the embedded nginx reads it.")
    ] = False,
    access_log: Annotated[
        Path | None,
        typer.Option(help="Where it logs requests. Default: logs/nginx-access.log in the home."),
    ] = None,
) -> None:
    """Print nginx's configuration, generated from the routes of the services.

    Example: chitlaq config nginx > /etc/nginx/nginx.conf
    """
    from chitlaq import inventory
    from chitlaq.core.http import routes
    from chitlaq.core.installation.secrets import Secrets
    from chitlaq.services.gateway import nginx as generator
    from chitlaq.stack.servers import nginx as server

    home, settings = installation.current()
    declared = {row.name: routes.for_members(load(row)) for row in inventory.SERVICES}
    # Of an nginx that root starts, the workers must reach the services' sockets.
    user = None if write else getpass.getuser()
    # The embedded one gets its modules with its command.
    modules = [] if write else server.modules(server.program(home, settings).path)
    tls = _tls(home, settings)
    text = generator.render(home, settings, declared, user, modules, tls, access_log)
    if write:
        typer.echo(f"wrote {generator.write(home, text, declared, Secrets(home.secrets).edge_key)}")
    else:
        typer.echo(text, nl=False)


@config.command()
def prometheus(
    write: Annotated[
        bool, typer.Option("--write", help="Check it and put it where Prometheus reads it.")
    ] = False,
) -> None:
    """Print Prometheus's configuration: targets and interval. For the rules: `config rules`.

    Example: chitlaq config prometheus
    """
    from chitlaq.monitoring import prometheus_config
    from chitlaq.monitoring import provisioning as observers
    from chitlaq.stack.servers import observers as monitoring

    home, settings = installation.current()
    if write:
        promtool = monitoring.program(home, "promtool")
        typer.echo(f"wrote {observers.write_prometheus(home, settings, promtool)}")
    else:
        typer.echo(prometheus_config.prometheus(home, settings), nl=False)


@config.command(name="monitoring-proxy")
def monitoring_proxy(
    write: Annotated[
        bool, typer.Option("--write", help="Put it where monitoring-proxy reads it.")
    ] = False,
) -> None:
    """Print the configuration of the nginx in front of Prometheus, Alertmanager and node-exporter.

    Example: chitlaq config monitoring-proxy
    """
    from chitlaq.monitoring import proxy

    home, settings = installation.current()
    text = proxy.render(home, settings)
    if write:
        typer.echo(f"wrote {proxy.write(home, text)}")
    else:
        typer.echo(text, nl=False)


@config.command()
def rules() -> None:
    """Print the alerting and recording rules, for any Prometheus.

    Example: chitlaq config rules > chitlaq-rules.yml
    """
    from chitlaq.monitoring.alerts import registry

    typer.echo(registry.rule_groups(), nl=False)


@config.command()
def grafana(folder: Annotated[Path, typer.Argument(help="Grafana's provisioning folder.")]) -> None:
    """Write the dashboards and their data source for Grafana's provisioning.

    Example: chitlaq config grafana /etc/grafana/provisioning
    """
    from chitlaq.monitoring.dashboards import rendering

    _, settings = installation.current()
    folder = folder.absolute()
    url = settings.prometheus_url.reveal() or f"http://localhost:{settings.port_of('prometheus')}"
    for name, content in rendering.provisioning(folder, url).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        typer.echo(f"wrote {folder / name}")


@config.command()
def logrotate() -> None:
    """Print a configuration for logrotate, for a machine where it rotates the logs.

    Example: chitlaq config logrotate > /etc/logrotate.d/chitlaq
    """
    from chitlaq.logs import rotation

    home, settings = installation.current()
    typer.echo(rotation.logrotate(home, settings.logs), nl=False)


@config.command()
def alertmanager(
    write: Annotated[
        bool, typer.Option("--write", help="Check it and put it where Alertmanager reads it.")
    ] = False,
) -> None:
    """Print Alertmanager's configuration: how alerts are grouped, inhibited and reported.

    Example: chitlaq config alertmanager
    """
    from chitlaq.monitoring import provisioning as observers
    from chitlaq.monitoring.alerts import routing
    from chitlaq.stack.servers import observers as monitoring

    home, settings = installation.current()
    if write:
        amtool = monitoring.program(home, "amtool")
        path = observers.write_alertmanager(home, settings, amtool)
        typer.echo(f"wrote {path}")
    else:
        token = str(home.alertmanager / "ops-token")
        typer.echo(routing.alertmanager_config(observers.webhook(settings), token), nl=False)


@config.command()
def secrets() -> None:
    """Make the secrets that do not exist yet, which all machines or pods of an installation share.

    Example: chitlaq config secrets
    """
    from chitlaq.core.installation import secrets as kept

    home, _ = installation.configured()
    kept.ensure(home)
    typer.echo(f"{home.secrets} has all secrets: keep it safe.")


@config.command()
def containers() -> None:
    """Write what containers read, by compose or in a pod: secrets, data folder, servers' configuration.

    Example: chitlaq config containers
    """
    from chitlaq import inventory
    from chitlaq.core.http import routes
    from chitlaq.core.installation import secrets
    from chitlaq.core.installation.home import Home
    from chitlaq.monitoring import containers as observed
    from chitlaq.services.gateway import nginx as generator
    from chitlaq.stack import containers as servers

    # First: what follows may refuse, and then says what is typed here.
    servers.mark(Home.from_environment())
    home, settings = installation.configured()
    kept = secrets.ensure(home)
    servers.prepare(home, settings)
    declared = {row.name: routes.for_members(load(row)) for row in inventory.SERVICES}
    text = generator.render(home, settings, declared, None, [], _tls(home, settings))
    generator.write(home, text, declared, kept.edge_key)
    if settings.embeds("prometheus"):
        observed.write(home, settings)
    typer.echo(f"wrote what containers read, below {home.root}")
