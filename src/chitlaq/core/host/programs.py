"""Run other programs: `run` and `arun` to their end, `start` and `stop` for long-running ones.

Every program gets an empty standard input unless given one, its own session and process group, and a
signal from the kernel when we die. The caller gets a result within the time limit. When that is up, or
the caller is cancelled or interrupted, the whole group is terminated (SIGTERM) and then killed (SIGKILL),
so that no grandchild keeps running unseen.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import select
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import IO, TypedDict, Unpack

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import landlock
from chitlaq.core.host.death_signal import die_with_parent

MAX_BYTES = 16_000_000
GRACE_SECONDS = 5.0
# A process that the kernel holds in uninterruptible sleep cannot be killed: it is left behind.
KILL_SECONDS = 2.0
READ_BYTES = 1 << 16
AGAIN_SECONDS = 0.05
_EXECUTE_CHILD = subprocess.Popen._execute_child.__code__  # type: ignore[attr-defined]
# An ordinary user's PATH leaves them out.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")

Command = Sequence[str | Path]
RunningProgram = subprocess.Popen[bytes]


class ProgramStartError(OperatorError):
    """A program is missing, or cannot be executed."""


class ProgramTimeoutError(OperatorError):
    """A program did not exit in time and was stopped."""


class OutputTooLargeError(OperatorError):
    """A program printed more than its caller accepts and was stopped: truncated output would mislead."""


class Options(TypedDict, total=False):
    """Options of `run` and `arun` besides command and time limit.

    Keys:
        environment: the whole environment; by default this process's.
        variables: added to it; ``LC_ALL=C`` by default, so that messages are English.
        folder: the working directory; by default this process's.
        user: who runs it, where we are root; by default this process's user.
        cpus: the CPUs that it may use, with all that it starts; by default this process's.
        niceness: its priority, with all that it starts; by default this process's.
        stdin: what it reads from standard input, or a descriptor of that; by default nothing.
        max_bytes: the limit of standard output (16 MB); of standard error, the end is kept.
        grace_seconds: from SIGTERM to SIGKILL (5 s); 0 kills at once.
        death_signal: what it gets when we die (SIGKILL); None lets it run on.
        on_stderr: called with its standard error, as it comes.
        progress: returns what changes while it works: the time limit is then one without a change.
        keep_open, writable: as of `start`.
    """

    environment: Mapping[str, str] | None
    variables: Mapping[str, str]
    folder: Path | None
    user: pwd.struct_passwd | None
    cpus: Sequence[int] | None
    niceness: int | None
    stdin: bytes | int
    max_bytes: int
    grace_seconds: float
    death_signal: signal.Signals | None
    on_stderr: Callable[[str], None]
    progress: Callable[[], object]
    keep_open: Sequence[int]
    writable: Sequence[Path] | None


@dataclass(frozen=True, slots=True)
class CommandResult:
    """A program's exit code (negative: the signal that killed it), standard output and standard error."""

    program: str
    code: int
    stdout: str
    stderr: str

    @property
    def reason(self) -> str:
        """Why it failed, on one line: the end of its messages, or else how it exited."""
        said = self.stderr.strip() or self.stdout.strip()
        return last_lines(said) if said else describe_exit(self.code)

    def checked(self) -> str:
        """Return its standard output.

        Raises:
            OperatorError: it failed, with the reason.
        """
        if self.code != 0:
            raise OperatorError(f"{self.program} failed: {self.reason}")
        return self.stdout


def run(command: Command, *, timeout_seconds: float, **options: Unpack[Options]) -> CommandResult:
    """Run a program to its end. Output is decoded as UTF-8 with replacement characters.

    Raises:
        ProgramStartError: there is no such program, or it cannot be executed.
        ProgramTimeoutError: it did not exit in time.
        OutputTooLargeError: it printed more than ``max_bytes``.
    """
    return _run(command, timeout_seconds, None, options)


