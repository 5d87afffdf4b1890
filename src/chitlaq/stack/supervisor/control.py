"""The supervisor's protocol: one JSON object per line over a Unix socket, one answer each."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import from_text
from chitlaq.core.installation.settings import Settings
from chitlaq.stack import commands
from chitlaq.stack.supervisor import leftovers
from chitlaq.stack.supervisor.release import Release
from chitlaq.stack.supervisor.reloading import Change

MAX_LINE = 65_536
# While a command runs, the supervisor says every second what it waits for.
PROGRESS_SECONDS = 1.0
ANSWER_SECONDS = 10.0
POLL_SECONDS = 0.05

State = Literal[
    "waiting",
    "starting",
    "healthy",
    "unresponsive",
    "unable",
    "backoff",
    "stopping",
    "stopped",
    "done",
    "missing",
]


class Status(msgspec.Struct, frozen=True):
    """One process as ``chitlaq ps`` shows it; ``uptime`` in whole seconds.

    ``optional_port`` is the second port that it listens on, if it got it; ``version`` is ChitLaq's, if the
    process is ours.
    """

    service: str
    worker: int
    state: State
    pid: int | None
    restarts: int
    uptime: int
    port: int | None
    reason: str
    is_needed: bool = True
    optional_port: int | None = None
    version: str = ""

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


class Pause(msgspec.Struct, tag="pause", frozen=True):
    """Stop what works with the database, until `Continue`; answered once it has exited.

    What shows that, and why, goes on: ops-service, nginx and the observers. If the connection ends first,
    whoever asked was killed: what is stopped starts again, unless a restore has to be finished before.
    """

    reason: str


class Continue(msgspec.Struct, tag="continue", frozen=True):
    """Start what `Pause` has stopped; answered once it is ready."""


class InEffect(msgspec.Struct, tag="in_effect", frozen=True):
    """Ask for the settings and the versions that the stack runs with."""


class Upgrade(msgspec.Struct, tag="upgrade", frozen=True):
    """Bring the services to another installed version; answered once they have proved themselves in it.

    Args:
        release: the version.
        watch_seconds: for how long they are watched at the end.
    """

    release: Release
    watch_seconds: float


class Reload(msgspec.Struct, tag="reload", frozen=True):
    """Have the components take the settings that have changed; answered with these, once it is done.

    Args:
        is_dry: only say what has changed.
        file: compare with this one instead of the home's; it is never applied.
        agreed: apply nothing if there is more or less to apply than this, which somebody has seen.
    """

    is_dry: bool = True
    file: str = ""
    agreed: list[Change] | None = None


Command = Ps | Attach | Restart | Reload | Rotate | Stop | Pause | Continue | InEffect | Upgrade


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The response: the components, and an error if the command failed.

    Before it come any number of lines that only say what the command waits for. ``version`` and
    ``release`` are those of the services, ``supervisor`` is the supervisor's own version, and ``step`` what
    an upgrade is at.
    """

    components: list[Status] = []
    error: str = ""
    waiting: str = ""
    settings: Settings | None = None
    version: str = ""
    release: Release | None = None
    supervisor: str = ""
    step: str = ""
    changes: list[Change] = []


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
        self._home = home
        self._received = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_SECONDS)
        try:
            self._socket.connect(str(home.control_socket))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            self._socket.close()
            raise NotRunningError(
                commands.ENGINE_HAS_IT
                if home.containers.exists()
                else "ChitLaq is not running here: start it with `chitlaq up`."
            ) from None
        except PermissionError:
            self._socket.close()
            raise OperatorError(
                f"ChitLaq runs here as another user ({home.control_socket} cannot be opened):"
                " use that user."
            ) from None
        except (TimeoutError, BlockingIOError):
            self._socket.close()
            raise self._no_answer() from None

    def ask(
        self, command: Command, on_wait: Callable[[str], None] = lambda _text: None
    ) -> list[Status]:
        """Send a command and return the resulting state of the components; `answer` says more."""
        return self.answer(command, on_wait).components

    def answer(
        self, command: Command, on_wait: Callable[[str], None] = lambda _text: None
    ) -> Answer:
        """Send a command and return the answer to it.

        Args:
            command: what to do.
            on_wait: called with what the supervisor waits for, whenever that changes.

        Raises:
            OperatorError: the supervisor refused it, exited, or hangs.
        """
        waited_for = ""
        try:
            self._socket.sendall(msgspec.json.encode(command) + b"\n")
            while (
                answer := msgspec.json.decode(self._line(), type=Answer, dec_hook=from_text)
            ).waiting:
                if answer.waiting != waited_for:
                    waited_for = answer.waiting
                    on_wait(waited_for)
        except TimeoutError:
            raise self._no_answer() from None
        except ConnectionError:
            raise OperatorError("The supervisor ended before it answered: see its log.") from None
        except msgspec.DecodeError:
            raise OperatorError(
                "The running stack is of another version of ChitLaq: `chitlaq down` and `chitlaq up`."
            ) from None
        if answer.error:
            raise OperatorError(answer.error)
        return answer

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            chunk = self._socket.recv(MAX_LINE)
            if not chunk:
                raise ConnectionResetError
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _no_answer(self) -> OperatorError:
        pid = supervisor_pid(self._home)
        return OperatorError(
            f"The supervisor (process {pid}) does not answer within {ANSWER_SECONDS:g} s: it is stopped"
            f" or hangs. `kill -CONT {pid}` lets a stopped one continue, also with what was just asked;"
            f" `kill -KILL {pid}` and `chitlaq down` end it with all that it started."
        )

    def close(self) -> None:
        self._socket.close()


