"""A process that has the libraries loaded, and forks one of ours whenever it is asked.

Loading the libraries takes each service more than a second of a core and 50 MB. Forked from the
nursery they start in a fraction of that and share the memory. Each is forked twice: the one in the
middle ends at once, so that the kernel gives the process to the supervisor, which adopts orphans
and is then its parent like any other's.

Nothing that opens files, threads or sockets at import is loaded here: prometheus-client decides at
import where its numbers go, and each service imports it for itself.
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
from collections.abc import Callable, Sequence

import msgspec

from chitlaq.stack.supervisor import process
from chitlaq.stack.supervisor.process import Child

LIBRARIES = (
    "argon2",
    "asyncpg",
    "email_validator",
    "hiredis",
    "httptools",
    "jinja2",
    "joserfc.jwk",
    "joserfc.jwt",
    "litestar",
    "litestar.openapi.plugins",
    "typer",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
)
MAX_MESSAGE = 65_536
SPAWN_SECONDS = 30.0


class _Order(msgspec.Struct):
    words: list[str]
    environment: dict[str, str]


class Nursery:
    """The supervisor's side: starts the nursery when needed and asks it for processes."""

    def __init__(self, environment: dict[str, str], write_log: Callable[[bytes], None]) -> None:
        self._environment = environment
        self._write_log = write_log
        self._child: Child | None = None
        self._socket: socket.socket | None = None
        self._turn = asyncio.Lock()

    def open(self) -> None:
        """Start the nursery, so that it loads while other things happen."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [sys.executable, "-m", "chitlaq.stack.supervisor.fork_server", str(theirs.fileno())]
        self._child = process.start(
            words, self._environment, self._write_log, keep_open=(theirs.fileno(),)
        )
        theirs.close()
        ours.setblocking(False)
        self._socket = ours

    async def spawn(self, words: Sequence[str], write_log: Callable[[bytes], None]) -> Child:
        """Fork a process that runs ``chitlaq WORDS``.

        Raises:
            OSError: the nursery is gone; the next call starts a new one.
        """
        async with self._turn:
            if self._child is None or self._child.exited.done():
                self.close()
                self.open()
            assert self._socket is not None
            reading, writing = os.pipe()
            try:
                order = msgspec.json.encode(_Order(list(words), self._environment))
                loop = asyncio.get_running_loop()
                socket.send_fds(self._socket, [order], [writing])
                async with asyncio.timeout(SPAWN_SECONDS):
                    answer = await loop.sock_recv(self._socket, 8)
                if len(answer) != 8:
                    raise ConnectionResetError("the nursery ended")
            except BaseException:
                os.close(reading)
                self.close()
                raise
            finally:
                os.close(writing)
        return Child(struct.unpack("!q", answer)[0], reading, write_log)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._child is not None:
            self._child.send(signal.SIGKILL)


def main() -> None:
    """The nursery's own side: load, then fork on demand until the supervisor goes."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    supervisor = os.getppid()
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, MAX_MESSAGE, 1)
        if not message:
            return
        order = msgspec.json.decode(message, type=_Order)
        pid = _fork_twice(order, descriptors[0], orders, supervisor)
        os.close(descriptors[0])
        orders.send(struct.pack("!q", pid))


def _fork_twice(order: _Order, output: int, orders: socket.socket, supervisor: int) -> int:
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
        _become(order, output, supervisor)
    os.close(writing)
    os.waitpid(middle, 0)
    try:
        return int(struct.unpack("!q", os.read(reading, 8))[0])
    finally:
        os.close(reading)


def _become(order: _Order, output: int, supervisor: int) -> None:
    """Turn into the ordered process; does not return."""
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.close(output)
        while os.getppid() != supervisor:  # until the one in the middle is gone
            os.sched_yield()
        process.die_with_parent(signal.SIGTERM)
        os.environ.clear()
        os.environ.update(order.environment)
        sys.argv = ["chitlaq", *order.words]
        from chitlaq.__main__ import main as run

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


if __name__ == "__main__":
    main()
