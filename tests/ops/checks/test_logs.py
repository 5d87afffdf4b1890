"""What the logs' checks say of planted lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core import settings as configuration
from chitlaq.core.home import Home
from chitlaq.ops.checks.catalogue import CHECKS
from chitlaq.ops.checks.check import Lines, Table, Verdict
from chitlaq.ops.checks.system import System
from chitlaq.ops.routines import Result, judge
from tests.conftest import Stack
from tests.ops.checks.looking import look

NOW = datetime.now(UTC)


def line(minutes_ago: int = 5, **fields: object) -> str:
    stamp = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return json.dumps({"timestamp": stamp, "level": "info", "event": "request", **fields})


def access(address: str, status: int = 200) -> str:
    return json.dumps(
        {
            "time": NOW.isoformat(),
            "remote_addr": address,
            "status": status,
            "method": "GET",
            "route": "/api/feed/home",
            "request_time": 0.1,
        }
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
    found = await look(home, check, CHITLAQ_CHECKS_LOG_ERRORS_A_DAY="2,5")
    assert found.verdict == verdict
    assert found.values["errors"].value == errors


@pytest.mark.parametrize(
    "check", [*LOGS, "nginx.errors", "nginx.tls", "nginx.addresses", "nginx.statuses"]
)
async def test_log_that_is_not_there_is_unknown(home: Home, check: str) -> None:
    found = await look(home, check)
    assert found.verdict == Verdict.UNKNOWN
    assert str(home.logs) in found.summary


async def test_pattern_that_nobody_saw_before_is_marked_new_once_it_is_remembered(
    stack: Stack, tmp_path: Path
) -> None:
    """Against the logs and the history of a running stack."""
    home = Home(stack.home)
    settings = configuration.load(home, stack.environment)
    path = home.logs / "search-service.log"
    word = f"trouble{tmp_path.name}".replace("0", "o").replace("1", "l")
    with path.open("a") as log:
        log.write(line(level="error", event="failed", error=word) + "\n")

    async def seen() -> tuple[Result, list[str]]:
        system = System(home, settings)
        try:
            found = await judge(CHECKS["search.log"], system)
        finally:
            await system.close()
        tables = [one for one in found.evidence if isinstance(one, Table)]
        (row,) = [row for table in tables for row in table.rows if word in row[-1]]
        return found, list(row)

    found, row = await seen()
    assert found.verdict == Verdict.WARNING
    assert "new" in row
    await stack.sql(
        "UPDATE ops.log_patterns SET first_seen = now() - interval '2 days' WHERE pattern LIKE $1",
        f"%{word}%",
    )
    _, row = await seen()
    assert "new" not in row


async def test_without_postgresql_it_is_said_that_new_is_not_known(home: Home) -> None:
    plant(home, "feed-service.log", line(level="error", event="failed"))
    found = await look(home, "feed.log")
    assert "not known without PostgreSQL" in found.summary


@pytest.mark.parametrize(
    ("requests", "verdict"),
    [
        ([("10.0.0.1", 300), ("10.0.0.2", 400), ("10.0.0.3", 400)], Verdict.OK),
        ([("10.0.0.1", 700), ("10.0.0.2", 400)], Verdict.WARNING),
        ([("10.0.0.1", 1900), ("10.0.0.2", 100)], Verdict.CRITICAL),
        ([("127.0.0.1", 1900), ("10.0.0.2", 100)], Verdict.OK),
        ([("10.0.0.1", 20)], Verdict.OK),
    ],
)
async def test_address_that_asks_most_is_judged_among_strangers(
    home: Home, requests: list[tuple[str, int]], verdict: Verdict
) -> None:
    lines = [access(address) for address, times in requests for _ in range(times)]
    plant(home, "nginx-access.log", *lines)
    found = await look(home, "nginx.addresses")
    assert found.verdict == verdict
    assert found.values["requests"].value == len(lines)


@pytest.mark.parametrize(
    ("failed", "verdict"), [(0, Verdict.OK), (30, Verdict.WARNING), (100, Verdict.CRITICAL)]
)
async def test_statuses_are_judged_by_the_share_of_faults(
    home: Home, failed: int, verdict: Verdict
) -> None:
    plant(
        home, "nginx-access.log",
        *(access("10.0.0.1", 503) for _ in range(failed)),
        *(access("10.0.0.1") for _ in range(1500 - failed)),
    )  # fmt: skip
    assert (await look(home, "nginx.statuses")).verdict == verdict


async def test_errors_of_nginx_and_of_tls_are_told_apart(home: Home) -> None:
    local = datetime.now().astimezone().strftime("%Y/%m/%d %H:%M:%S")
    plant(
        home, "nginx.log",
        *(f"{local} [error] 1#1: *{n} connect() failed (111: refused)" for n in range(12)),
        *(f"{local} [crit] 1#1: *{n} SSL_do_handshake() failed (SSL: error:0A)" for n in range(3)),
    )  # fmt: skip
    errors = await look(home, "nginx.errors")
    assert (errors.verdict, errors.values["errors"].value) == (Verdict.WARNING, 15)
    tls = await look(home, "nginx.tls")
    assert (tls.verdict, tls.values["lines"].value) == (Verdict.OK, 3)
    many = await look(home, "nginx.tls", CHITLAQ_CHECKS_LOG_ERRORS_A_DAY="1,2")
    assert many.verdict == Verdict.CRITICAL


@pytest.mark.parametrize(("size", "verdict"), [(900, Verdict.OK), (1600, Verdict.WARNING)])
async def test_log_that_should_have_been_rotated_is_seen(
    home: Home, size: int, verdict: Verdict
) -> None:
    (home.logs / "feed-service.log").write_bytes(b"x" * size)
    assert (await look(home, "logs.rotation", CHITLAQ_LOGS_MAX_BYTES="1000")).verdict == verdict


async def test_rotation_without_logs_is_unknown(home: Home) -> None:
    assert (await look(home, "logs.rotation")).verdict == Verdict.UNKNOWN


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts programs of the machine on PATH, which print what was captured of the real ones."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def place(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return place


SSH = """\
2026-11-23T08:01:02+0100 vm sshd[71]: Failed password for root from 203.0.113.9 port 22 ssh2
2026-11-23T08:01:03+0100 vm sshd[72]: Invalid user admin from 203.0.113.9 port 22
2026-11-23T08:02:02+0100 vm sshd[73]: Accepted publickey for ada from 198.51.100.7 port 22 ssh2"""


@pytest.mark.parametrize(
    ("check", "lines", "limit", "verdict"),
    [
        ("security.ssh_failed", SSH, "5,10", Verdict.OK),
        ("security.ssh_failed", SSH, "2,10", Verdict.WARNING),
        ("security.ssh_failed", SSH, "1,2", Verdict.CRITICAL),
        ("security.ssh_accepted", SSH, "5,10", Verdict.OK),
        (
            "security.ssh_accepted",
            SSH.replace("publickey", "password"),
            "5,10",
            Verdict.WARNING,
        ),
    ],
)
async def test_logins_over_ssh_are_read_from_a_file_where_there_is_no_journal(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    check: str, lines: str, limit: str, verdict: Verdict,
) -> None:  # fmt: skip
    from chitlaq.ops.checks import logs, security

    monkeypatch.setattr(logs, "SYSTEMD", str(tmp_path / "no-systemd"))
    monkeypatch.setattr(security, "AUTH_LOG", tmp_path / "auth.log")
    assert (await look(home, check)).verdict == Verdict.SKIPPED
    (tmp_path / "auth.log").write_text(lines + "\n")
    found = await look(home, check, CHITLAQ_CHECKS_SSH_FAILURES_A_DAY=limit)
    assert found.verdict == verdict
    assert any(isinstance(one, Lines) and one.lines for one in found.evidence)


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        ("exit 0", Verdict.OK),
        ("for n in $(seq 12); do echo $n error; done", Verdict.WARNING),
        ("for n in $(seq 1200); do echo $n error; done", Verdict.CRITICAL),
        ("echo 'No journal files were opened' >&2; exit 1", Verdict.UNKNOWN),
    ],
)
async def test_journal_is_judged_where_there_is_one(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    programs: Callable[[str, str], None], script: str, verdict: Verdict,
) -> None:  # fmt: skip
    from chitlaq.ops.checks import logs

    monkeypatch.setattr(logs, "SYSTEMD", str(tmp_path / "no-systemd"))
    assert (await look(home, "system.journal")).verdict == Verdict.SKIPPED
    monkeypatch.setattr(logs, "SYSTEMD", str(tmp_path))
    programs("journalctl", script)
    assert (await look(home, "system.journal")).verdict == verdict


@pytest.mark.parametrize(
    ("check", "program", "script", "verdict"),
    [
        ("security.fail2ban", "fail2ban-client", "echo '`- Jail list:\tsshd, nginx'", Verdict.OK),
        ("security.fail2ban", "fail2ban-client", "echo '`- Jail list:'", Verdict.WARNING),
        ("security.fail2ban", "fail2ban-client", "echo 'no socket' >&2; exit 255", Verdict.UNKNOWN),
        ("security.audit", "ausearch", "echo '<no matches>' >&2; exit 1", Verdict.OK),
        ("security.audit", "ausearch", "echo 'type=AVC msg=audit(1): denied'", Verdict.WARNING),
        ("security.audit", "ausearch", "echo 'no permission' >&2; exit 1", Verdict.UNKNOWN),
        ("updates.all", "apt-get", "echo 'Inst a [1] (2 Debian:12/stable [amd64])'", Verdict.OK),
        ("updates.security", "apt-get", "echo 'Inst a [1] (2 Debian:12/stable [amd64])'", Verdict.OK),
        (
            "updates.security", "apt-get",
            "echo 'Inst a [1] (2 Debian-Security:12/stable-security [amd64])'", Verdict.WARNING,
        ),
        (
            "updates.security", "apt-get",
            'for n in $(seq 30); do echo "Inst a$n (2 Debian-Security:12/x [amd64])"; done',
            Verdict.CRITICAL,
        ),
        ("updates.all", "apt-get", 'for n in $(seq 60); do echo "Inst a$n (2 x)"; done', Verdict.WARNING),
        ("updates.all", "apt-get", 'for n in $(seq 600); do echo "Inst a$n (2 x)"; done', Verdict.CRITICAL),
        ("updates.all", "apt-get", "echo 'E: broken' >&2; exit 100", Verdict.UNKNOWN),
    ],
)  # fmt: skip
async def test_programs_of_the_machine_are_judged(
    home: Home, programs: Callable[[str, str], None],
    check: str, program: str, script: str, verdict: Verdict,
) -> None:  # fmt: skip
    programs(program, script)
    assert (await look(home, check)).verdict == verdict


@pytest.mark.parametrize("check", ["security.fail2ban", "security.audit", "updates.all"])
async def test_program_that_is_missing_is_skipped_and_its_package_named(
    home: Home, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    from chitlaq.ops.checks import system

    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(system, "SYSTEM_FOLDERS", "/nonexistent")
    found = await look(home, check)
    assert found.verdict == Verdict.SKIPPED
    assert "package" in found.summary
