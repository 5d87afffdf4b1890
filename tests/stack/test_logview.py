"""Errors and slow things are found in the lines of every component, each in its own words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chitlaq.core.home import Home
from chitlaq.stack import logview

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
    '{"caller":"main.go:1","level":"error","msg":"opening storage failed","ts":"2026-11-23T10:00:06Z"}',
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
]


@pytest.mark.parametrize("line", ERRORS)
def test_error_is_one(line: str) -> None:
    assert logview.is_error(line)


@pytest.mark.parametrize("line", SLOW + OTHERS)
def test_what_is_no_error_is_none(line: str) -> None:
    assert not logview.is_error(line)


@pytest.mark.parametrize("line", SLOW)
def test_slow_line_says_how_long(line: str) -> None:
    assert (logview.seconds_of(line) or 0) > 0.5


def test_view_chooses_errors_slow_ones_and_both(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.logs.mkdir()
    (home.logs / "feed-service.log").write_text("\n".join([*ERRORS, *SLOW, *OTHERS]) + "\n")

    def shown(*, errors_only: bool, slower_than: float | None) -> list[str]:
        view = logview.View(
            home,
            ["feed-service"],
            tail=None,
            since=None,
            pattern=None,
            errors_only=errors_only,
            slower_than=slower_than,
            is_raw=True,
            is_coloured=False,
        )
        return list(view.lines(follow=False))

    assert sorted(shown(errors_only=True, slower_than=None)) == sorted(ERRORS)
    assert sorted(shown(errors_only=False, slower_than=0.5)) == sorted(SLOW)
    assert sorted(shown(errors_only=False, slower_than=2.0)) == [SLOW[1]]
    assert shown(errors_only=True, slower_than=0.5) == []


def test_observers_lines_are_readable() -> None:
    line = logview.readable(ERRORS[-1], is_coloured=False)
    assert line == "2026-11-23T10:00:06Z error   opening storage failed"
