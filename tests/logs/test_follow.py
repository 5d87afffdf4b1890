"""Each complete line of a log is read once, in order, across rotations and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chitlaq.logs import follow, rotation
from chitlaq.logs.follow import Follower

# Follows, stores its lines, then its position; on request it dies in between.
DEALS_AND_DIES = """
import json, os, signal, sys
from pathlib import Path
from chitlaq.core.host import files
from chitlaq.logs.follow import Follower
log, stored, dealt, dies = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
positions = json.loads(stored.read_bytes()) if stored.exists() else {}
follower = Follower(log, positions=positions)
with dealt.open("ab") as file:
    for line in follower.new_lines():
        file.write(line + b"\\n")
if dies == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
files.write(stored, json.dumps(follower.positions))
"""


def write(path: Path, *lines: object) -> None:
    with path.open("ab") as file:
        file.writelines(f"{line}\n".encode() for line in lines)


def read(follower: Follower) -> list[str]:
    return [line.decode() for line in follower.new_lines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


def test_line_is_read_once_it_is_complete(path: Path) -> None:
    follower = Follower(path)
    assert read(follower) == []
    path.write_bytes(b"one\ntw")
    assert read(follower) == ["one"]
    with path.open("ab") as file:
        file.write(b"o\n\nfour\n")
    assert read(follower) == ["two", "", "four"]
    assert read(follower) == []


def test_line_longer_than_a_block_is_complete(path: Path) -> None:
    line = "x" * (3 * follow.READ_BYTES)
    write(path, line, "end")
    assert read(Follower(path)) == [line, "end"]


def test_file_that_is_truncated_in_place_is_read_anew(path: Path) -> None:
    write(path, "one", "two", "three")
    follower = Follower(path)
    assert read(follower) == ["one", "two", "three"]
    os.truncate(path, 0)
    write(path, "four")
    assert read(follower) == ["four"]
    write(path, "five")
    assert read(follower) == ["five"]


def test_file_that_was_truncated_between_two_followers_is_read_anew(path: Path) -> None:
    write(path, "same", "one", "two")
    first = Follower(path)
    read(first)
    os.truncate(path, len("same\n"))
    write(path, "3")
    assert read(Follower(path, positions=first.positions)) == ["same", "3"]


def test_older_file_that_cannot_be_read_holds_up_nothing(path: Path) -> None:
    write(path, "one")
    follower = Follower(path)
    assert read(follower) == ["one"]
    path.rename(path.with_name("x.log.2"))
    path.with_name("x.log.1").mkdir()
    write(path, "two")
    assert read(follower) == ["two"]
    write(path, "three")
    assert read(follower) == ["three"]


def test_position_within_a_long_line_is_where_the_line_begins(path: Path) -> None:
    write(path, "one")
    with path.open("a") as file:
        file.write("x" * (3 * follow.READ_BYTES))
    first = Follower(path)
    assert read(first) == ["one"]
    assert list(first.positions.values()) == [4]
    write(path, "")
    second = Follower(path, positions=first.positions)
    assert read(second) == read(first) == ["x" * (3 * follow.READ_BYTES)]


@pytest.mark.parametrize("before", ["", "old\n", "old\nhalf", "x" * (2 * follow.READ_BYTES) + "\n"])
def test_reading_from_the_end_skips_earlier_lines(path: Path, before: str) -> None:
    path.write_text(before)
    follower = Follower(path, is_from_end=True)
    assert read(follower) == []
    write(path, " of one", "two")
    assert read(follower) == ["half of one" if before.endswith("half") else " of one", "two"]


def test_moved_file_is_read_while_a_process_writes_to_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    write(path, 1)
    follower = Follower(path)
    with path.open("ab") as worker:
        rotation.rotate(path, 4)
        write(path, 3)
        assert read(follower) == ["1", "3"]
        worker.write(b"2\n")
        worker.flush()
        assert read(follower) == ["2"]
    now += follow.LINGER_SECONDS
    assert read(follower) == []
    assert not follower.has(path.with_name("x.log.1").stat())
    assert follower.has(path.stat())


def test_files_moved_before_the_first_read_are_skipped(path: Path) -> None:
    write(path, "history")
    rotation.rotate(path, 4)
    write(path, "current")
    assert read(Follower(path)) == ["current"]


def test_next_follower_continues_where_this_one_stopped(path: Path) -> None:
    write(path, 1, 2)
    follower = Follower(path)
    assert read(follower) == ["1", "2"]
    positions = follower.positions
    write(path, 3)
    rotation.rotate(path, 4)
    write(path, 4)
    assert read(Follower(path, positions=positions)) == ["3", "4"]
    # Nor does a file with another's inode take its position.
    path.unlink()
    path.with_name("x.log.1").unlink()
    write(path, "another", "file")
    assert read(Follower(path, positions=positions)) == ["another", "file"]


def test_incomplete_line_is_read_again_by_the_next_follower(path: Path) -> None:
    path.write_bytes(b"one\ntw")
    follower = Follower(path)
    assert read(follower) == ["one"]
    with path.open("ab") as file:
        file.write(b"o\n")
    assert read(Follower(path, positions=follower.positions)) == ["two"]


def test_killed_reader_loses_no_line_and_repeats_one_batch_at_most(tmp_path: Path) -> None:
    path, stored, dealt = tmp_path / "x.log", tmp_path / "positions", tmp_path / "dealt"

    def reader(dies: str) -> None:
        words = [sys.executable, "-c", DEALS_AND_DIES, str(path), str(stored), str(dealt), dies]
        done = subprocess.run(words, check=False)
        assert done.returncode == (-signal.SIGKILL if dies == "dies" else 0)

    write(path, 1, 2)
    reader("lives")
    write(path, 3)
    rotation.rotate(path, 4)
    write(path, 4)
    reader("dies")
    write(path, 5)
    reader("lives")
    assert dealt.read_text().split() == ["1", "2", "3", "4", "3", "4", "5"]
    assert json.loads(stored.read_text())


def test_every_line_of_a_busy_log_is_read_once_through_many_rotations(path: Path) -> None:
    """The writer keeps using the moved file for a while, as nginx does."""
    is_done = threading.Event()

    def writing() -> None:
        number = 0
        while not is_done.is_set():
            with path.open("ab", buffering=0) as file:
                for _ in range(50):
                    file.write(f"{number}\n".encode())
                    number += 1
            time.sleep(0.001)

    def numbers() -> Iterator[int]:
        follower = Follower(path)
        for _ in range(20):
            new: list[bytes] = []
            while not new:
                new = list(follower.new_lines())
            yield from map(int, new)
            rotation.rotate(path, 3)
            yield from map(int, follower.new_lines())
        is_done.set()
        writer.join()
        yield from map(int, follower.new_lines())

    writer = threading.Thread(target=writing)
    writer.start()
    found = list(numbers())
    assert len(found) >= 20
    assert sorted(found) == list(range(len(found)))


def test_unreadable_file_is_an_error_and_is_read_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(path)
    write(path, 1)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(PermissionError):
            read(follower)
    assert read(follower) == ["1"]
