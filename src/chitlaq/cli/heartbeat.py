"""``chitlaq heartbeat``: expect heartbeats of other installations, and escalate when one is missing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

import typer

from chitlaq.cli import history_db, installation, output

heartbeat = typer.Typer(
    no_args_is_help=True,
    help="A dead man's switch: who expects the heartbeats of other installations alarms when one is missing.",
)

HeartbeatName = Annotated[str, typer.Argument(metavar="NAME", help="Of whoever sends it.")]


def register(app: typer.Typer) -> None:
    app.add_typer(heartbeat, name="heartbeat")


@heartbeat.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 3010,
) -> None:
    """Take heartbeats, and tell whoever is on call here when one is missing.

    Run it on another machine, behind a proxy with TLS. It needs oncall.toml, or
    operations.report_to, and smtp; nothing else of ChitLaq need run there.

    Example: chitlaq heartbeat serve --port 3010
    """
    from chitlaq.core.installation import settings_loading
    from chitlaq.core.telemetry import logs
    from chitlaq.ops.watchdog import heartbeat_server

    home, settings = installation.configured()
    logs.hide(settings_loading.secrets_of(home, settings))
    typer.echo(f"Heartbeats are taken at http://{host}:{port}/heartbeat/TOKEN.")
    asyncio.run(heartbeat_server.serve(home, settings, host, port))


@heartbeat.command()
def expect(
    name: HeartbeatName,
    within: Annotated[
        int, typer.Option(min=1, max=10_080, help="Minutes of silence that are alarming.")
    ] = 5,
    url: Annotated[
        str, typer.Option(help="Where the sender reaches this.")
    ] = "http://127.0.0.1:3010",
    operator: history_db.Operator = None,
) -> None:
    """Expect a heartbeat, and print what its sender sets: a URL with a new token, which is shown once.

    Example: chitlaq heartbeat expect campus --within 5 --url https://watch.example.edu
    """
    from chitlaq.ops.watchdog import heartbeats

    who = history_db.operator(operator)
    token = history_db.ask(
        lambda database: heartbeats.expect(database, name, timedelta(minutes=within), who)
    )
    typer.echo(
        f"In {name}'s chitlaq.toml, under [operations]:\n"
        f'heartbeat_url = "{url.rstrip("/")}/heartbeat/{token}"'
    )


@heartbeat.command("list")
def list_heartbeats(as_json: output.AsJson = False) -> None:
    """List the heartbeats that are expected, and when each came last.

    Example: chitlaq heartbeat list
    """
    from chitlaq.ops.watchdog import heartbeats

    output.print_rows(
        history_db.ask(heartbeats.listed),
        {
            "name": lambda one: one.name,
            "within": lambda one: f"{one.within_seconds / 60:g} min",
            "last": lambda one: output.local_time(one.last_at) if one.last_at else "never",
        },
        as_json=as_json,
    )


@heartbeat.command()
def forget(name: HeartbeatName, operator: history_db.Operator = None) -> None:
    """Expect a heartbeat no longer.

    Example: chitlaq heartbeat forget campus
    """
    from chitlaq.ops.watchdog import heartbeats

    who = history_db.operator(operator)
    history_db.ask(lambda database: heartbeats.forget(database, name, who))
    typer.echo(f"No heartbeat {name} is expected any more.")
