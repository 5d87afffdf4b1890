"""``chitlaq ws``: whether the WebSocket answers, and who is connected."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from chitlaq.cli import installation, output
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings

SECONDS = 5.0


class _Socket(msgspec.Struct):
    username: str | None
    open_seconds: float
    silent_seconds: float
    unread_bytes: int
    held_messages: int


class _Process(msgspec.Struct):
    pid: int
    items: list[_Socket]


class _Row(msgspec.Struct):
    """A socket, and the process that it is connected to."""

    pid: int
    username: str | None
    open_seconds: float
    silent_seconds: float
    unread_bytes: int
    held_messages: int


ws = typer.Typer(no_args_is_help=True, help="The WebSocket: whether it answers, who is connected.")


def register(app: typer.Typer) -> None:
    app.add_typer(ws, name="ws")


@ws.command()
def ping(
    url: Annotated[
        str | None, typer.Argument(help="A WebSocket; the service's own port by default.")
    ] = None,
    count: Annotated[int, typer.Option("-c", "--count", min=1, max=100, help="How often.")] = 1,
) -> None:
    """Connect to the WebSocket and send a ping, as the runbook does with wscat. Exit code 1 without a pong.

    Examples: chitlaq ws ping · chitlaq ws ping wss://chitlaq.example.edu/ws --count 3
    """
    from chitlaq.client import pinging
    from chitlaq.client.errors import UnreachableError
    from chitlaq.core.formatting import duration

    if url is None:
        _, settings = installation.current()
        url = settings.url_of("websocket", "ws") + "/ws"
    if not url.startswith(("ws://", "wss://")):
        raise OperatorError(
            f"{url} is no WebSocket: it begins with ws:// or wss:// and ends with /ws."
        )
    for _ in range(count):
        try:
            pong = asyncio.run(pinging.ping(url, SECONDS))
        except UnreachableError as error:
            raise OperatorError(
                f"No pong from {url}: {error}. See `chitlaq ps` and `chitlaq logs websocket`."
            ) from None
        typer.echo(
            f"pong from {url} after {duration(pong.answer_seconds)},"
            f" connected in {duration(pong.connect_seconds)}"
        )


@ws.command()
def sockets(as_json: output.AsJson = False) -> None:
    """Show who is connected and how far behind each is, as each process says. Exit code 3 if one is silent.

    Example: chitlaq ws sockets
    """
    from chitlaq.core.formatting import count, duration, size

    home, settings = installation.current()
    rows, silent = asyncio.run(_sockets(home, settings))
    output.print_rows(
        rows,
        {
            "process": lambda one: one.pid,
            "member": lambda one: one.username or "(not signed in)",
            "connected": lambda one: duration(one.open_seconds),
            "last heard": lambda one: f"{duration(one.silent_seconds)} ago",
            "not read": lambda one: size(one.unread_bytes),
            "held": lambda one: count(one.held_messages, "message"),
        },
        as_json=as_json,
    )
    if not rows and not silent:
        typer.echo("Nobody is connected. `chitlaq chat tail --as ada` is, while it runs.", err=True)
    for reason in silent:
        typer.echo(reason, err=True)
    if silent:
        raise typer.Exit(output.UNHEALTHY)


async def _sockets(home: Home, settings: Settings) -> tuple[list[_Row], list[str]]:
    """Ask each process on its own socket: on the port, whichever is free would answer."""
    from http import HTTPStatus

    from chitlaq.core.host import http_client
    from chitlaq.core.installation.secrets import Secrets

    headers = {"Authorization": f"Bearer {Secrets(home.secrets).ops_token}"}
    rows: list[_Row] = []
    silent = []
    for worker in range(settings.workers_of("websocket")):
        try:
            answer = await http_client.get(
                "http://localhost/sockets",
                timeout_seconds=SECONDS,
                headers=headers,
                socket=home.service_socket("websocket", worker),
            )
        except http_client.NoAnswerError as error:
            silent.append(f"Process {worker}: {error}")
            continue
        if answer.status != HTTPStatus.OK:
            silent.append(f"Process {worker} answered {answer.status}: {answer.text}")
            continue
        found = msgspec.json.decode(answer.body, type=_Process)
        rows += [_Row(found.pid, *msgspec.structs.astuple(one)) for one in found.items]
    return rows, silent
