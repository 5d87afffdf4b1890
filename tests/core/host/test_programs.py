"""A program is stopped in time, with all that it started, and its output is bounded."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.core.host.programs import (
    CommandResult,
    OutputTooLargeError,
    ProgramStartError,
    ProgramTimeoutError,
)

SECONDS = 30.0
# Both ignore SIGTERM; the grandchild's number goes to a file.
STUBBORN = """
trap '' TERM
(trap '' TERM; while :; do sleep 0.1; done) &
echo $! > "$0"
while :; do sleep 0.1; done
"""


def shell(script: str, *words: str) -> list[str]:
    return ["/bin/sh", "-c", script, *words]


def python(script: str, *words: str) -> list[str]:
    return [sys.executable, "-c", script, *words]


def number_in(path: Path) -> int:
    deadline = time.monotonic() + SECONDS
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(path.read_text())


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def grandchild(tmp_path: Path) -> Iterator[Path]:
    """The file for a grandchild's process id; the grandchild is always stopped afterwards."""
    path = tmp_path / "grandchild"
    yield path
    if path.exists():
        with suppress(ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGKILL)


def test_result_has_code_and_both_outputs() -> None:
    result = programs.run(shell("echo out; echo err >&2; exit 3"), timeout_seconds=SECONDS)
    assert result == CommandResult("sh", 3, "out\n", "err\n")
    with pytest.raises(OperatorError, match=r"^sh failed: err$"):
        result.checked()
    assert programs.run(["/bin/true"], timeout_seconds=SECONDS).checked() == ""


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo out; exit 1", "out"),
        ("for i in 1 2 3 4; do echo $i >&2; done; exit 1", "2 | 3 | 4"),
        ("exit 7", "exit code 7"),
        ("kill -9 $$", "killed by SIGKILL"),
    ],
)
def test_reason_is_the_last_message_or_the_exit_status(script: str, reason: str) -> None:
    assert programs.run(shell(script), timeout_seconds=SECONDS).reason == reason


def test_program_gets_nothing_on_stdin_unless_given() -> None:
    assert programs.run(["/bin/cat"], timeout_seconds=SECONDS).stdout == ""
    given = b"x" * 1_000_000
    result = programs.run(["/bin/cat"], timeout_seconds=SECONDS, stdin=given)
    assert result.stdout.encode() == given


def test_output_that_is_not_utf8_is_decoded() -> None:
    result = programs.run(shell(r"printf 'a\377b'"), timeout_seconds=SECONDS)
    assert result.stdout == "a\ufffdb"


def test_messages_are_english_and_variables_are_added() -> None:
    result = programs.run(
        shell("echo $LC_ALL $GIVEN"), timeout_seconds=SECONDS, variables={"GIVEN": "1"}
    )
    assert result.stdout == "C 1\n"
    script = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"
    bare = programs.run(python(script), timeout_seconds=SECONDS, environment={"A": "1"})
    assert bare.stdout == "['A', 'LC_ALL']\n"


def test_too_much_output_stops_the_program(grandchild: Path) -> None:
    with pytest.raises(OutputTooLargeError, match="printed more than 100,000 bytes"):
        programs.run(["/usr/bin/yes"], timeout_seconds=SECONDS, max_bytes=100_000)


def test_end_of_endless_stderr_is_kept() -> None:
    script = "import sys; [sys.stderr.write(f'{n}\\n') for n in range(300_000)]"
    result = programs.run(python(script), timeout_seconds=SECONDS, max_bytes=1_000)
    assert len(result.stderr) == 1_000
    assert result.stderr.endswith("299998\n299999\n")


def test_missing_program_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ProgramStartError, match=r"^/no/such cannot be started \(/no/such: No"):
        programs.run(["/no/such", "word"], timeout_seconds=SECONDS)
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    with pytest.raises(ProgramStartError, match="Permission denied"):
        programs.run([plain], timeout_seconds=SECONDS)


def test_timeout_ends_the_whole_group(grandchild: Path) -> None:
    with pytest.raises(ProgramTimeoutError, match=r"^sh did not end within 0.5 s"):
        programs.run(shell(STUBBORN, str(grandchild)), timeout_seconds=0.5, grace_seconds=0.2)
    assert is_gone(number_in(grandchild))


def test_program_may_clean_up_before_it_is_killed(tmp_path: Path) -> None:
    script = "trap 'touch \"$0\"; exit' TERM; while :; do sleep 0.1; done"
    with pytest.raises(ProgramTimeoutError):
        programs.run(shell(script, str(tmp_path / "tidied")), timeout_seconds=0.5)
    assert (tmp_path / "tidied").exists()


async def test_cancellation_ends_the_whole_group(grandchild: Path) -> None:
    running = asyncio.ensure_future(
        programs.arun(shell(STUBBORN, str(grandchild)), timeout_seconds=SECONDS, grace_seconds=0.2)
    )
    pid = await asyncio.to_thread(number_in, grandchild)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert is_gone(pid)


async def test_event_loop_is_not_blocked_while_programs_run() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    # More than an executor has threads.
    results = await asyncio.gather(
        *(programs.arun(shell("sleep 0.5; echo $$"), timeout_seconds=SECONDS) for _ in range(40))
    )
    ticking.cancel()
    assert len({result.stdout for result in results}) == 40
    assert ticks > 10


