"""The console's view of the logs: the newest lines, and each later line once, across rotations."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.logs import tail
from chitlaq.logs.analysis import pattern_of
from chitlaq.logs.tail import Lines, Wanted

START = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.logs.mkdir()
    return home


@pytest.fixture
def write(home: Home) -> Callable[..., None]:
    """Appends a line of one of our services, so many seconds after the start."""

    def write(second: float, event: str, service: str = "feed-service", **fields: object) -> None:
        stamp = (START + timedelta(seconds=second)).isoformat()
        line = {"timestamp": stamp, "level": "info", "service": service, "event": event}
        with (home.logs / f"{service}.log").open("a") as file:
            file.write(json.dumps({**line, "request_id": "-", **fields}) + "\n")

    return write


def texts(found: Lines) -> list[str]:
    return [line.text for line in found.lines]


def test_newest_lines_of_all_logs_are_in_the_order_of_their_times(
    home: Home, write: Callable[..., None]
) -> None:
    write(1, "first")
    write(3, "third")
    write(2, "second", "auth-service")
    (home.logs / "postgres.log").write_text("2026-11-26 03:00:04.000 UTC [7] FATAL:  fourth\n")
    found = tail.newest(home, Wanted(), 3, 5)
    assert [(line.service, line.level) for line in found.lines] == [
        ("auth-service", "info"), ("feed-service", "info"), ("postgres", "error"),
    ]  # fmt: skip
    assert texts(found)[:2] == ["second", "third"]
    assert found.lines[0].at == START + timedelta(seconds=2)
    assert found.unread == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(level="warning"), ["slow", "broken"]),
        (Wanted(level="error"), ["broken"]),
        (Wanted(service="auth-service"), ["elsewhere"]),
        (Wanted(text="ABC-1"), ["asked  request_id=abc-1"]),
        (Wanted(level="error", text="abc-1"), []),
    ],
    ids=["warnings", "errors", "service", "request-id", "both"],
)
def test_only_wanted_lines_are_shown_now_and_later(
    home: Home, write: Callable[..., None], wanted: Wanted, expected: list[str]
) -> None:
    def write_all(second: int) -> None:
        write(second, "usual")
        write(second + 1, "slow", level="warning")
        write(second + 2, "broken", level="error")
        write(second + 3, "asked", request_id="abc-1")
        write(second + 4, "elsewhere", "auth-service")

    write_all(0)
    found = tail.newest(home, wanted, 10, 5)
    assert texts(found) == expected
    write_all(10)
    assert texts(tail.since(home, wanted, found.positions, 10)) == expected


def test_each_later_line_comes_once_across_a_rotation(
    home: Home, write: Callable[..., None]
) -> None:
    write(0, "old")
    positions = tail.newest(home, Wanted(), 10, 5).positions
    write(1, "before")
    log = home.logs / "feed-service.log"
    log.rename(log.with_name("feed-service.log.1"))
    write(2, "after")
    write(3, "of a new log", "auth-service")
    found = tail.since(home, Wanted(), positions, 10)
    assert texts(found) == ["before", "after", "of a new log"]
    assert texts(tail.since(home, Wanted(), found.positions, 10)) == []
    # What is shown first reaches back into the file before.
    assert texts(tail.newest(home, Wanted(), 10, 5)) == ["old", "before", "after", "of a new log"]


def test_line_that_is_not_ended_is_shown_when_it_is(home: Home, write: Callable[..., None]) -> None:
    write(0, "whole")
    with (home.logs / "feed-service.log").open("a") as file:
        file.write("half of ")
    found = tail.newest(home, Wanted(), 10, 5)
    assert texts(found) == ["whole"]
    with (home.logs / "feed-service.log").open("a") as file:
        file.write("a line\n")
    assert texts(tail.since(home, Wanted(), found.positions, 10)) == ["half of a line"]


def test_log_that_grew_too_much_is_continued_at_its_end_and_says_so(
    home: Home, write: Callable[..., None]
) -> None:
    write(0, "old")
    positions = tail.newest(home, Wanted(), 10, 5).positions
    with (home.logs / "feed-service.log").open("a") as file:
        file.write(("x" * 99 + "\n") * (tail.FOLLOW_BYTES // 100 + 1))
    found = tail.since(home, Wanted(), positions, 10)
    assert texts(found) == []
    assert found.unread == ["feed-service.log: 2 MB at once"]
    write(1, "next")
    assert texts(tail.since(home, Wanted(), found.positions, 10)) == ["next"]


def test_only_the_end_of_a_large_log_is_read_unless_a_text_is_looked_for(
    home: Home, write: Callable[..., None]
) -> None:
    write(0, "first")
    with (home.logs / "feed-service.log").open("a") as file:
        file.write(("y" * 999 + "\n") * (tail.END_BYTES // 1000 + 1))
    write(1, "last")
    assert "first" not in texts(tail.newest(home, Wanted(), 100_000, 5))
    assert texts(tail.newest(home, Wanted(text="first"), 10, 5)) == ["first"]


def test_what_others_wrote_is_visible_short_and_on_its_row(
    home: Home, write: Callable[..., None]
) -> None:
    write(0, "\x1b[31m<script>\u202e")
    write(1, "z" * 100_000)
    first, second = texts(tail.newest(home, Wanted(), 10, 5))
    assert "<script>" in first
    assert not {"\x1b", "\u202e"} & set(first)
    assert len(second) <= tail.LINE_CHARACTERS + 2


@pytest.mark.parametrize(
    "text",
    ['{"a":' * 20_000, json.dumps({"remote_addr": "192.0.2.1", "msg": "not of the access log"})],
    ids=["nested", "like-the-access-log"],
)
def test_line_that_only_looks_like_one_of_ours_is_shown_as_it_is(
    home: Home, write: Callable[..., None], text: str
) -> None:
    write(0, "before")
    with (home.logs / "feed-service.log").open("a") as file:
        file.write(f"{text}\n")
    shown = texts(tail.newest(home, Wanted(), 10, 5))[-1]
    assert shown[:100] == text[:100]
    assert pattern_of(text)


def test_unreadable_log_is_named_and_the_others_are_shown(
    home: Home, write: Callable[..., None]
) -> None:
    write(0, "shown")
    (home.logs / "auth-service.log").mkdir()
    found = tail.newest(home, Wanted(), 10, 5)
    assert texts(found) == ["shown"]
    assert found.unread == ["auth-service.log: Is a directory"]
    assert tail.newest(home, Wanted(), 10, -1).unread[0].endswith("no time was left")
    with pytest.raises(OperatorError, match="There is no component nobody"):
        tail.newest(home, Wanted(service="nobody"), 10, 5)
