"""``chitlaq serve``: one worker of one service, as the supervisor, systemd or a container runs it."""

from __future__ import annotations

from typing import Annotated

import typer

from chitlaq.cli import installation
from chitlaq.core.errors import OperatorError


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    target: Annotated[str, typer.Argument(help="A service by its name in `chitlaq ps`.")],
    worker: Annotated[int, typer.Option(min=0, help="Which of the service's workers this is.")] = 0,
) -> None:
    """Run one service in the foreground.

    Example: chitlaq serve feed-service
    """
    from chitlaq import services
    from chitlaq.core.http import server

    if target not in services.PACKAGES:
        raise OperatorError(
            f"There is no service {target}; there are {', '.join(services.PACKAGES)}."
        )
    home, settings = installation.here()
    server.prepare(target, settings, home)
    from chitlaq.core.http import app as http

    service = services.load(target)
    server.serve(target, worker, settings, home, http.create_app(service, settings, home))
