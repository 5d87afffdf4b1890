"""What nginx writes to memory reaches the log, once, and keeps no more memory than it must."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chitlaq.core.host import memory
from chitlaq.core.installation.home import Home
from chitlaq.logs.rotation import MAX_UNWRITTEN, LogFile
from chitlaq.stack.supervisor import access_lines
from chitlaq.stack.supervisor.access_lines import AccessLines
from tests.conftest import eventually

APPEND = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(int(sys.argv[3])):
    os.write(file, f"{sys.argv[2]} {number} {'x' * (number % 5000)}\\n".encode())
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.run.mkdir()
    memory.link(home.new_access_lines.parent)
    yield home
    memory.remove(home.new_access_lines.parent)


def log_of(home: Home) -> LogFile:
    return LogFile(home.access_log, max_bytes=1 << 30, keep_files=3)


def append(home: Home, *lines: bytes) -> None:
    """As nginx does."""
    with home.new_access_lines.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def kept_bytes(home: Home) -> int:
    return home.new_access_lines.stat().st_blocks * 512


def test_every_line_of_several_writers_is_moved_once_and_its_memory_is_free(home: Home) -> None:
    lines = AccessLines(home.new_access_lines, log_of(home))
    command = [sys.executable, "-c", APPEND, str(home.new_access_lines)]
    writers = [subprocess.Popen([*command, name, "2000"]) for name in ("a", "b")]
    while any(one.poll() is None for one in writers):
        lines.move()
    lines.close()
    found = [line.split()[:2] for line in home.access_log.read_text().splitlines()]
    for name in ("a", "b"):
        assert [one[1] for one in found if one[0] == name] == [str(n) for n in range(2000)]
    assert len(found) == 4000
    assert home.new_access_lines.stat().st_size > 4_000_000
    assert kept_bytes(home) <= 4096


def test_what_a_killed_supervisor_has_not_moved_is_moved_by_the_next(home: Home) -> None:
    lines = AccessLines(home.new_access_lines, log_of(home))
    append(home, *(b"moved %d" % number for number in range(1000)))
    lines.move()
    append(home, b"left")
    again = access_lines.begin(home, log_of(home))
    assert again is not None
    append(home, b"new")
    again.close()
    expected = [*(f"moved {number}" for number in range(1000)), "left", "new"]
    assert home.access_log.read_text().splitlines() == expected


def test_lines_stay_in_memory_while_the_disk_takes_none_and_the_oldest_go_at_a_bound(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_lines, "MAX_KEPT_BYTES", 1 << 21)
    # Nobody flushes it, as where the disk keeps the one waiting who does.
    log = LogFile(home.access_log, 1 << 30, keep_files=3, has_lines=lambda: None)
    lines = AccessLines(home.new_access_lines, log)
    line, number = b"x" * 999, 0
    while not log.lost_bytes:
        append(home, *(b"%d " % n + line for n in range(number, number + 100)))
        number += 100
        lines.move()
        assert kept_bytes(home) < (1 << 21) + (1 << 20)
        assert number < 20_000, "it is bounded"
    assert number * 1000 > MAX_UNWRITTEN + (1 << 20), "what the log may keep, and more"
    lines.close()
    log.close()
    # The first may be the rest of one that was written in part.
    _, *found = (int(one.split()[0]) for one in home.access_log.read_text().splitlines())
    assert found == list(range(found[0], number)), "only the oldest are lost"
    assert found[0] > 1


async def test_lines_are_moved_as_they_come(home: Home) -> None:
    lines = access_lines.begin(home, log_of(home))
    assert lines is not None
    append(home, b"one")
    await eventually(lambda: home.access_log.read_bytes() == b"one\n")
    lines.close()


def test_without_memory_that_stays_nginx_writes_to_the_log_itself(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.remove(home.new_access_lines.parent)
    with monkeypatch.context() as changed:
        changed.setattr(memory, "PLACE", Path("/nowhere"))
        assert access_lines.begin(home, log_of(home)) is None
    assert not home.new_access_lines.parent.is_symlink()

    def refuse(*_: object) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(memory, "release", refuse)
    assert access_lines.begin(home, log_of(home)) is None
    assert not home.new_access_lines.parent.is_symlink()
