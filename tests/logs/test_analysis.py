"""Logs in groups: the same words are one pattern, and unread parts are reported."""

from __future__ import annotations

import gzip
import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.bench.live import AGENT
from chitlaq.core.errors import UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.logs import analysis, rotation
from tests.conftest import Stack, eventually
from tests.logs import failed_starts

NOW = datetime.now(UTC)
SINCE = NOW - timedelta(hours=24)


def line(minutes_ago: int = 5, **fields: object) -> str:
    stamp = (NOW - timedelta(minutes=minutes_ago)).isoformat().replace("+00:00", "Z")
    return json.dumps({"timestamp": stamp, "level": "info", "event": "request", **fields})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "logs").mkdir()
    return Home(tmp_path)


def write(home: Home, name: str, *lines: str) -> Path:
    path = home.logs / name
    path.write_text("".join(f"{one}\n" for one in lines))
    return path


@given(
    st.lists(
        st.sampled_from(["failed", "at", "place", "connection", "of", "member", "page"]), min_size=1
    ),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.uuids(),
    st.uuids(),
)
def test_lines_that_differ_only_in_numbers_and_ids_share_a_pattern(
    words: list[str], one: int, two: int, first: object, second: object
) -> None:
    text = " ".join(words)
    assert analysis.pattern_of(f"{text} {one} {first} '{one}' 10.0.0.{one % 256}") == (
        analysis.pattern_of(f"{text} {two} {second} '{two}' 10.0.0.{two % 256}")
    )


@given(st.text(max_size=2000))
def test_any_text_has_a_pattern_of_bounded_length(text: str) -> None:
    assert len(analysis.pattern_of(text)) <= 4 * analysis.SAMPLE_WIDTH


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (
            '{"event":"slow query","part":"postgres","query":"home_posts","duration_seconds":1.2}',
            "postgres: slow query: home_posts",
        ),
        (
            '{"event":"request failed","part":"http","exception":"Traceback\\n  x\\nValueError: 17 is bad"}',
            "http: request failed: ValueError: <n> is bad",
        ),
        (
            '2026-11-23 20:40:24.199 UTC [7746] chitlaq@chitlaq feed ERROR:  relation "x" is 12',
            'ERROR:  relation "…" is <n>',
        ),
        (
            "2026/11/23 14:24:53 [error] 123#123: *7 connect() failed (111: refused), client: 10.0.0.1",
            "[error] connect() failed (<n>: refused), client: <address>",
        ),
    ],
)
def test_pattern_keeps_the_words_of_each_format(text: str, pattern: str) -> None:
    assert analysis.pattern_of(text) == pattern


def test_errors_slow_lines_and_trouble_are_found_in_rotated_files(home: Home) -> None:
    old = line(23 * 60, level="error", event="failed", error="for 17 seconds")
    with gzip.open(home.logs / "feed-service.log.2.gz", "wt") as file:
        file.write(old + "\n")
    write(
        home, "feed-service.log.1", line(600, level="error", event="failed", error="for 3 seconds")
    )
    write(
        home, "feed-service.log",
        line(2 * 24 * 60, level="error", event="too old to matter"),
        line(4, level="warning", event="the connection was lost"),
        line(3, duration_seconds=2.0, event="slow request", route="/feed/home", method="GET", status=200),
        line(2, status=503, route="/feed/home", method="GET"),
        "half a line that is no JSON",
        '{"broken',
        line(1),
    )  # fmt: skip
    found = analysis.component(home, "feed-service", SINCE, 0.5)
    assert {group.pattern: group.count for group in found.errors.values()} == {
        "failed: for <n> seconds": 2,
        "request: 503 GET /feed/home": 1,
    }
    (failed,) = [group for group in found.errors.values() if group.count == 2]
    assert failed.last - failed.first == timedelta(minutes=23 * 60 - 600)
    assert [group.pattern for group in found.slow.values()] == ["slow request: 200 GET /feed/home"]
    assert [group.pattern for group in found.connections.values()] == ["the connection was lost"]
    assert found.since is None


def test_unread_part_is_reported(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "READ_BYTES", 2000)
    write(home, "feed-service.log", *(line(1000 - n, level="error") for n in range(200)))
    found = analysis.component(home, "feed-service", SINCE, 0.5)
    assert 0 < found.lines < 30
    assert found.since is not None
    assert found.since > NOW - timedelta(minutes=900)


def test_log_whose_read_part_covers_a_day_is_complete(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis, "READ_BYTES", 2000)
    write(home, "feed-service.log", *(line(60 * (200 - n), level="error") for n in range(200)))
    assert analysis.component(home, "feed-service", SINCE, 0.5).since is not None
    write(home, "feed-service.log", *(line(60 * (900 - 8 * n)) for n in range(100)))
    assert analysis.component(home, "feed-service", SINCE, 0.5).since is None


def test_files_older_than_the_period_are_not_opened(home: Home) -> None:
    path = write(home, "feed-service.log.1", line(5, level="error"))
    before = (NOW - timedelta(days=3)).timestamp()
    os.utime(path, (before, before))
    write(home, "feed-service.log", line(5))
    assert not analysis.component(home, "feed-service", SINCE, 0.5).errors


def access(
    address: str = "10.0.0.1", status: int = 200, minutes_ago: float = 5, agent: str = "Firefox"
) -> str:
    return json.dumps(
        {
            "time": (NOW - timedelta(minutes=minutes_ago)).isoformat(),
            "remote_addr": address,
            "status": status,
            "method": "GET",
            "route": "/api/feed/home",
            "request_time": 0.1,
            "user_agent": agent,
        }
    )


