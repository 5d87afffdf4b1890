"""A process that has loaded the libraries and forks a ChitLaq process on request.

Loading the libraries takes a service more than a second of a core and 50 MB. A process forked from
the fork server starts in a fraction of that and shares the memory. Each is forked twice: the
process in the middle exits at once, so that the kernel hands the new process to the supervisor,
which adopts orphans and is then its parent like any other's.

Nothing that opens files, threads or sockets on import is loaded here, nor what only one service has:
a module may begin to count at its import, and each process would count that.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import msgspec

from chitlaq.core.host.death_signal import die_with_parent
from chitlaq.core.host.process_title import set_title
from chitlaq.stack.supervisor.process import Process, start
from chitlaq.stack.supervisor.release import Release

LIBRARIES = (
    "aiosmtplib",
    "anyio._backends._asyncio",
    "argon2",
    "asyncpg",
    "h11",
    "hiredis",
    "http.server",
    "httptools",
    "jinja2",
    "joserfc.jwk",
    "joserfc.jwt",
    "litestar",
    "litestar.openapi.plugins",
    "tomllib",
    "typer",
    "urllib.request",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "websockets.frames",
    "websockets.streams",
    "zxcvbn_rs_py",
)
MAX_MESSAGE = 65_536
SPAWN_SECONDS = 30.0


class _Order(msgspec.Struct):
    """What a fork server is asked, also by other versions' supervisors: it only gains what has a default."""

    component: str
    words: list[str]
    environment: dict[str, str]


class ForkServer:
    """The supervisor's side: starts the fork server when needed and asks it for processes.

    Args:
        command: starts the fork server, given the number of an open socket as one more argument.
        environment: of the fork server and of the processes that it forks.
        write_log: takes what the fork server itself writes.
        mark: returns the mark of a component's processes, by its name (`leftovers.mark`).
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        write_log: Callable[[bytes], None],
        mark: Callable[[str], int],
    ) -> None:
        self._mark = mark
        self._command = command
        self._environment = environment
        self._write_log = write_log
        self._process: Process | None = None
        self._socket: socket.socket | None = None
        self._turn = asyncio.Lock()

    def open(self) -> None:
        """Start the fork server, so that it loads while other things happen."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mark = self._mark("fork-server")
        self._process = start(
            [*self._command, str(theirs.fileno())],
            self._environment,
            self._write_log,
            mark=mark,
            keep_open=(theirs.fileno(),),
        )
        os.close(mark)
        theirs.close()
        ours.setblocking(False)
        self._socket = ours

    async def spawn(
        self, component: str, words: Sequence[str], write_log: Callable[[bytes], None]
    ) -> Process:
        """Fork a process of a component that runs ``chitlaq WORDS``.

        Raises:
            OSError: the fork server is gone; the next call starts a new one.
        """
        async with self._turn:
            if self._process is None or self._process.exited.done():
                self.close()
                self.open()
            assert self._socket is not None
            reading, writing = os.pipe()
            mark = self._mark(component)
            try:
                order = msgspec.json.encode(_Order(component, list(words), self._environment))
                loop = asyncio.get_running_loop()
                socket.send_fds(self._socket, [order], [writing, mark])
                async with asyncio.timeout(SPAWN_SECONDS):
                    answer = await loop.sock_recv(self._socket, 8)
                if len(answer) != 8:
                    raise ConnectionResetError("the fork server exited")
            except BaseException:
                os.close(reading)
                self.close()
                raise
            finally:
                os.close(writing)
                os.close(mark)
        return Process(struct.unpack("!q", answer)[0], reading, write_log)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.send(signal.SIGKILL)


class ForkServers:
    """One fork server for each version whose processes are started.

    Args:
        environment: of the processes, whatever their version.
        write_log: takes what the fork servers themselves write.
        mark: returns the mark of a component's processes, by its name.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        write_log: Callable[[bytes], None],
        mark: Callable[[str], int],
    ) -> None:
        self._environment = environment
        self._write_log = write_log
        self._mark = mark
        self._by_folder: dict[str, ForkServer] = {}

    def of(self, release: Release) -> ForkServer:
        found = self._by_folder.get(release.folder)
        if found is None:
            found = self._by_folder[release.folder] = ForkServer(
                release.command("fork-server"),
                release.environment(self._environment),
                self._write_log,
                self._mark,
            )
        return found

    def keep(self, release: Release) -> None:
        """End the fork servers of all other versions, from which nothing is started now."""
        for folder in self._by_folder.keys() - {release.folder}:
            self._by_folder.pop(folder).close()

    def close(self) -> None:
        for one in self._by_folder.values():
            one.close()


def serve(descriptor: int, load: Callable[[], None], run: Callable[[], None]) -> None:
    """Load the libraries, then fork on request until the supervisor goes.

    Args:
        descriptor: the socket on which requests come.
        load: loads what of our own code every forked process has.
        run: what each forked process does, with its words in ``sys.argv``.
    """
    orders = socket.socket(fileno=descriptor)
    supervisor = os.getppid()
    set_title("fork-server")
    gc.disable()
    for name in LIBRARIES:
        importlib.import_module(name)
    # The framework imports more at its first application, among it pydantic if that is installed.
    importlib.import_module("litestar").Litestar()
    load()
    gc.collect()
    gc.freeze()
    gc.enable()
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, MAX_MESSAGE, 2)
        if not message:
            return
        order = msgspec.json.decode(message, type=_Order)
        pid = _fork_twice(order, descriptors, orders, supervisor, run)
        for one in descriptors:
            os.close(one)
        orders.send(struct.pack("!q", pid))


def _fork_twice(
    order: _Order,
    descriptors: Sequence[int],
    orders: socket.socket,
    supervisor: int,
    run: Callable[[], None],
) -> int:
    """Return the id of a grandchild that runs the order, once it is the supervisor's child."""
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        pid = os.fork()
        if pid != 0:
            os.write(writing, struct.pack("!q", pid))
            os._exit(0)
        os.close(reading)
        os.close(writing)
        orders.close()
        _become(order, descriptors, supervisor, run)
    os.close(writing)
    os.waitpid(middle, 0)
    try:
        return int(struct.unpack("!q", os.read(reading, 8))[0])
    finally:
        os.close(reading)


def _become(
    order: _Order, descriptors: Sequence[int], supervisor: int, run: Callable[[], None]
) -> NoReturn:
    """Turn into the requested process, with its output and its mark."""
    code = 1
    try:
        os.setsid()
        output, mark = descriptors
        for source, target in ((mark, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.close(output)
        os.close(mark)
        while os.getppid() != supervisor:  # until the process in the middle is gone
            os.sched_yield()
        die_with_parent(signal.SIGTERM)
        set_title(order.component)
        os.environ.clear()
        os.environ.update(order.environment)
        sys.argv = ["chitlaq", *order.words]
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
