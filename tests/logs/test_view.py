"""Errors and slow operations are found in every component's own log format."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from chitlaq import inventory
from chitlaq.core import point_in_time
from chitlaq.core.installation.home import Home
from chitlaq.logs import parsing, rotation
from chitlaq.logs.view import View
from tests.conftest import Stack, eventually
from tests.logs import failed_starts
from tests.logs.test_rotation import asked_while

OURS = {"timestamp": "2026-11-23T10:00:01Z", "service": "feed-service", "request_id": "-"}
ACCESS = {
    "time": "2026-11-23T10:00:02+00:00", "remote_addr": "192.0.2.1", "method": "GET", "uri": "/x",
    "protocol": "HTTP/1.1", "bytes_sent": 10, "route": "/x", "request_id": "ab", "user_agent": "",
    "referer": "",
}  # fmt: skip

ERRORS = [
    json.dumps(OURS | {"level": "error", "event": "request failed"}),
    json.dumps(ACCESS | {"status": 503, "request_time": 0.001}),
    "2026-11-23 10:00:03.000 UTC [12] chitlaq@chitlaq feed-service ERROR:  division by zero",
    "2026-11-23 10:00:03.500 UTC [12] @ FATAL:  the database system is starting up",
    "2026/11/23 10:00:04 [error] 12#12: *1 connect() failed",
    "12:M 23 Nov 2026 10:00:05.000 # Out of memory allocating 1 bytes!",
    # Debian's observers, and newer ones, which write with Go's slog.
    '{"caller":"main.go:1","level":"error","msg":"opening storage failed","ts":"2026-11-23T10:00:06Z"}',
    '{"time":"2026-11-23T10:00:07.5Z","level":"ERROR","source":"main.go:1","msg":"no storage","err":"x"}',
    "2026-11-23 10:00:08.000 GMT [1] FATAL:  could not access file",
    "12:M 2026-11-23T10:00:09.287+00:00 # WARNING Memory overcommit must be enabled!",
    "2026-11-23 10:00:10,043 [64] barman.server ERROR: Check 'PostgreSQL streaming' failed",
    # Lines without a time.
    "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)",
    "ERROR: Another receive-wal process is already running for server chitlaq.",
    "chitlaq: pg_receivewal: error: disconnected",
    "chitlaq: The secret redis does not exist yet",
    "asyncpg.exceptions.UndefinedTableError: relation is missing",
    "KeyError: 'x'",
    "panic: runtime error: index out of range",
]
SLOW = [
    json.dumps(OURS | {"level": "info", "event": "slow request", "duration_seconds": 0.75}),
    json.dumps(ACCESS | {"status": 200, "request_time": 2.5}),
    "2026-11-23 10:00:03.000 UTC [12] chitlaq@chitlaq feed-service LOG:  duration: 612.5 ms  statement: x",
]
OTHERS = [
    json.dumps(
        OURS | {"level": "info", "event": "an ERROR in words only", "duration_seconds": 0.01}
    ),
    json.dumps(ACCESS | {"status": 404, "request_time": 0.2}),
    "2026-11-23 10:00:03.000 UTC [12] @ LOG:  duration: 12.5 ms  statement: SELECT 'ERROR:  no'",
    "2026/11/23 10:00:04 [warn] 12#12: the request is [error] prone",
    "12:M 23 Nov 2026 10:00:05.000 * Ready to accept connections # tcp",
    '{"broken": "line',
    "12:M 2026-11-23T10:00:05.000+00:00 # Valkey is now ready to exit, bye bye...",
    "2026-11-23 10:00:03,383 [1] barman.postgres WARNING: no status: FATAL:  the database is starting up",
    "2026-11-23 10:00:03.000 UTC [12] @ STATEMENT:  SELECT ' ERROR:  no'",
    '{"time":"2026-11-23T10:00:07.5Z","level":"WARN","source":"main.go:1","msg":"ERROR"}',
    "chitlaq: pg_receivewal: starting log streaming at 0/1000000 (timeline 1)",
    "chitlaq: \tbefore or while processing the request.",
    "applied 0001_universities_and_accounts",
    "Traceback (most recent call last):",
    "    raise ValueError: no",
]


def shown(
    home: Home,
    *services: str,
    tail: int | None = None,
    since: datetime | None = None,
    errors_only: bool = False,
    slower_than: float | None = None,
) -> list[str]:
    view = View(
        home,
        services,
        tail=tail,
        since=since,
        pattern=None,
        errors_only=errors_only,
        slower_than=slower_than,
        is_raw=True,
        is_coloured=False,
    )
    return list(view.lines(follow=False))


@pytest.mark.parametrize("line", ERRORS)
def test_error_line_is_recognised(line: str) -> None:
    assert parsing.is_error(line)


@pytest.mark.parametrize("line", SLOW + OTHERS)
def test_other_line_is_not_an_error(line: str) -> None:
    assert not parsing.is_error(line)


@pytest.mark.parametrize("line", SLOW)
def test_slow_line_has_its_duration(line: str) -> None:
    assert (parsing.seconds_of(line) or 0) > 0.5


def test_view_filters_errors_slow_lines_and_both(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.logs.mkdir()
    (home.logs / "feed-service.log").write_text("\n".join([*ERRORS, *SLOW, *OTHERS]) + "\n")

    def chosen(*, errors_only: bool, slower_than: float | None) -> list[str]:
        return shown(home, "feed-service", errors_only=errors_only, slower_than=slower_than)

    assert sorted(chosen(errors_only=True, slower_than=None)) == sorted(ERRORS)
    assert sorted(chosen(errors_only=False, slower_than=0.5)) == sorted(SLOW)
    assert sorted(chosen(errors_only=False, slower_than=2.0)) == [SLOW[1]]
    assert chosen(errors_only=True, slower_than=0.5) == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (ERRORS[6], "2026-11-23T10:00:06Z error   opening storage failed"),
        (ERRORS[7], "2026-11-23T10:00:07.5Z error   no storage err=x"),
    ],
)
def test_observers_lines_are_readable(line: str, shown: str) -> None:
    assert parsing.readable(line, is_coloured=False) == shown


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1:M 2026-11-24T17:49:59.287+01:00 * x", datetime(2026, 11, 24, 16, 49, 59, 287_000, UTC)),
        (
            "1:M 24 Nov 2026 16:49:59.287 * x",
            datetime(2026, 11, 24, 16, 49, 59, 287_000).astimezone(),
        ),
        (
            "1:signal-handler (1795540129) Received SIGTERM scheduling shutdown...",
            datetime(2026, 11, 24, 17, 8, 49, tzinfo=UTC),
        ),
        ("2026-01-31 09:00:00.250 GMT [7] LOG:  x", datetime(2026, 1, 31, 9, 0, 0, 250_000, UTC)),
        (
            "2026-11-24 17:14:16,043 [6404] barman.server ERROR: x",
            datetime(2026, 11, 24, 17, 14, 16, 43_000).astimezone(),
        ),
        ("1:M 24 Foo 2026 16:49:59.287 * x", None),
        ("2026-99-31 09:00:00.250 GMT [7] LOG:  x", None),
    ],
)
def test_timestamps_of_other_programs_are_parsed(line: str, expected: datetime | None) -> None:
    assert parsing.time_of(line) == expected


def test_line_without_a_time_takes_that_of_a_neighbour_or_the_file() -> None:
    first, second, third = (f"2026/11/24 10:00:0{n} [notice] 1#1: x" for n in range(3))
    times = [parsing.time_of(line) for line in (first, second, third)]
    end = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    texts = ["begins", first, second, "goes on", third, "ends"]
    assert list(parsing.timed(texts, end.timestamp())) == [
        (times[0], "begins"), (times[0], first), (times[1], second), (times[1], "goes on"),
        (times[2], third), (end, "ends"),
    ]  # fmt: skip
    assert list(parsing.timed(["one", "two"], end.timestamp())) == [(end, "one"), (end, "two")]


@pytest.mark.parametrize("program", failed_starts.PROGRAMS)
def test_failed_start_of_a_real_program_is_an_error_with_the_current_time(
    program: str, stack: Stack
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    lines = failed_starts.of(program, stack)
    now = datetime.now(UTC)
    timed = list(parsing.timed(lines, now.timestamp()))
    assert [text for at, text in timed if parsing.is_error(text) and before <= at <= now]
    assert all(before <= at <= now for at, _ in timed)


async def are_healthy(stack: Stack) -> None:
    await eventually(lambda: asyncio.to_thread(stack.is_healthy))


@pytest.mark.parametrize("component", [*inventory.COMPONENTS, "supervisor"])
async def test_lines_of_the_last_hour_are_all_lines_of_a_new_stack(
    observed: Stack, component: str
) -> None:
    await are_healthy(observed)

    home = Home(observed.home)
    names = [component, *(["nginx-access"] if component == "nginx" else [])]
    written = [
        line
        for name in names
        for file in rotation.history(home.logs / f"{name}.log")
        for line in rotation.lines(file)
    ]
    assert written
    # More may be written meanwhile.
    assert set(written) <= set(shown(home, component))
    assert set(written) <= set(shown(home, component, since=point_in_time.parse("1h", "--since")))
    assert not shown(home, component, since=datetime.now(UTC) + timedelta(hours=1))


async def test_tail_shows_the_lines_written_last(observed: Stack) -> None:
    await are_healthy(observed)
    assert observed.redis("CONFIG", "REWRITE") == "OK"

    def is_shown() -> bool:
        lines = shown(Home(observed.home), tail=40)
        return any("CONFIG REWRITE executed" in line for line in lines)

    await eventually(is_shown)


async def test_idle_stack_has_no_errors_of_its_own_observers(observed: Stack) -> None:
    await are_healthy(observed)

    async def was_asked_often() -> bool:
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.get(
                f"http://127.0.0.1:{observed.ports['prometheus']}/api/v1/query",
                params={"query": 'count_over_time(up{job="node"}[5m])'},
            )
        return any(float(one["value"][1]) >= 3 for one in answer.json()["data"]["result"])

    await eventually(was_asked_often)
    assert (
        shown(Home(observed.home), *(row.name for row in inventory.OBSERVERS), errors_only=True)
        == []
    )


@pytest.mark.parametrize("component", ["nginx", "feed-service"])
async def test_every_line_is_followed_across_rotations(
    stack: Stack, tmp_path: Path, component: str
) -> None:
    words = ["logs", component, "--follow", "--tail", "0", "--json"]
    path = tmp_path / "followed"
    with path.open("wb") as output:
        following = subprocess.Popen(
            [sys.executable, "-m", "chitlaq", *words], env=stack.environment, stdout=output
        )

    def followed() -> list[str]:
        lines = [line for line in path.read_text().splitlines() if line.startswith("{")]
        return [json.loads(line)["request_id"] for line in lines]

    try:
        async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:

            async def is_following() -> bool:
                assert (await client.post("/api/posts", json={"text": "x"})).status_code == 401
                return bool(followed())

            def rotate() -> None:
                assert stack.command("rotate").returncode == 0

            async def until_followed(_: int) -> None:
                """A file that is moved twice between two reads is not followed (`logs.follow`)."""
                answer = await client.post("/api/posts", json={"text": "x"})
                await eventually(lambda: answer.headers["x-request-id"] in followed())

            await eventually(is_following)
            identifiers = await asked_while(stack, rotate, until_followed)

        def all_were_followed() -> bool:
            found = [one for one in followed() if one in identifiers]
            assert len(found) == len(set(found)), "some line was shown twice"
            return set(found) == identifiers

        await eventually(all_were_followed)
    finally:
        following.terminate()
        following.wait(20)