def test_access_log_is_counted_by_address_and_status(home: Home) -> None:
    write(
        home, "nginx-access.log",
        access("10.0.0.9", 200, 60 * 25), access("10.0.0.1", 200), access("10.0.0.1", 503),
        access("10.0.0.2", 404), "{}", "garbage",
    )  # fmt: skip
    found = analysis.traffic(home, SINCE, 14)
    assert found.requests == 3
    assert found.addresses.most_common(1) == [("10.0.0.1", 2)]
    assert dict(found.statuses) == {200: 1, 503: 1, 404: 1}
    assert set(found.failures) == {"503 GET /api/feed/home", "404 GET /api/feed/home"}


def spread(home: Home) -> None:
    """A day's access log in four files, of which the first begins before that day."""
    with gzip.open(home.logs / "nginx-access.log.3.gz", "wt") as file:
        file.writelines(access(status=500, minutes_ago=60 * (40 - n)) + "\n" for n in range(20))
    with gzip.open(home.logs / "nginx-access.log.2.gz", "wt") as file:
        file.writelines(access(status=500, minutes_ago=60 * (20 - n)) + "\n" for n in range(10))
    write(home, "nginx-access.log.1", *(access(minutes_ago=60 * (10 - n)) for n in range(8)))
    write(home, "nginx-access.log", *(access(status=500, minutes_ago=60 - n) for n in range(60)))


def test_whole_day_is_counted_whatever_its_size(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis, "READ_BYTES", 100)
    spread(home)
    found = analysis.traffic(home, SINCE, 3)
    # From the first file, those from 24 to 21 hours ago.
    assert (found.requests, found.since) == (4 + 10 + 8 + 60, None)
    (failures,) = found.failures.values()
    assert failures.count == 4 + 10 + 60
    assert failures.last - failures.first == timedelta(hours=23, minutes=59)


def test_short_access_log_says_how_far_it_reaches_back(home: Home) -> None:
    """The maximum number of files, all of today: earlier ones were deleted."""
    spread(home)
    (home.logs / "nginx-access.log.3.gz").unlink()
    assert analysis.traffic(home, SINCE, 3).since is None, "a young system has no more"
    assert analysis.traffic(home, SINCE, 2).since == NOW - timedelta(hours=20)


def test_file_not_counted_in_time_is_left_out(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    spread(home)
    times = iter([0.0, 1.0, 2.0, analysis.COUNT_SECONDS + 1])
    monkeypatch.setattr(analysis, "monotonic", lambda: next(times))
    found = analysis.traffic(home, SINCE, 3)
    assert (found.requests, found.since) == (8 + 60, NOW - timedelta(hours=10))


def test_benchmark_requests_are_counted_separately(home: Home) -> None:
    assert analysis.BENCHMARK_AGENT == AGENT
    write(home, "nginx-access.log", access(), *(access(agent=AGENT) for _ in range(5)))
    found = analysis.traffic(home, SINCE, 14)
    assert (found.requests, found.benchmark) == (1, 5)
    assert sum(found.addresses.values()) == 1


@pytest.mark.parametrize("program", failed_starts.PROGRAMS)
def test_errors_of_every_real_program_are_found(home: Home, program: str, stack: Stack) -> None:
    lines = failed_starts.of(program, stack)
    write(home, "some.log", *lines)
    found = analysis.component(home, "some", SINCE, 0.5)
    assert found.lines == len(lines)
    assert found.errors
    assert not any(str(NOW.year) in pattern for pattern in found.errors), "no time is in a pattern"


@pytest.mark.parametrize("service", ["postgres", "redis", "nginx", "feed-service"])
def test_every_line_of_a_running_component_is_read(stack: Stack, service: str) -> None:
    there = Home(stack.home)
    files = rotation.history(there.logs / f"{service}.log")
    written = sum(1 for file in files for _ in rotation.lines(file))
    assert analysis.component(there, service, SINCE, 0.5).lines >= written > 0


async def test_no_name_that_a_stranger_types_writes_or_hides_a_line_of_postgresql(
    stack: Stack,
) -> None:
    """Whoever reaches its port chooses the name of a user, line ends included."""
    mark, began = secrets.token_hex(3), datetime.now(UTC)
    forged = f"{began:%Y-%m-%d %H:%M:%S}.000 UTC [1] PANIC:  {mark}"
    for name in (f"x\n{forged}", f"{mark} FATAL:  the database system is starting up"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host="127.0.0.1", port=stack.ports["postgres"], user=name, password=mark,
                database="chitlaq",
            )  # fmt: skip
    log = Home(stack.home).logs / "postgres.log"

    def lines() -> list[str]:
        return [one for one in log.read_text().split("\n") if mark in one]

    await eventually(lambda: len(lines()) >= 2)
    assert [one for one in lines() if one.startswith(forged)] == []
    found = analysis.component(Home(stack.home), "postgres", began, 0.5)
    assert any(mark in one.sample for one in found.errors.values())


def test_log_without_timestamps_is_unseen(home: Home) -> None:
    write(home, "redis.log", "Tue Nov 24 2026 something in a format of tomorrow", "and more of it")
    with pytest.raises(UnknownResult, match=r"redis\.log has a timestamp"):
        analysis.component(home, "redis", SINCE, 0.5)
    write(home, "nginx.log", "wrote /var/lib/chitlaq/nginx/nginx.conf")
    assert analysis.component(home, "nginx", SINCE, 0.5).lines == 1
    write(home, "redis.log")
    assert analysis.component(home, "redis", SINCE, 0.5).lines == 0