class NotRunningError(OperatorError):
    """No supervisor runs for this home."""


def ask(
    home: Home, command: Command, on_wait: Callable[[str], None] = lambda _text: None
) -> list[Status]:
    """Connect, ask once, close.

    Raises:
        NotRunningError: no supervisor runs here.
    """
    connection = Connection(home)
    try:
        return connection.ask(command, on_wait)
    finally:
        connection.close()


def settings_in_effect(home: Home) -> Settings:
    """The settings that the running stack was started with, or has read since.

    Raises:
        NotRunningError: no supervisor runs here.
    """
    connection = Connection(home)
    try:
        settings = connection.answer(InEffect()).settings
    finally:
        connection.close()
    assert settings is not None
    return settings


def running_version(home: Home) -> str:
    """The version of the running stack; empty if that one does not say it yet.

    Raises:
        NotRunningError: no supervisor runs here.
    """
    connection = Connection(home)
    try:
        return connection.answer(InEffect()).version
    finally:
        connection.close()


def running_release(home: Home) -> Release | None:
    """What the services of the running stack are started from; None if its supervisor cannot replace it.

    Raises:
        NotRunningError: no supervisor runs here.
    """
    connection = Connection(home)
    try:
        return connection.answer(InEffect()).release
    finally:
        connection.close()


class Versions(msgspec.Struct, frozen=True):
    """Which versions of ChitLaq run.

    Args:
        supervisor: the version that it starts the next time; empty if it does not say it yet.
        services: that of each process of ours, by its name.
        step: what an upgrade is at; empty if none is going on.
    """

    supervisor: str
    services: dict[str, str]
    step: str

    @property
    def others(self) -> dict[str, str]:
        """The processes that run another version than the supervisor."""
        return {
            name: version
            for name, version in self.services.items()
            if self.supervisor and version != self.supervisor
        }


def versions(home: Home) -> Versions:
    """Ask for the versions that run.

    Raises:
        NotRunningError: no supervisor runs here.
        OperatorError: it does not answer.
    """
    connection = Connection(home)
    try:
        said = connection.answer(InEffect())
        statuses = connection.ask(Ps())
    finally:
        connection.close()
    services = {one.name: one.version for one in statuses if one.version and one.pid is not None}
    return Versions(said.supervisor, services, said.step)


def reload(
    home: Home, command: Reload, on_wait: Callable[[str], None] = lambda _text: None
) -> list[Change]:
    """Return what the running stack has not applied yet, or what it has just applied.

    Raises:
        NotRunningError: no supervisor runs here.
        OperatorError: the settings are invalid, cannot be applied now, or a component did not take them.
    """
    connection = Connection(home)
    try:
        return connection.answer(command, on_wait).changes
    finally:
        connection.close()


def stop(home: Home, on_wait: Callable[[str], None] = lambda _text: None) -> bool:
    """Stop the stack with all that it started, also what a killed supervisor has left.

    Returns:
        Whether there was anything to stop.

    Raises:
        OperatorError: something cannot be ended; names it.
    """
    try:
        ask(home, Stop(), on_wait)
    except NotRunningError:
        return _end_leftovers(home, on_wait)
    deadline = time.monotonic() + ANSWER_SECONDS
    while (pid := supervisor_pid(home)) is not None:
        if time.monotonic() > deadline:
            raise OperatorError(f"All is stopped but the supervisor (process {pid}): see its log.")
        time.sleep(POLL_SECONDS)
    return True


def _end_leftovers(home: Home, on_wait: Callable[[str], None]) -> bool:
    left = leftovers.marked(home)
    if left:
        names = ", ".join(sorted(set(left.values())))
        on_wait(f"what a killed supervisor has left: {names}")
    if remaining := leftovers.end(home, left, is_graceful=True):
        listed = ", ".join(f"{pid} {words}" for pid, words in remaining.items())
        raise OperatorError(f"These processes cannot be ended: {listed}.")
    return bool(left)


def supervisor_pid(home: Home) -> int | None:
    """The process id of this home's supervisor; None if none runs."""
    return next(iter(leftovers.of(home, leftovers.SUPERVISOR)), None)