async def arun(
    command: Command, *, timeout_seconds: float, **options: Unpack[Options]
) -> CommandResult:
    """Do the same without blocking the event loop. When cancelled, stop the program's group first.

    It runs in its own thread: an event loop's executor has few, and child watchers differ between loops.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[CommandResult] = loop.create_future()
    cancelled = os.eventfd(0)

    def settle(result: CommandResult | None, fault: BaseException | None) -> None:
        os.close(cancelled)
        if done.cancelled():
            return
        if result is not None:
            done.set_result(result)
        elif fault is not None:
            done.set_exception(fault)

    def work() -> None:
        result, fault = None, None
        try:
            result = _run(command, timeout_seconds, cancelled, options)
        except BaseException as error:
            fault = error
        with suppress(RuntimeError):  # The loop is closed: nothing waits any more.
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=work, daemon=True, name="program").start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        if not done.done():
            os.eventfd_write(cancelled, 1)
            with suppress(_CancelledError, OperatorError):
                await done
        raise


def start(
    command: Command,
    *,
    output: int | IO[bytes],
    errors: int | IO[bytes] = subprocess.STDOUT,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    user: pwd.struct_passwd | None = None,
    cpus: Sequence[int] | None = None,
    niceness: int | None = None,
    death_signal: signal.Signals | None = signal.SIGKILL,
    umask: int = -1,
    keep_open: Sequence[int] = (),
    writable: Sequence[Path] | None = None,
) -> RunningProgram:
    """Start a long-running program; `stop` ends it.

    Args:
        command: the program and its arguments.
        output: where its standard output goes.
        errors: where its standard error goes; by default to the same.
        stdin: what it reads.
        environment, folder, user, cpus, niceness: as of `Options`.
        umask: what files of its own begin without; by default as of this process.
        death_signal: what it gets when the thread that started it ends; None lets it run on.
        keep_open: descriptors that it inherits.
        writable: the only folders in which it may change files, and it gets no network (`landlock`).

    Raises:
        ProgramStartError: there is no such program, or it cannot be executed.
    """

    def prepare(rules: int | None) -> None:
        # Between fork and exec, where other threads' locks stay locked: system calls only.
        if death_signal is not None:
            die_with_parent(death_signal)
        with suppress(OSError):
            if cpus is not None:
                os.sched_setaffinity(0, cpus)
            if niceness is not None:
                os.setpriority(os.PRIO_PROCESS, 0, niceness)
        if rules is not None:
            landlock.restrict(rules)

    is_plain = death_signal is None and cpus is None and niceness is None and writable is None
    try:
        with nullcontext() if writable is None else landlock.ruleset(writable) as rules:
            return subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=errors,
                env=environment,
                cwd=folder,
                start_new_session=True,
                pass_fds=keep_open,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                umask=umask,
                # After the change of user, which would clear the signal.
                preexec_fn=None if is_plain else partial(prepare, rules),  # noqa: PLW1509
            )
    except OSError as error:
        raise ProgramStartError(
            f"{command[0]} cannot be started ({error.filename}: {error.strerror})."
        ) from error


def stop(
    process: RunningProgram,
    signal_number: signal.Signals = signal.SIGTERM,
    grace_seconds: float = GRACE_SECONDS,
) -> None:
    """End a program and its whole group; kill what has not exited in time."""
    if process.returncode is None:
        # Reap it only after its group is killed: until then its process id is not reused.
        with _pidfd(process.pid) as descriptor:
            if grace_seconds > 0:
                _signal_group(process.pid, signal_number)
                # A stopped process (SIGSTOP) handles no signal until it continues.
                _signal_group(process.pid, signal.SIGCONT)
                select.select([descriptor], [], [], grace_seconds)
            _signal_group(process.pid, signal.SIGKILL)
            select.select([descriptor], [], [], KILL_SECONDS)
        process.poll()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def find(program: str) -> Path | None:
    """Return the path of a program of the machine: on PATH, or in the folders of root's PATH."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    found = shutil.which(program, path=folders)
    return Path(found) if found else None


def exit_on_signal(number: int, frame: FrameType | None) -> None:
    """Handle a signal by exiting in order, so that the programs that this process has started end too.

    While one is being started, Python would swallow the exception in a callback of the fork: the signal
    is sent again a moment later.
    """
    while frame is not None:
        if frame.f_code is _EXECUTE_CHILD:
            threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()
            return
        frame = frame.f_back
    sys.exit(128 + number)