async def test_async_errors_are_the_same() -> None:
    with pytest.raises(ProgramStartError):
        await programs.arun(["/no/such"], timeout_seconds=SECONDS)
    with pytest.raises(ProgramTimeoutError):
        await programs.arun(["/bin/sleep", "60"], timeout_seconds=0.2)
    with pytest.raises(OutputTooLargeError):
        await programs.arun(["/usr/bin/yes"], timeout_seconds=SECONDS, max_bytes=10)


def test_daemon_left_behind_does_not_block_us(grandchild: Path) -> None:
    """The daemon runs on: a package's installation may start a server."""
    script = 'sleep 60 & echo $! > "$0"; echo done'
    started = time.monotonic()
    result = programs.run(shell(script, str(grandchild)), timeout_seconds=SECONDS)
    assert result.stdout == "done\n"
    assert time.monotonic() - started < SECONDS
    assert psutil.Process(number_in(grandchild)).is_running()


@pytest.mark.parametrize("is_wanted_without_us", [False, True])
def test_program_dies_with_us_unless_asked_otherwise(
    grandchild: Path, is_wanted_without_us: bool
) -> None:
    ours = f"""
import signal
from chitlaq.core.host import programs
death = {None if is_wanted_without_us else "signal.SIGKILL"}
programs.run(["/bin/sh", "-c", 'echo $$ > "$0"; exec sleep 60', {str(grandchild)!r}],
             timeout_seconds=60, death_signal=death)
"""
    parent = subprocess.Popen(python(ours))
    pid = number_in(grandchild)
    parent.kill()
    parent.wait()
    if is_wanted_without_us:
        assert psutil.Process(pid).is_running()
    else:
        assert is_gone(pid)


def test_cpus_and_priority_apply_to_child_processes() -> None:
    cpu = max(os.sched_getaffinity(0))
    script = "import os; print(os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0))"
    result = programs.run(
        shell('"$0" -c "$1"', sys.executable, script),
        timeout_seconds=SECONDS,
        cpus=[cpu],
        niceness=7,
    )
    assert result.stdout == f"{{{cpu}}} 7\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_program_of_another_user_dies_with_us_too() -> None:
    nobody = pwd.getpwnam("nobody")
    result = programs.run(
        shell("id -u; id -G; cat /proc/self/status | grep -c PPid"),
        timeout_seconds=SECONDS,
        user=nobody,
        folder=Path("/"),
    )
    assert result.stdout.splitlines()[:2] == [f"{nobody.pw_uid}", f"{nobody.pw_gid}"]


def test_long_running_program_is_stopped_with_its_group(grandchild: Path) -> None:
    with grandchild.with_name("log").open("wb") as log:
        process = programs.start(shell(STUBBORN, str(grandchild)), output=log)
    pid = number_in(grandchild)
    programs.stop(process, grace_seconds=0.2)
    assert process.returncode == -signal.SIGKILL
    assert is_gone(pid)
    programs.stop(process)  # It has exited already: nothing happens.


def test_stopped_program_can_handle_its_signal(tmp_path: Path) -> None:
    script = "trap 'exit 4' USR1; echo $$ > \"$0\"; while :; do sleep 0.1; done"
    with (tmp_path / "log").open("wb") as log:
        process = programs.start(shell(script, str(tmp_path / "ready")), output=log)
    number_in(tmp_path / "ready")
    programs.stop(process, signal.SIGUSR1)
    assert process.returncode == 4


def test_stderr_is_reported_as_it_comes() -> None:
    told: list[str] = []
    script = "printf '1/2 kB\\r' >&2; sleep 0.3; printf '2/2 kB\\n' >&2"
    programs.run(shell(script), timeout_seconds=SECONDS, on_stderr=told.append)
    assert told == ["1/2 kB\r", "2/2 kB\n"]


def test_programs_of_root_are_found_by_every_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", (str(tmp_path),))
    tool = tmp_path / "only-roots"
    tool.touch(mode=0o755)
    assert programs.find("only-roots") == tool
    assert programs.find("sh") in {Path("/usr/bin/sh"), Path("/bin/sh")}
    assert programs.find("no-such-program") is None


def test_time_limit_starts_again_with_each_progress(tmp_path: Path) -> None:
    """A program may take as long as it needs while it works, and no longer than the limit when it stops."""
    file = tmp_path / "file"
    file.touch()
    working = shell('for i in 1 2 3 4 5 6 7 8; do echo $i >> "$0"; sleep 0.2; done', str(file))
    size = lambda: file.stat().st_size  # noqa: E731
    assert programs.run(working, timeout_seconds=0.6, progress=size).code == 0
    stuck = shell('echo x >> "$0"; sleep 60', str(file))
    with pytest.raises(ProgramTimeoutError, match=r"made no progress for 0\.6 s"):
        programs.run(stuck, timeout_seconds=0.6, progress=size)


def test_signal_that_comes_while_a_program_is_started_is_not_lost() -> None:
    """Python ignores exceptions of a fork's callbacks."""
    script = """
import os, signal, time
from chitlaq.core.host import programs
signal.signal(signal.SIGTERM, programs.exit_on_signal)
sent = []
os.register_at_fork(before=lambda: sent or sent.append(1) or signal.raise_signal(signal.SIGTERM))
programs.run(["true"], timeout_seconds=10)
time.sleep(30)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert ended.returncode == 128 + signal.SIGTERM
