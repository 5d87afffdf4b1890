"""Logs: no line is lost or torn by a rotation, and they are read back in chronological order."""

from __future__ import annotations

import gzip
import os
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chitlaq.cli.exec import shown
from chitlaq.logs import parsing, rotation
from chitlaq.logs.rotation import LogFile
from chitlaq.stack.supervisor.lifecycle import LONGEST_PAUSE_SECONDS, pause_after
from tests.disks import fill, small_disk


@settings(max_examples=50)
@given(
    lines=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=30), max_size=80
    ),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    max_bytes=st.integers(20, 400),
)
def test_every_line_is_there_once_and_whole(
    lines: list[str], cuts: list[int], max_bytes: int
) -> None:
    """However a process's output is split, and wherever rotations fall."""
    data = b"".join(line.encode() + b"\n" for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "component.log"
        log = LogFile(path, max_bytes, keep_files=10_000)
        start = 0
        for index in range(len(data)):
            size = cuts[index % len(cuts)]
            if start >= len(data):
                break
            log.write(data[start : start + size])
            start += size
        log.close()
        files = rotation.history(path)
        found = b"".join(
            gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            for file in files
        )
        assert found == data
        for file in files[:-2]:
            assert file.suffix == ".gz"


def test_number_of_files_is_limited(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", max_bytes=10, keep_files=3)
    for number in range(20):
        log.write(f"line number {number}\n".encode())
    log.close()
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["a.log", "a.log.1", "a.log.2.gz", "a.log.3.gz"]
    assert (tmp_path / "a.log.1").read_text() == "line number 19\n"


def test_each_day_has_a_file_of_its_own(tmp_path: Path) -> None:
    days = iter([date(2026, 3, 28), date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 31)])
    today = date(2026, 3, 28)
    path = tmp_path / "a.log"
    log = LogFile(path, max_bytes=1000, keep_files=5, today=lambda: today)
    for number, today in enumerate(days):
        log.write(f"line {number} of {today}\n".encode())
    log.close()
    assert path.read_text() == "line 3 of 2026-03-31\n"
    assert (tmp_path / "a.log.1").read_text() == "line 2 of 2026-03-29\n"
    oldest = gzip.decompress((tmp_path / "a.log.2.gz").read_bytes())
    assert oldest == b"line 0 of 2026-03-28\nline 1 of 2026-03-28\n"


def test_clock_that_is_set_back_pushes_no_file_out(tmp_path: Path) -> None:
    today = date(2026, 3, 28)
    log = LogFile(tmp_path / "a.log", max_bytes=1000, keep_files=3, today=lambda: today)
    for today in (date(2026, 3, day) for day in (28, 29, 28, 28, 29)):
        log.write(f"{today}\n".encode())
    log.close()
    assert (tmp_path / "a.log.2.gz").exists()
    assert not (tmp_path / "a.log.3.gz").exists()
    assert (tmp_path / "a.log.1").read_text() == "2026-03-29\n2026-03-28\n2026-03-28\n"


def test_file_of_an_earlier_day_is_closed_by_the_first_line_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("from the day before\n")
    before = time.time() - 86_400
    os.utime(path, (before, before))
    log = LogFile(path, max_bytes=1000, keep_files=5)
    assert path.read_text() == "from the day before\n", "nothing is moved before there is a line"
    log.write(b"today\n")
    log.close()
    assert path.read_text() == "today\n"
    assert (tmp_path / "a.log.1").read_text() == "from the day before\n"


def test_last_line_without_a_newline_is_kept(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", max_bytes=1000, keep_files=3)
    log.write(b"whole\nand half")
    log.close()
    assert (tmp_path / "a.log").read_text() == "whole\nand half\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"timestamp":"2026-01-31T09:00:00.5Z","event":"x"}',
            datetime(2026, 1, 31, 9, 0, 0, 500_000, UTC),
        ),
        ('{"time":"2026-01-31T10:00:00+01:00","status":200}', datetime(2026, 1, 31, 9, tzinfo=UTC)),
        (
            "2026-01-31 09:00:00.250 UTC [7] a@b LOG: x",
            datetime(2026, 1, 31, 9, 0, 0, 250_000, UTC),
        ),
        ("    at some place", None),
        ("{broken", None),
        ('{"timestamp":"never"}', None),
        ("[1, 2]", None),
    ],
)
def test_time_of_a_line_is_found_in_every_format(line: str, expected: datetime | None) -> None:
    assert parsing.time_of(line) == expected


@given(st.text())
def test_any_line_can_be_shown(line: str) -> None:
    assert isinstance(parsing.readable(line, is_coloured=False), str)


def test_pauses_grow_and_are_bounded() -> None:
    pauses = [pause_after(failures) for failures in range(20)]
    assert pauses[0] == 0.2
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize(
    ("reply", "for_people", "for_pipes"),
    [
        (b"PONG", "PONG", "PONG"),
        (7, "(integer) 7", "7"),
        (None, "(nil)", ""),
        ([], "(empty array)", ""),
        ([b"a", 2, [b"b", None]], "1) a\n2) (integer) 2\n3) 1) b\n   2) (nil)", "a\n2\nb\n"),
    ],
)
def test_replies_are_shown_as_redis_cli_does(
    reply: object, for_people: str, for_pipes: str
) -> None:
    assert shown(reply, raw=False) == for_people
    assert shown(reply, raw=True) == for_pipes


def test_full_disk_stops_no_writer_and_tears_no_line(tmp_path: Path) -> None:
    """Lines wait for space, the newest of them, whole and in their order."""
    with small_disk(1) as disk:
        log = LogFile(disk / "a.log", max_bytes=10_000_000, keep_files=3)
        log.write(b"before\n")
        filler = fill(disk)
        line = b"x" * 990 + b" %8d\n"
        for number in range(1000):
            log.write(line % number)
        assert log.fault is not None
        log.reopen()
        filler.unlink()
        log.write(b"after\n")
        log.close()
        first, *middle, last = (disk / "a.log").read_bytes().splitlines(keepends=True)
        assert (first, last) == (b"before\n", b"after\n")
        numbers = [int(one[-9:]) for one in middle]
        assert all(one == line % number for one, number in zip(middle, numbers, strict=True))
        assert numbers == sorted(numbers)
        assert numbers[-200:] == list(range(800, 1000))
        assert log.lost_bytes == len(line % 0) * (1000 - len(middle))


def test_rotation_that_fails_again_and_again_deletes_nothing(tmp_path: Path) -> None:
    with small_disk(1) as disk:
        path = disk / "a.log"
        for number in range(4):
            path.write_bytes(os.urandom(60_000) + b"%d\n" % number)
            rotation.rotate(path, 4)
        path.write_bytes(os.urandom(60_000))
        before = {file.name: file.read_bytes() for file in disk.iterdir()}
        filler = fill(disk)
        for _ in range(5):
            with pytest.raises(OSError, match="No space left"):
                rotation.rotate(path, 4)
        filler.unlink()
        assert {file.name: file.read_bytes() for file in disk.iterdir()} == before


def test_flush_after_the_end_is_nothing(tmp_path: Path) -> None:
    """A thread that flushes hears of lines that were written when the log was closed."""
    heard: list[None] = []
    log = LogFile(tmp_path / "x.log", 1 << 20, 3, has_lines=lambda: heard.append(None))
    log.write(b"whole\n")
    log.close()
    assert heard
    log.flush()
    assert (tmp_path / "x.log").read_bytes() == b"whole\n"