def last_lines(text: str, count: int = 3) -> str:
    """The end of a program's messages, on one line: ``first | second | third``."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "no output"


def describe_exit(code: int) -> str:
    """Describe how a program exited: ``exit code 1``, ``killed by SIGKILL``."""
    if code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


class _CancelledError(Exception):
    """The caller of `arun` was cancelled."""


@contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    """A descriptor that becomes readable when a process exits."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _run(
    command: Command, timeout_seconds: float, cancelled: int | None, options: Options
) -> CommandResult:
    environment = options.get("environment")
    with ExitStack() as stack:
        given = options.get("stdin", subprocess.DEVNULL)
        stdin: int | IO[bytes]
        if isinstance(given, int):
            stdin = given
        else:
            stdin = stack.enter_context(tempfile.TemporaryFile())
            stdin.write(given)
            stdin.seek(0)
        process = start(
            command,
            output=subprocess.PIPE,
            errors=subprocess.PIPE,
            stdin=stdin,
            environment={
                **(os.environ if environment is None else environment),
                "LC_ALL": "C",
                **options.get("variables", {}),
            },
            folder=options.get("folder"),
            user=options.get("user"),
            cpus=options.get("cpus"),
            niceness=options.get("niceness"),
            death_signal=options.get("death_signal", signal.SIGKILL),
            keep_open=options.get("keep_open", ()),
            writable=options.get("writable"),
        )
    reading = _Reading(Path(command[0]).name, process, options)
    try:
        reading.to_the_end(timeout_seconds, cancelled)
    except TimeoutError:
        failed = "made no progress for" if "progress" in options else "did not end within"
        raise ProgramTimeoutError(f"{reading.program} {failed} {timeout_seconds:g} s.") from None
    finally:
        # If it has not exited yet; else only the pipes are closed.
        stop(process, grace_seconds=options.get("grace_seconds", GRACE_SECONDS))
    return CommandResult(
        reading.program,
        process.returncode,
        reading.output.decode(errors="replace"),
        reading.errors.decode(errors="replace"),
    )


class _Reading:
    """The output of a running program, bounded."""

    def __init__(self, program: str, process: RunningProgram, options: Options) -> None:
        self.program = program
        self.output = bytearray()
        self.errors = bytearray()
        self._process = process
        self._max_bytes = options.get("max_bytes", MAX_BYTES)
        self._on_stderr = options.get("on_stderr")
        self._progress = options.get("progress", lambda: None)

    def to_the_end(self, timeout_seconds: float, cancelled: int | None) -> None:
        """Read until the program has exited; what it left running may hold its output open."""
        deadline, reached = monotonic() + timeout_seconds, self._progress()
        pipes = [self._process.stdout, self._process.stderr]
        with selectors.DefaultSelector() as selector, _pidfd(self._process.pid) as ended:
            for source in (*pipes, ended, cancelled):
                if source is not None:
                    selector.register(source, selectors.EVENT_READ)
            for pipe in pipes:
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
            while True:
                ready = {key.fileobj for key, _ in selector.select(max(0, deadline - monotonic()))}
                if cancelled in ready:
                    raise _CancelledError
                if not ready:
                    if (now := self._progress()) == reached:
                        raise TimeoutError
                    deadline, reached = monotonic() + timeout_seconds, now
                for pipe in pipes:
                    if pipe in ready and self._read(pipe) == b"":
                        selector.unregister(pipe)
                if ended in ready:
                    break
            for pipe in pipes:
                while monotonic() < deadline and self._read(pipe):
                    pass
        self._process.wait()

    def _read(self, pipe: IO[bytes] | None) -> bytes | None:
        """Read and return what is available: None for nothing yet, empty at the end."""
        assert pipe is not None
        try:
            data = os.read(pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return None
        if pipe is self._process.stdout:
            self.output += data
            if len(self.output) > self._max_bytes:
                raise OutputTooLargeError(
                    f"{self.program} printed more than {self._max_bytes:,} bytes."
                )
        else:
            self.errors += data
            del self.errors[: -self._max_bytes]
            if self._on_stderr is not None and data:
                self._on_stderr(data.decode(errors="replace"))
        return data


def _signal_group(group: int, signal_number: signal.Signals) -> None:
    # A group that changed to another user cannot be signalled.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal_number)
