"""Processes of the supervisor: each in its own session, watched, and never left behind."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from chitlaq.core.host import programs
from chitlaq.stack.supervisor import leftovers

PR_SET_CHILD_SUBREAPER = 36
READ_BYTES = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)


_running: set[int] = set()


def is_waited_for(pid: int) -> bool:
    """Whether a `Process` reaps this child."""
    return pid in _running


def is_held(pid: int) -> bool:
    """Whether the kernel holds a process or a child of it, as while it waits for a disk.

    It cannot answer then, nor be killed, and another one in its place would wait as well.
    """
    try:
        process = psutil.Process(pid)
        return any(
            one.status() == psutil.STATUS_DISK_SLEEP for one in (process, *process.children())
        )
    except psutil.NoSuchProcess:
        return False


def adopt_orphans() -> None:
    """Become the parent of orphans: the processes that the fork server forks."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Process:
    """One running process: its id, its output, its exit."""

    def __init__(self, pid: int, output: int, write_log: Callable[[bytes], None]) -> None:
        self.pid = pid
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._output = output
        self._write_log = write_log
        self._loop = asyncio.get_running_loop()
        os.set_blocking(output, False)
        self._loop.add_reader(output, self._read)
        self._descriptor = os.pidfd_open(pid)
        _running.add(pid)
        self._loop.add_reader(self._descriptor, self._reap)

    def send(self, signal_number: signal.Signals) -> None:
        if not self.exited.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal_number)

    async def stop(self, signal_number: signal.Signals, grace_seconds: float) -> None:
        """Ask it to exit; kill it if it does not in time.

        Raises:
            OSError: the kernel holds it: it cannot even be killed now.
        """
        self.send(signal_number)
        # A stopped process (SIGSTOP) handles no signal before it continues.
        self.send(signal.SIGCONT)
        await asyncio.wait([self.exited], timeout=grace_seconds)
        if not self.exited.done():
            await self.kill()

    async def kill(self) -> None:
        """Kill it.

        Raises:
            OSError: the kernel holds it: it cannot even be killed now.
        """
        self.send(signal.SIGKILL)
        await asyncio.wait([self.exited], timeout=programs.KILL_SECONDS)
        if not self.exited.done():
            raise OSError(f"process {self.pid} cannot be ended: {leftovers.described(self.pid)}")

    def _read(self) -> None:
        try:
            data = os.read(self._output, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._write_log(data)
        else:
            self._close_output()

    def _close_output(self) -> None:
        if self._output >= 0:
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = -1

    def _reap(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        # What it left behind: nginx's workers would keep the port. Its id is not reused before we reap it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        try:
            _, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            code = -1
        _running.discard(self.pid)
        # Its last output may still be in the pipe, which others may hold open.
        if self._output >= 0:
            self._read_rest()
        self.exited.set_result(code)

    def _read_rest(self) -> None:
        with suppress(OSError):
            while data := os.read(self._output, READ_BYTES):
                self._write_log(data)
        self._close_output()


def start(
    command: Sequence[str],
    environment: dict[str, str],
    write_log: Callable[[bytes], None],
    *,
    mark: int,
    keep_open: Sequence[int] = (),
    folder: Path | None = None,
) -> Process:
    """Start a program in its own session that ends with us; the mark becomes its standard input.

    Raises:
        ProgramStartError: it cannot be started.
    """
    reading, writing = os.pipe()
    try:
        started = programs.start(
            command,
            output=writing,
            stdin=mark,
            environment=environment,
            folder=folder,
            keep_open=keep_open,
            death_signal=signal.SIGTERM,
            # nginx's access log too is for nobody else to read.
            umask=0o027,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    started.returncode = 0  # our pidfd reader reaps it, not subprocess
    return Process(started.pid, reading, write_log)
