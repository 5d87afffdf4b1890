"""A typo in the settings keeps nobody from the running stack; a restart applies what they say."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.stack.supervisor import leftovers
from tests.conftest import Member, Stack, eventually

TYPOS = {
    "TOML": "[workers\nfeed = 2\n",
    "an unknown setting": "[workers]\nfeet = 2\n",
    "a wrong type": '[workers]\nfeed = "many"\n',
    "no number": "[checks]\nload_per_core = [nan, 1.0]\n",
    "one port twice": "[ports]\nfeed = 3333\nauth = 3333\n",
    "no text": "\xff",
}
COMMANDS = (
    "doctor", "ops check host.load", "alerts", "exec redis redis-cli ping", "jobs list",
    "logs --tail 1", "mail list", "ops list", "rotate", "stats", "ps",
)  # fmt: skip


@pytest.fixture
def configure(stack: Stack) -> Iterator[Callable[[str], None]]:
    file = stack.home / "chitlaq.toml"

    def write(text: str) -> None:
        file.write_text(text, encoding="latin-1")

    yield write
    file.unlink(missing_ok=True)


@pytest.fixture
def restore(stack: Stack, configure: Callable[[str], None]) -> Iterator[None]:
    """Let what a restart has applied end with the test."""
    yield
    configure("")
    assert stack.command("restart", "feed-service").returncode == 0


@pytest.mark.parametrize("typo", TYPOS)
async def test_commands_use_the_settings_of_the_running_stack(
    stack: Stack, configure: Callable[[str], None], typo: str
) -> None:
    # Settings in the environment win over the file: leave the file the ports.
    given = {name: text for name, text in stack.environment.items() if "_PORTS_" not in name}
    shown = Stack(stack.home, given, stack.ports)
    configure(TYPOS[typo])
    for words in COMMANDS if typo == "TOML" else COMMANDS[:2]:
        answer = await asyncio.to_thread(shown.command, *words.split())
        if words in {"alerts", "stats", "ps", "ops list"}:  # They need no settings.
            assert answer.returncode == 0, answer.stderr
        elif words == "doctor":
            assert answer.returncode == 1
            assert "chitlaq.toml" in answer.stdout
        else:
            assert "chitlaq.toml" in answer.stderr, words
            assert "the settings of the running stack are used" in answer.stderr
            assert answer.returncode in {0, 3}, answer.stderr
    refused = await asyncio.to_thread(shown.command, "config", "show")
    assert refused.returncode == 1
    assert "chitlaq.toml" in refused.stderr


async def test_what_dies_during_a_typo_comes_back(
    stack: Stack, configure: Callable[[str], None]
) -> None:
    before = await asyncio.to_thread(stack.ps)
    configure(TYPOS["TOML"])
    for component in ("auth-service", "nginx"):
        os.kill(before[component]["pid"], signal.SIGKILL)

    def are_back() -> bool:
        now = stack.ps()
        return all(
            now[one]["pid"] not in {None, before[one]["pid"]} for one in ("auth-service", "nginx")
        )

    await eventually(lambda: asyncio.to_thread(lambda: are_back() and stack.is_healthy()))


@pytest.mark.usefixtures("restore")
async def test_restart_applies_the_number_of_workers_without_losing_a_request(
    stack: Stack, configure: Callable[[str], None], join: Callable[[], Awaitable[Member]]
) -> None:
    member = await join()
    statuses: list[int] = []
    # A connection that nginx closes between two requests, since it reloads, loses none.
    headers = member.headers | {"Connection": "close"}

    async def read() -> None:
        while True:
            answer = await member.client.get("/api/feed/home", headers=headers)
            statuses.append(answer.status_code)
            await asyncio.sleep(0.05)  # Below the limit of an account.

    async def twenty_more() -> None:
        wanted = len(statuses) + 20
        await eventually(lambda: reading.done() or len(statuses) > wanted)
        assert not reading.done(), reading.exception()

    def workers() -> list[str]:
        return [row["state"] for row in stack.json("ps") if row["service"] == "feed-service"]

    reading = asyncio.create_task(read())
    try:
        for number in (2, 3, 1):
            configure(f"[workers]\nfeed = {number}\n")
            answer = await asyncio.to_thread(stack.command, "restart", "feed-service")
            assert answer.returncode == 0, answer.stderr
            assert await asyncio.to_thread(workers) == ["healthy"] * number
            upstreams = (stack.home / "nginx" / "nginx.conf").read_text()
            assert upstreams.count("/feed-service.") >= number
            assert (f"feed-service.{number}.sock" in upstreams) is False
            await twenty_more()
    finally:
        reading.cancel()
    assert set(statuses) == {200}


@pytest.mark.usefixtures("restore")
async def test_workers_that_nginx_could_not_be_told_about_are_told_by_the_next_restart(
    stack: Stack, configure: Callable[[str], None], join: Callable[[], Awaitable[Member]]
) -> None:
    """Attacks the promise that nothing is left half: nginx cannot write its configuration, then is dead."""
    member = await join()
    written = stack.home / "nginx" / "nginx.conf"
    aside = written.with_name("aside.conf")

    async def restart(workers: int) -> subprocess.CompletedProcess[str]:
        configure(f"[workers]\nfeed = {workers}\n")
        return await asyncio.to_thread(stack.command, "restart", "feed-service")

    def known() -> int:
        return len(set(re.findall(r"/feed-service\.\d+\.sock", written.read_text())))

    async def is_served() -> bool:
        return (await member.get("/api/feed/home")).status_code == 200

    with refusing(written, aside):
        answer = await restart(2)
        assert answer.returncode == 1
        assert "nginx could not be told" in answer.stderr
        assert await is_served()
    assert (await restart(2)).returncode == 0
    assert known() == 2
    with refusing(written, aside):
        os.kill((await asyncio.to_thread(stack.ps))["nginx"]["pid"], signal.SIGKILL)
        assert (await restart(1)).returncode == 0
    await eventually(is_served)
    assert known() == 1
    assert {(await member.get("/api/feed/home")).status_code for _ in range(20)} == {200}


async def test_reload_that_nginx_refuses_is_said_and_leaves_nothing_half(
    stack: Stack, configure: Callable[[str], None]
) -> None:
    """A valid configuration may not take effect: nginx cannot listen on all addresses beside on one."""
    before = (await asyncio.to_thread(stack.ps))["nginx"]["pid"]
    configure('host = "0.0.0.0"\n')
    answer = await asyncio.to_thread(stack.command, "restart", "nginx")
    assert answer.returncode == 1
    assert "nginx did not take its new configuration" in answer.stderr
    assert "in use" in answer.stderr
    configure("")
    async with httpx.AsyncClient(base_url=stack.edge) as client:
        assert (await client.get("/api/feed/explore")).status_code == 200
        answer = await asyncio.to_thread(stack.command, "restart", "nginx")
        assert answer.returncode == 0, answer.stderr
        assert (await client.get("/api/feed/explore")).status_code == 200
    now = (await asyncio.to_thread(stack.ps))["nginx"]
    assert (now["pid"], now["state"]) == (before, "healthy")


@contextmanager
def refusing(file: Path, aside: Path) -> Iterator[None]:
    """Let a file be one that nobody can write."""
    file.rename(aside)
    file.mkdir()
    try:
        yield
    finally:
        file.rmdir()
        aside.rename(file)


@pytest.mark.usefixtures("restore")
async def test_secret_that_a_restart_applies_is_hidden_in_all_logs(
    stack: Stack, configure: Callable[[str], None]
) -> None:
    secret = "planted-for-a-restart"
    configure(f'[smtp]\npassword = "{secret}"\n')
    answer = await asyncio.to_thread(stack.command, "restart", "feed-service")
    assert answer.returncode == 0, answer.stderr
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await stack.sql(f"SELECT 'repeated {secret}'::int")
    log = stack.home / "logs" / "postgres.log"
    await eventually(lambda: "repeated ****" in log.read_text())
    assert secret not in log.read_text()


def test_each_process_bears_the_name_of_its_component(stack: Stack) -> None:
    for pid, component in leftovers.marked(Home(stack.home)).items():
        row = inventory.COMPONENTS.get(component)
        if row is None or row.kind == "service":
            process = psutil.Process(pid)
            assert process.name() == component
            assert " ".join(process.cmdline()).strip() == f"chitlaq {component}"
