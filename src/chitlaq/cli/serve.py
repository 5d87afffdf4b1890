"""``chitlaq serve``: one worker of a service, as run by the supervisor, systemd or a container."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import installation
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.core.http.service import Service
    from chitlaq.inventory import Component


SHARED = (
    "chitlaq.cli.app",
    "chitlaq.core.data.jobs",
    "chitlaq.core.http.app",
    "chitlaq.core.http.schemas",
    "chitlaq.core.http.server",
    "chitlaq.core.text",
)
"""With what these import, the modules that most services have in common."""


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    target: Annotated[str, typer.Argument(help="A service, as `chitlaq ps` names it.")],
    worker: Annotated[int, typer.Option(min=0, help="The worker's number.")] = 0,
) -> None:
    """Run one service in the foreground.

    Example: chitlaq serve feed-service
    """
    from chitlaq import inventory
    from chitlaq.core.http import server
    from chitlaq.core.telemetry import logs

    services = [row.name for row in inventory.SERVICES]
    if target not in services:
        raise OperatorError(f"There is no service {target}; there are {', '.join(services)}.")
    said: list[str] = []
    home, settings = installation.current(said.append)
    server.prepare(target, settings, home)
    for text in said:
        logs.get("serve").warning(text)
    from chitlaq.core.http import app as http

    service = load(inventory.COMPONENTS[target])
    server.serve(target, worker, settings, home, http.create_app(service, settings, home))


def load_shared() -> None:
    """Import what services have in common, before their processes are forked. It begins to count nothing."""
    for name in SHARED:
        import_module(name)


def load(component: Component) -> Service:
    """Import only this service, and return its declaration."""
    service: Service = import_module(f"{component.package}.routes").SERVICE
    return service
