"""The whole stack where an operator may put it: a folder with any name, an address of either version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from chitlaq.core.host import endpoints, quoting
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import judge
from tests.conftest import Stack, become_member, eventually, start_stack, stop_stack
from tests.ops.checks.conftest import system_of

FOLDER = "a 'b' \"c\" \\ é%20"
LOOKED_AT = [
    "services.processes", "gateway.health", "gateway.api", "feed.health", "feed.home", "search.users",
    "auth.status", "websocket.ping", "websocket.round_trip", "database.ready", "redis.ready",
    "backup.archive", "host.reachability", "statuspage.fresh", "logs.rotation", "host.sockets",
]  # fmt: skip


@pytest.fixture
async def odd() -> AsyncIterator[Stack]:
    """A stack in such a folder that listens on IPv6 alone, with an archive, and pictures beside it."""
    usual = start_stack(CHITLAQ_HOST="::1", CHITLAQ_BACKUPS_ARCHIVE="on")
    home = usual.home / FOLDER
    home.mkdir()
    environment = usual.environment | {
        "CHITLAQ_HOME": str(home),
        "CHITLAQ_BACKUPS_FOLDER": str(home / "the backups"),
    }
    stack = replace(usual, home=home, environment=environment)
    try:
        await asyncio.to_thread(stack.up)
        yield stack
    finally:
        stack.command("down")
        stop_stack(usual)


async def test_whole_stack_runs_in_a_folder_of_any_name_and_on_ipv6(odd: Stack) -> None:
    port = odd.ports["edge"]
    async with httpx.AsyncClient(base_url=f"http://[::1]:{port}", timeout=20) as client:
        member = await become_member(odd, client, "someone")
        await member.write("A post.")
        assert len(await member.home()) == 1, "Valkey has it, too"
        system = system_of(
            odd,
            CHITLAQ_CHECKS_REACHABLE=f"[::1]:{port}",
            CHITLAQ_CHECKS_ANSWER_SECONDS="60,90",
            CHITLAQ_CHECKS_ROUND_TRIP_SECONDS="60,90",
        )

        async def are_well() -> bool:
            found = await asyncio.gather(*(judge(CHECKS[one], system) for one in LOOKED_AT))
            assert not {one.check: one.summary for one in found if one.verdict is not Verdict.OK}
            return True

        try:
            await eventually(are_well)
        finally:
            await system.close()
    said = await asyncio.to_thread(odd.command, "backup", "run", "full")
    assert said.returncode == 0, said.stderr
    drilled = await asyncio.to_thread(odd.command, "backup", "drill")
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr


def test_each_format_is_quoted_as_its_program_reads_it() -> None:
    word = "a 'b' \"c\" \\d"
    assert quoting.nginx(word) == '"a \'b\' \\"c\\" \\\\d"'
    assert quoting.valkey(word) == '"a \'b\' \\"c\\" \\\\d"'
    assert quoting.postgres(word) == "'a ''b'' \"c\" \\\\d'"
    assert quoting.libpq(word) == "'a \\'b\\' \"c\" \\\\d'"
    assert quoting.logrotate("/a 'b' \"c\"/*.log") == '"/a \'b\' \\"c\\"/*.log"'
    assert quoting.ini("100%") == "100%%"
    for refused in ("a\nb", "a\0b"):
        with pytest.raises(ValueError, match="cannot be printed"):
            quoting.valkey(refused)
    with pytest.raises(ValueError, match="a variable"):
        quoting.nginx(Path("/srv/$HOME"))


def test_endpoints_are_read_as_they_are_written() -> None:
    for host, port, word in (
        ("::1", 22, "[::1]:22"),
        ("2001:db8::7", 443, "[2001:db8::7]:443"),
        ("192.0.2.1", 22, "192.0.2.1:22"),
        ("mail.example.edu", 25, "mail.example.edu:25"),
    ):
        assert endpoints.written(host, port) == word
        assert endpoints.parsed(word) == (host, port)
    for wrong in (
        "::1:22",
        "::1",
        "host",
        "host:",
        ":22",
        "host:0",
        "host:65536",
        "[host]:22",
        "a b:1",
    ):
        with pytest.raises(ValueError, match="no HOST:PORT"):
            endpoints.parsed(wrong)
