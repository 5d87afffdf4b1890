"""The checks of logs on planted lines."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.logs import analysis
from chitlaq.ops.checks.model import Table, Verdict
from chitlaq.ops.database.database import OpsDatabase
from tests.ops.checks.run_check import run_check

NOW = datetime.now(UTC)


def line(minutes_ago: int = 5, **fields: object) -> str:
    stamp = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return json.dumps({"timestamp": stamp, "level": "info", "event": "request", **fields})


def access(
    address: str, status: int = 200, hours_ago: float = 0, agent: str = "", **fields: object
) -> str:
    return json.dumps(
        {
            "time": (NOW - timedelta(hours=hours_ago)).isoformat(),
            "user_agent": agent,
            "remote_addr": address,
            "status": status,
            "method": "GET",
            "route": "/api/feed/home",
            "request_time": 0.1,
        }
        | fields
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "logs").mkdir()
    return Home(tmp_path)


def plant(home: Home, name: str, *lines: str) -> None:
    (home.logs / name).write_text("".join(f"{one}\n" for one in lines))


LOGS = {
    "gateway.log": "api-gateway", "websocket.log": "websocket", "feed.log": "feed-service",
    "search.log": "search-service", "auth.log": "auth-service", "ops.log": "ops-service",
    "database.log": "postgres", "redis.log": "redis",
}  # fmt: skip


@pytest.mark.parametrize(("check", "service"), LOGS.items())
@pytest.mark.parametrize(
    ("errors", "verdict"),
    [(0, Verdict.OK), (1, Verdict.OK), (3, Verdict.WARNING), (5, Verdict.CRITICAL)],
)
async def test_errors_of_each_component_are_judged_by_their_number(
    home: Home, check: str, service: str, errors: int, verdict: Verdict
) -> None:
    plant(
        home, f"{service}.log",
        *(line(n, level="error", event="failed", error=f"reason {n}") for n in range(errors)),
        line(1),
    )  # fmt: skip
    found = await run_check(home, check, CHITLAQ_CHECKS_LOG_ERRORS_A_DAY="2,5")
    assert found.verdict == verdict
    assert found.values["errors"].value == errors


@pytest.mark.parametrize(
    "check",
    [*LOGS, "nginx.errors", "nginx.tls", "nginx.addresses", "nginx.limits", "nginx.statuses"],
)
async def test_missing_log_is_unknown(home: Home, check: str) -> None:
    found = await run_check(home, check)
    assert found.verdict == Verdict.UNKNOWN
    assert str(home.logs) in found.summary


async def test_pattern_is_marked_new_on_its_first_day(home: Home) -> None:
    plant(home, "search-service.log", line(level="error", event="failed", error="trouble"))
    with OpsDatabase(home) as history:
        assert await history.rows("runs", None, 1) == []

    async def seen() -> tuple[Verdict, str]:
        found = await run_check(home, "search.log")
        (table,) = (one for one in found.evidence if isinstance(one, Table))
        (row,) = table.rows
        return found.verdict, row[3]

    assert await seen() == (Verdict.WARNING, "new")
    assert await seen() == (Verdict.WARNING, "new"), "for the whole day"
    with sqlite3.connect(home.ops_database) as opened:
        opened.execute("UPDATE log_patterns SET first_seen = '2026-11-20T00:00:00.000000Z'")
    assert await seen() == (Verdict.OK, "")


async def test_new_patterns_are_unknown_without_the_operations_database(home: Home) -> None:
    plant(home, "feed-service.log", line(level="error", event="failed"))
    home.ops.write_text("in the way")
    found = await run_check(home, "feed.log")
    assert "unknown without the operations database" in found.summary


async def test_campus_behind_one_address_is_no_finding(home: Home) -> None:
    lines = [
        *(access("10.0.0.1", is_signed_in=True) for _ in range(1800)),
        *(access("10.0.0.2") for _ in range(200)),
    ]
    plant(home, "nginx-access.log", *lines)
    found = await run_check(home, "nginx.addresses")
    assert found.verdict == Verdict.OK
    assert found.values["requests"].value == len(lines)
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
    assert list(table.rows[0]) == ["1,800", "100 %", "10.0.0.1"]


@pytest.mark.parametrize(
    ("address", "public_url", "verdict"),
    [
        ("127.0.0.1", "https://chitlaq.example.edu", Verdict.WARNING),
        ("::1", "https://chitlaq.example.edu", Verdict.WARNING),
        ("10.0.0.1", "https://chitlaq.example.edu", Verdict.OK),
        ("127.0.0.1", "", Verdict.OK),
    ],
)
async def test_proxy_that_hides_members_behind_an_exempt_address_is_a_finding(
    home: Home, address: str, public_url: str, verdict: Verdict
) -> None:
    plant(home, "nginx-access.log", *(access(address, is_signed_in=True) for _ in range(1200)))
    found = await run_check(home, "nginx.addresses", CHITLAQ_PUBLIC_URL=public_url)
    assert found.verdict == verdict
    assert ("seem to come from this machine" in found.summary) == (verdict == Verdict.WARNING)
    assert "trusted_proxies" in found.remedy


@pytest.mark.parametrize(
    ("refused", "verdict"), [(10, Verdict.OK), (50, Verdict.WARNING), (400, Verdict.CRITICAL)]
)
async def test_limits_are_judged_by_the_share_that_they_refuse(
    home: Home, refused: int, verdict: Verdict
) -> None:
    plant(
        home, "nginx-access.log",
        *(access("10.0.0.1", 429, limit="signed-out") for _ in range(refused)),
        *(access("10.0.0.1", is_signed_in=True) for _ in range(1800 - refused)),
        # A connection that was refused before its first request.
        access("10.0.0.2", 429, limit="connections", method=""),
    )  # fmt: skip
    found = await run_check(home, "nginx.limits")
    assert found.verdict == verdict
    assert "the limit signed-out refused" in found.summary
    limits, addresses = [one for one in found.evidence if isinstance(one, Table)]
    assert [row[0] for row in limits.rows] == ["signed-out", "connections"]
    assert addresses.rows[0][-1] == "10.0.0.1"


@pytest.mark.parametrize("limit", ["account", "files", "address"])
async def test_refused_members_are_not_hidden_by_a_flood_of_others(home: Home, limit: str) -> None:
    plant(
        home, "nginx-access.log",
        *(access("10.0.0.1", 429, limit=limit, is_signed_in=True) for _ in range(130)),
        *(access("10.0.0.1", is_signed_in=True) for _ in range(900)),
        *(access("10.0.0.9") for _ in range(20_000)),
    )  # fmt: skip
    found = await run_check(home, "nginx.limits")
    assert found.verdict == Verdict.CRITICAL
    assert "signed-in members, 12.6 % were refused" in found.summary
    (limits, _) = [one for one in found.evidence if isinstance(one, Table)]
    assert list(limits.rows[0])[:4] == [limit, "130", "0.618 %", "12.6 %"]


@pytest.mark.parametrize(
    ("failed", "verdict"), [(0, Verdict.OK), (30, Verdict.WARNING), (100, Verdict.CRITICAL)]
)
async def test_statuses_are_judged_by_the_share_of_failures(
    home: Home, failed: int, verdict: Verdict
) -> None:
    plant(
        home, "nginx-access.log",
        *(access("10.0.0.1", 503) for _ in range(failed)),
        *(access("10.0.0.1") for _ in range(1500 - failed)),
    )  # fmt: skip
    assert (await run_check(home, "nginx.statuses")).verdict == verdict


TRAFFIC = ["nginx.statuses", "nginx.addresses", "nginx.limits"]


@pytest.mark.parametrize("check", TRAFFIC)
@pytest.mark.parametrize(
    ("hours", "verdict"), [(23.9, Verdict.OK), (18, Verdict.WARNING), (3, Verdict.UNKNOWN)]
)
async def test_log_that_covers_too_little_traffic_is_not_ok(
    home: Home, check: str, hours: float, verdict: Verdict
) -> None:
    """All kept files are full, and their first line is this old."""
    for number in (1, 0):
        name = f"nginx-access.log.{number}" if number else "nginx-access.log"
        plant(home, name, access("10.0.0.1", hours_ago=hours if number else 0), access("10.0.0.2"))
    found = await run_check(home, check, CHITLAQ_LOGS_KEEP_FILES="1")
    assert found.verdict == verdict
    assert ("read back to" in found.summary) == (verdict != Verdict.OK)


@pytest.mark.parametrize("check", TRAFFIC)
async def test_traffic_not_counted_in_time_is_unknown(
    home: Home, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    monkeypatch.setattr(analysis, "COUNT_SECONDS", -1.0)
    plant(home, "nginx-access.log", access("10.0.0.1"))
    assert (await run_check(home, check)).verdict == Verdict.UNKNOWN


@pytest.mark.parametrize("check", TRAFFIC)
async def test_benchmark_is_reported_separately_from_traffic(home: Home, check: str) -> None:
    own = [access("203.0.113.9", 503, agent=analysis.BENCHMARK_AGENT) for _ in range(3000)]
    plant(home, "nginx-access.log", access("10.0.0.1"), *own)
    found = await run_check(home, check)
    assert found.verdict == Verdict.OK
    assert found.values["requests"].value == 1
    assert "3,000 more from the benchmark" in found.summary


@pytest.mark.parametrize("check", ["feed.log", "nginx.errors", "nginx.tls"])
@pytest.mark.parametrize(("hours", "verdict"), [(23, Verdict.WARNING), (11, Verdict.UNKNOWN)])
async def test_partly_read_log_is_not_ok(
    home: Home, monkeypatch: pytest.MonkeyPatch, check: str, hours: int, verdict: Verdict
) -> None:
    monkeypatch.setattr(analysis, "READ_BYTES", 1000)
    name = "feed-service.log" if check == "feed.log" else "nginx.log"
    plant(home, name, *(line(hours * 60) for _ in range(100)), line(1))
    found = await run_check(home, check)
    assert (found.verdict, "read back to" in found.summary) == (verdict, True)


@pytest.mark.parametrize(
    ("errors", "verdict"), [(0, Verdict.OK), (2, Verdict.WARNING), (5, Verdict.CRITICAL)]
)
@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("nginx.errors", "[error] 1#1: *7 connect() failed (111: Connection refused)"),
        ("nginx.tls", "[crit] 1#1: *7 SSL_do_handshake() failed (SSL: error:0A000126)"),
    ],
)
async def test_nginx_error_log_is_judged_by_the_number_of_lines(
    home: Home, check: str, words: str, errors: int, verdict: Verdict
) -> None:
    local = f"{datetime.now().astimezone():%Y/%m/%d %H:%M:%S}"
    plant(home, "nginx.log", f"{local} [notice] 1#1: start", *[f"{local} {words}"] * errors)
    found = await run_check(home, check, CHITLAQ_CHECKS_LOG_ERRORS_A_DAY="2,5")
    assert found.verdict == verdict


async def test_errors_of_nginx_and_of_tls_are_distinguished(home: Home) -> None:
    local = datetime.now().astimezone().strftime("%Y/%m/%d %H:%M:%S")
    plant(
        home, "nginx.log",
        *(f"{local} [error] 1#1: *{n} connect() failed (111: refused)" for n in range(12)),
        *(f"{local} [crit] 1#1: *{n} SSL_do_handshake() failed (SSL: error:0A)" for n in range(3)),
    )  # fmt: skip
    errors = await run_check(home, "nginx.errors")
    assert (errors.verdict, errors.values["errors"].value) == (Verdict.WARNING, 15)
    tls = await run_check(home, "nginx.tls")
    assert (tls.verdict, tls.values["lines"].value) == (Verdict.OK, 3)
