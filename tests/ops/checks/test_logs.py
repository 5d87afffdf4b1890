"""The checks of logs on planted lines."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.logs import analysis
from chitlaq.ops.checks.model import Section, Table, Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result
from chitlaq.ops.database.database import OpsDatabase
from tests.ops.checks.planted_logs import access, line, plant
from tests.ops.checks.run_check import run_check


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "logs").mkdir()
    return Home(tmp_path)


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


@pytest.mark.parametrize("is_long", [False, True], ids=["whole", "from the end"])
async def test_line_that_is_not_text_counts(
    home: Home, monkeypatch: pytest.MonkeyPatch, *, is_long: bool
) -> None:
    """The log of a component, too, has what strangers sent; one such line hides no other."""
    if is_long:
        monkeypatch.setattr(analysis, "READ_BYTES", 1_000)
    odd = (
        line(level="error", event="refused", error="caf").encode().replace(b"caf", b"caf\xe9 \xff")
    )
    early = [line(1430).encode()] * (100 if is_long else 1)
    (home.logs / "feed-service.log").write_bytes(b"\n".join([*early, *[odd] * 3, b""]))
    assert (await run_check(home, "feed.log")).values["errors"].value == 3


CHOSEN = (
    "SSL_do_handshake() failed", 'x" while TLS "y', ", client: certificate",
    "FATAL:  the database system is starting up", "# WARNING Memory overcommit must be enabled",
    "deadlock detected", 'x" still waiting for "y', "LOG:  duration: 9000.1 ms",
    "asyncpg.exceptions.QueryCanceledError: canceling statement due to statement timeout",
    'x" connection timed out "y', '","level":"error',
)  # fmt: skip


@pytest.mark.parametrize("chosen", CHOSEN)
async def test_what_others_chose_is_not_read_as_the_words_of_a_program(
    home: Home, chosen: str
) -> None:
    """It neither makes an error of something else, nor hides one."""
    now = datetime.now().astimezone()
    plant(
        home, "nginx.log",
        f'{now:%Y/%m/%d %H:%M:%S} [error] 1#1: *7 open() "/srv/{chosen}" failed (2: No such file),'
        f' client: 192.0.2.1, server: _, request: "GET /{chosen} HTTP/1.1", host: "{chosen}"',
    )  # fmt: skip
    plant(
        home, "postgres.log",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}.000 UTC [1] a ERROR:  invalid input syntax for type"
        f' uuid: "{chosen}"',
    )  # fmt: skip
    plant(
        home, "auth-service.log",
        line(2, event="login attempt", result="failure", account=chosen),
        line(1, level="warning", event="mail refused", address=chosen),
    )  # fmt: skip
    for check, wanted in (
        ("nginx.errors", {"errors": 1}), ("nginx.tls", {"lines": 0}),
        ("database.log", {"errors": 1, "slow": 0}), ("auth.log", {"errors": 0, "slow": 0}),
    ):  # fmt: skip
        found = await run_check(home, check)
        assert {name: found.values[name].value for name in wanted} == wanted, check
        assert not [one for one in found.evidence if one.title == "connections"], check


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("database.log", "feed LOG:  duration: 612.5 ms  execute x: SELECT 1"),
        ("database.log", "feed LOG:  process 7 still waiting for ShareLock on transaction 9"),
        ("database.log", "feed ERROR:  deadlock detected"),
        ("database.log", "feed ERROR:  canceling statement due to lock timeout"),
        ("feed.log", {"error": "canceling statement due to statement timeout"}),
        ("feed.log", {"exception": "Traceback\n x\nasyncpg.exceptions.DeadlockDetectedError:"
                                   " deadlock detected\nDETAIL:  Process 7 waits."}),
    ],
)  # fmt: skip
async def test_waiting_is_told_by_what_the_program_says(
    home: Home, check: str, words: str | dict[str, str]
) -> None:
    if isinstance(words, str):
        words = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}.000 UTC [1] {words}"
        plant(home, "postgres.log", words)
    else:
        plant(home, "feed-service.log", line(level="error", event="it failed", **words))
    assert (await run_check(home, check)).values["slow"].value == 1


@pytest.mark.parametrize(
    ("service", "check", "words"),
    [
        ("postgres", "database.log", "UTC [1] @ FATAL:  the database system is starting up"),
        ("postgres", "database.log", 'UTC [1] a@b c ERROR:  relation "yoyo_lock" already exists'),
    ],
)
async def test_harmless_line_is_no_error_of_the_program_that_says_it(
    home: Home, service: str, check: str, words: str
) -> None:
    plant(home, f"{service}.log", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}.000 {words}")
    assert (await run_check(home, check)).values["errors"].value == 0


def errors(minutes_ago: float) -> list[str]:
    return [line(minutes_ago, level="error", event="it broke", duration=9.0) for _ in range(5)]


def nginx_errors(minutes_ago: float) -> list[str]:
    stamp = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).astimezone()
    return [
        f"{stamp:%Y/%m/%d %H:%M:%S} [error] 1#1: *1 SSL_do_handshake() failed (SSL: error)"
        for _ in range(5)
    ]


def failures(minutes_ago: float, status: int, limit: str = "") -> list[str]:
    return 1000 * [access("203.0.113.9", status, minutes_ago / 60, limit=limit)]


TROUBLES: dict[str, tuple[str, Callable[[float], list[str]]]] = {
    **{check: (f"{service}.log", errors) for check, service in LOGS.items()},
    "nginx.errors": ("nginx.log", nginx_errors),
    "nginx.tls": ("nginx.log", nginx_errors),
    "nginx.statuses": ("nginx-access.log", partial(failures, status=503)),
    "nginx.limits": ("nginx-access.log", partial(failures, status=429, limit="account")),
}
OF_OTHERS = {"nginx.addresses", "system.journal"}
"""The one judges nothing that ends; the other is judged as the logs of components are."""
AN_OUTAGE = (9.0, 8.0, 7.0, 6.0)
AGAIN_AND_AGAIN = (126.0, 96.0, 66.0, 36.0, 6.0)
"""In minutes ago."""


def test_every_check_of_a_days_log_is_known_to_say_what_ended() -> None:
    of_logs = {
        one.id
        for one in CHECKS.values()
        if one.section is Section.LOGS and "the last 24 hours" in one.looks_at
    }
    assert of_logs == TROUBLES.keys() | OF_OTHERS


@pytest.mark.parametrize("check", TROUBLES)
async def test_outage_is_over_five_minutes_after_its_end_and_what_comes_again_is_not(
    home: Home, check: str
) -> None:
    """Nothing is red five minutes after the mend; the sentence says when it ended, and the day is told."""
    file, written = TROUBLES[check]
    early = [access("203.0.113.9", 200, 23.9)] if file == home.access_log.name else [line(1430)]

    async def judged(*minutes_ago: float) -> Result:
        plant(home, file, *early, *(one for at in minutes_ago for one in written(at)))
        return await run_check(home, check, CHITLAQ_CHECKS_LOG_ERRORS_A_DAY="3,5")

    def ended() -> str:
        return f"ended at {datetime.now().astimezone() - timedelta(minutes=6):%H:%M}"

    first = ended()
    over = await judged(*AN_OUTAGE)
    assert over.verdict is Verdict.OK, over
    assert first in over.summary or ended() in over.summary, over.summary
    for lasting in (await judged(*AGAIN_AND_AGAIN), await judged(*AN_OUTAGE, 1.0)):
        assert lasting.verdict is Verdict.CRITICAL, lasting
        assert "ended" not in lasting.summary
    late = await judged(*AGAIN_AND_AGAIN[:2])
    assert (late.verdict, "ended" in late.summary) == (Verdict.OK, True), late
