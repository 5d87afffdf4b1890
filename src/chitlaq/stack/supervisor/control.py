"""The supervisor's protocol: one JSON object per line over a Unix socket, one answer each."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Literal

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home

MAX_LINE = 65_536
ANSWER_SECONDS = 120.0

State = Literal[
    "waiting",
    "starting",
    "healthy",
    "unresponsive",
    "backoff",
    "stopping",
    "stopped",
    "done",
    "missing",
]


class Status(msgspec.Struct, frozen=True):
    """One process as ``chitlaq ps`` shows it; ``uptime`` in whole seconds."""

    service: str
    worker: int
    state: State
    pid: int | None
    restarts: int
    uptime: int
    port: int | None
    reason: str
    is_needed: bool = True

    @property
    def name(self) -> str:
        return f"{self.service}.{self.worker}" if self.worker else self.service

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to fix; a missing component is optional and says why."""
        return self.state in {"healthy", "done", "missing"}


def is_up(statuses: Iterable[Status]) -> bool:
    """Whether every required component works."""
    return all(status.is_well for status in statuses if status.is_needed)


class Ps(msgspec.Struct, tag="ps", frozen=True):
    """Ask for the state of every component."""


class Attach(msgspec.Struct, tag="attach", frozen=True):
    """Keep the stack running for as long as this connection is open."""


class Restart(msgspec.Struct, tag="restart", frozen=True):
    """Restart the processes of one component; answered once they are ready."""

    service: str


class Rotate(msgspec.Struct, tag="rotate", frozen=True):
    """Start new log files now.

    Args:
        moved: logrotate has already moved the old ones: only open new ones.
    """

    moved: bool = False


class Stop(msgspec.Struct, tag="stop", frozen=True):
    """Stop everything; answered once it has exited."""


Command = Ps | Attach | Restart | Rotate | Stop


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The response: the components, and an error if the command failed."""

    components: list[Status] = []
    error: str = ""


_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def decode(line: bytes) -> Command:
    """Read a command.

    Raises:
        msgspec.DecodeError: it is not a command.
    """
    return _commands.decode(line)


class Connection:
    """A command's side of the socket."""

    def __init__(self, home: Home) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_SECONDS)
        try:
            self._socket.connect(str(home.control_socket))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            self._socket.close()
            raise NotRunningError(
                "ChitLaq is not running here: start it with `chitlaq up`."
            ) from None
        except PermissionError:
            self._socket.close()
            raise OperatorError(
                f"ChitLaq runs here as another user ({home.control_socket} cannot be opened):"
                " use that user."
            ) from None

    def ask(self, command: Command) -> list[Status]:
        """Send a command and return the resulting state of the components.

        Raises:
            OperatorError: the supervisor refused it, or exited.
        """
        self._socket.sendall(msgspec.json.encode(command) + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            chunk = self._socket.recv(MAX_LINE)
            if not chunk:
                raise OperatorError("The supervisor ended before it answered: see its log.")
            data += chunk
        answer = msgspec.json.decode(data, type=Answer)
        if answer.error:
            raise OperatorError(answer.error)
        return answer.components

    def close(self) -> None:
        self._socket.close()


class NotRunningError(OperatorError):
    """No supervisor runs for this home."""


def ask(home: Home, command: Command) -> list[Status]:
    """Connect, ask once, close.

    Raises:
        NotRunningError: no supervisor runs here.
    """
    connection = Connection(home)
    try:
        return connection.ask(command)
    finally:
        connection.close()
