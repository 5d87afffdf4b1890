"""Changed settings are taken while members go on: no request is lost, and what it takes is said before."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings, Tokens
from chitlaq.stack.supervisor import control, reloading
from tests.conftest import Member, Stack, eventually


@pytest.fixture
def configure(stack: Stack) -> Iterator[Callable[[str], None]]:
    file = stack.home / "chitlaq.toml"

    def write(text: str) -> None:
        file.write_text(text)

    yield write
    file.unlink(missing_ok=True)
    assert stack.command("reload", "--yes").returncode == 0


async def reload(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(stack.command, "reload", *words)


def pids(stack: Stack) -> dict[str, int]:
    return {name: row["pid"] for name, row in stack.ps().items()}


async def test_reload_replaces_who_reads_what_changed_and_loses_no_request(
    stack: Stack, configure: Callable[[str], None], join: Callable[[], Awaitable[Member]]
) -> None:
    member = await join()
    statuses: list[int] = []
    # A connection that nginx closes between two requests, since it reloads, loses none.
    headers = member.headers | {"Connection": "close"}

    async def read() -> None:
        while True:
            for path in ("/api/feed/home", "/api/auth/status"):
                answer = await member.client.get(path, headers=headers)
                statuses.append(answer.status_code)
            await asyncio.sleep(0.1)  # Below the limit of an account.

    before = pids(stack)
    edge = (stack.home / "nginx" / "nginx.conf").read_text()
    configure("[tokens]\naccess_seconds = 600\n[operations]\npublic = true\n")
    shown = await reload(stack)
    assert shown.returncode == 0, shown.stderr
    assert "tokens.access_seconds" in shown.stdout
    assert "Nothing was changed." in shown.stderr
    assert pids(stack) == before

    reading = asyncio.create_task(read())
    try:
        await eventually(lambda: reading.done() or len(statuses) > 4)
        done = await reload(stack, "--yes")
        assert done.returncode == 0, done.stderr
        wanted = len(statuses) + 4
        await eventually(lambda: reading.done() or len(statuses) > wanted)
        assert not reading.done(), reading.exception()
    finally:
        reading.cancel()
    assert set(statuses) == {200}
    now = pids(stack)
    assert {name for name in now if now[name] != before[name]} == {
        "auth-service",
        "ops-service",
    }
    assert (stack.home / "nginx" / "nginx.conf").read_text() != edge
    again = await reload(stack, "--yes")
    assert "Every component runs with the settings as they are." in again.stdout


async def test_signal_reloads_as_the_command_does(
    stack: Stack, configure: Callable[[str], None]
) -> None:
    configure("[tokens]\naccess_seconds = 500\n")
    before = pids(stack)["auth-service"]
    supervisor = control.supervisor_pid(Home(stack.home))
    assert supervisor is not None
    os.kill(supervisor, signal.SIGHUP)
    await eventually(
        lambda: (
            not control.reload(Home(stack.home), control.Reload())
            and pids(stack)["auth-service"] != before
        )
    )


async def test_change_that_needs_a_start_is_refused_whole(
    stack: Stack, configure: Callable[[str], None]
) -> None:
    configure('prometheus_url = "http://127.0.0.1:9"\n[tokens]\naccess_seconds = 400\n')
    before = pids(stack)
    refused = await reload(stack, "--yes")
    assert refused.returncode == 1
    assert "prometheus_url can change only while everything is stopped" in refused.stderr
    assert pids(stack) == before
    rows = await asyncio.to_thread(stack.json, "config", "diff")
    takes = {row["setting"]: row["takes"] for row in rows}
    at = f"CHITLAQ_HOME={shlex.quote(str(stack.home))} chitlaq"
    assert takes["prometheus_url"] == f"{at} down && {at} up"
    assert takes["tokens.access_seconds"] == f"{at} reload  # auth-service"


async def test_who_is_started_alone_stays_with_what_all_others_have(
    stack: Stack, configure: Callable[[str], None]
) -> None:
    """An upgrade, a crash or a restart while the file already names the database of tomorrow."""
    configure('database_url = "postgresql://chitlaq@127.0.0.1:9/elsewhere"\n')
    before = pids(stack)
    os.kill(before["search-service"], signal.SIGKILL)
    restarted = await asyncio.to_thread(stack.command, "restart", "auth-service")
    assert restarted.returncode == 0, restarted.stderr

    def is_back() -> bool:
        return pids(stack)["search-service"] not in {None, before["search-service"]}

    await eventually(lambda: asyncio.to_thread(lambda: is_back() and stack.is_healthy()))
    rows = await asyncio.to_thread(stack.json, "config", "diff")
    (takes,) = [row["takes"] for row in rows if row["setting"] == "database_url"]
    assert takes.endswith(" chitlaq up")


async def test_what_nobody_has_seen_is_not_applied(
    stack: Stack, configure: Callable[[str], None]
) -> None:
    """Another operator has saved the file again before the first one has answered."""
    configure("[tokens]\naccess_seconds = 600\n")
    home, before = Home(stack.home), pids(stack)
    seen = await asyncio.to_thread(control.reload, home, control.Reload())
    configure("[tokens]\naccess_seconds = 60\n")
    with pytest.raises(OperatorError, match="others than those that were shown"):
        await asyncio.to_thread(control.reload, home, control.Reload(is_dry=False, agreed=seen))
    assert pids(stack) == before


async def test_invalid_settings_change_nothing(
    stack: Stack, configure: Callable[[str], None]
) -> None:
    configure("[tokens]\naccess_seconds = -1\n")
    before = pids(stack)
    refused = await reload(stack, "--yes")
    assert refused.returncode == 1
    assert "tokens.access_seconds" in refused.stderr
    assert pids(stack) == before


def test_component_that_another_change_would_stop_is_not_reloaded() -> None:
    changes = [
        reloading.Change("tls.key", "", "k", "reload", ["nginx", "ops-service"]),
        reloading.Change("programs.nginx", "", "/n", "restart", ["nginx"]),
    ]
    assert reloading.taken_now(changes) == ["ops-service"]
    assert reloading.by_hand(changes) == ["nginx"]


def test_only_who_is_behind_is_named() -> None:
    old, new = Settings(), Settings(tokens=Tokens(access_seconds=60))
    names = {"supervisor": old, "auth-service": new, "feed-service": old}
    assert reloading.changes(names, new) == []
    (change,) = reloading.changes({**names, "auth-service": old}, new)
    assert msgspec.structs.asdict(change) == {
        "setting": "tokens.access_seconds", "before": "900", "after": "60", "means": "reload",
        "components": ["auth-service"],
    }  # fmt: skip
