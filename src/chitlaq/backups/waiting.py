"""Wait for PostgreSQL and its programs as long as they work.

One that is stopped, or whose disk is dead, would be waited for without end: no timeout of libpq notices it,
since the kernel keeps its connections.
"""

from __future__ import annotations

import time
from contextlib import suppress
from time import monotonic
from typing import TypeVar

import psutil
import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

from chitlaq.backups.context import PROGRAM_SECONDS, STALL_SECONDS
from chitlaq.backups.errors import InconclusiveError
from chitlaq.core.host import programs

T = TypeVar("T")

CONNECT_SECONDS = 5
POLL_SECONDS = 0.1


class Connection(psycopg.Connection[TupleRow]):
    """A connection whose queries are given up when the server's process for it does nothing for a while.

    Raises:
        InconclusiveError: in any wait; the connection is closed then.
    """

    def wait(
        self, gen: PQGen[T], interval: float = POLL_SECONDS, timeout: float | None = None
    ) -> T:
        return super().wait(self._watched(gen), interval, timeout)

    def _watched(self, gen: PQGen[T]) -> PQGen[T]:
        # Processes of another machine cannot be seen.
        watch = _Watch("PostgreSQL", self.info.backend_pid if self._is_local else None)
        try:
            state = next(gen)
            while True:
                # Nothing is ready after each interval.
                ready = yield state
                if not ready:
                    watch.look()
                state = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result
        except InconclusiveError:
            self.close()
            raise

    @property
    def _is_local(self) -> bool:
        return self.info.host.startswith("/")


def connect(url: str, *, autocommit: bool = False, options: str | None = None) -> Connection:
    """Connect to PostgreSQL.

    Raises:
        psycopg.OperationalError: it is down, or does not answer.
    """
    return Connection.connect(
        url, autocommit=autocommit, connect_timeout=CONNECT_SECONDS, options=options
    )


def exit_code(process: programs.RunningProgram, name: str) -> int:
    """Wait for a program to exit.

    Raises:
        InconclusiveError: it has done nothing for a while; it is still running.
    """
    watch = _Watch(name, process.pid)
    while (code := process.poll()) is None:
        watch.look()
        time.sleep(POLL_SECONDS)
    return code


class _Watch:
    """Notices a process that stands still; one that cannot be seen has a day."""

    def __init__(self, name: str, pid: int | None) -> None:
        self._name = name
        self._pid = pid
        self._done: object = None
        self._since = monotonic()

    def look(self) -> None:
        """Compare with the last look.

        Raises:
            InconclusiveError: nothing has changed for a while.
        """
        done = _work_done(self._pid)
        limit = PROGRAM_SECONDS if done is None else STALL_SECONDS
        if done != self._done:
            self._done, self._since = done, monotonic()
        elif monotonic() - self._since > limit:
            raise InconclusiveError(
                f"{self._name} has done nothing for {limit:g} s: the server is stopped, or a disk is dead."
                " See `chitlaq ps`."
            )


def _work_done(pid: int | None) -> object:
    """What changes while a process works or is answered; None if it cannot be seen."""
    if pid is not None:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            return process.num_ctx_switches(), process.cpu_times()
    return None
