"""Another version takes over while members go on, and gives way by itself if it turns out bad."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import chitlaq
from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.release import Release
from tests.conftest import Member, Stack, eventually
from tests.faults import test_chat
from tests.other_versions import LATER, later_version
from tests.services.websocket.chat.history import faults

Join = Callable[[], Awaitable[Member]]

SERVE, BEGIN = "core/http/server.py", "    config = uvicorn.Config("
EXITS = """
    if service == "search-service":
        raise SystemExit(3)
"""
FAILS = """
    if service == "feed-service":
        sound = application

        async def application(scope, receive, send):
            if scope["type"] == "http" and scope["path"] not in {"/live", "/ready", "/metrics"}:
                await send({"type": "http.response.start", "status": 500, "headers": []})
                await send({"type": "http.response.body", "body": b""})
            else:
                await sound(scope, receive, send)

"""
EXITS_LATER = """
    if service == "search-service":
        import threading

        threading.Timer(2, os._exit, [3]).start()
"""


@pytest.fixture
def release(stack: Stack) -> Iterator[Release]:
    """What runs before, and runs again afterwards."""
    home = Home(stack.home)
    before = control.running_release(home)
    assert before is not None
    yield before
    now = control.running_release(home)
    if now and now.folder != before.folder:
        control.ask(home, control.Upgrade(before, 1))


async def upgrade(
    stack: Stack, version: dict[str, str], watch: str = "1"
) -> subprocess.CompletedProcess[str]:
    command = ("upgrade", "--yes", "--watch", watch)
    return await asyncio.to_thread(stack.command, *command, env=version)


async def bring_back(stack: Stack, release: Release) -> None:
    await asyncio.to_thread(control.ask, Home(stack.home), control.Upgrade(release, 0))


def versions(stack: Stack) -> set[str]:
    found = {name: row["version"] for name, row in stack.ps().items() if row["version"]}
    assert {row.name for row in inventory.SERVICES} <= found.keys()
    return set(found.values())


class Load:
    """What a member wrote, and what all requests were answered."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.answers: Counter[int] = Counter()


@asynccontextmanager
async def load(join: Join) -> AsyncIterator[Load]:
    """A member writes, reads and searches until the block ends; each request is waited for."""
    member, found, is_over = await join(), Load(), asyncio.Event()
    # A connection that nginx closes between two requests, since it reloads, loses none.
    member.headers["Connection"] = "close"

    async def ask(number: int) -> None:
        text = f"while versions change {number}"
        answer = await member.post("/api/posts", {"text": text})
        found.answers[answer.status_code] += 1
        if answer.status_code == 201:
            found.written.append(answer.json()["id"])
        for path in ("/api/feed/home", "/api/auth/status", "/api/search/users?q=any"):
            answer = await member.get(path)
            found.answers[answer.status_code] += 1

    async def go_on() -> None:
        for number in itertools.count():
            if is_over.is_set():
                return
            await ask(number)
            await asyncio.sleep(0.1)

    going = asyncio.create_task(go_on())
    try:
        await eventually(lambda: going.done() or len(found.written) > 2)
        yield found
    finally:
        is_over.set()
        await going


async def assert_each_once(stack: Stack, load: Load) -> None:
    (row,) = await stack.sql(
        "SELECT count(*) AS kept, count(DISTINCT text) AS different FROM feed.posts WHERE author_id ="
        " (SELECT author_id FROM feed.posts WHERE id = $1)",
        load.written[0],
    )
    assert row["kept"] == row["different"] == len(load.written)


async def test_other_version_takes_over_and_gives_back_and_members_notice_nothing(
    stack: Stack, join: Join, release: Release, tmp_path: Path
) -> None:
    talking = [await join(), await join()]
    async with load(join) as asked, test_chat.load(stack, [talking], [None]) as (record, _):
        answer = await upgrade(stack, later_version(tmp_path), "0")
        assert answer.returncode == 0, answer.stderr
        assert "feed-service to become 999.0.0" in answer.stderr
        assert versions(stack) == {LATER}
        written = len(asked.written)
        await eventually(lambda: len(asked.written) > written)
        await bring_back(stack, release)
        assert versions(stack) == {chitlaq.__version__}
    assert asked.answers.keys() == {200, 201}
    await assert_each_once(stack, asked)
    assert list(faults(record)) == []
    (newest,) = [one for one in stack.json("ops", "actions") if one["action"] == "upgrade"][:1]
    assert newest["succeeded"]
    assert newest["target"].startswith(LATER)


async def test_version_that_fails_requests_gives_way_by_itself(
    stack: Stack, join: Join, release: Release, tmp_path: Path
) -> None:
    async with load(join) as asked:
        answer = await upgrade(stack, later_version(tmp_path, "", (SERVE, BEGIN, FAILS + BEGIN)))
        assert answer.returncode == 1
        assert "feed-service failed" in answer.stderr
        assert f"All runs {chitlaq.__version__} again." in answer.stderr
        assert versions(stack) == {chitlaq.__version__}
        asked.answers.clear()
        written = len(asked.written)
        await eventually(lambda: len(asked.written) > written + 2)
    # The first may have been asked before.
    assert asked.answers[500] <= 1
    await assert_each_once(stack, asked)
    assert stack.is_healthy()


@pytest.mark.long
@pytest.mark.parametrize(
    ("broken", "said"), [(EXITS, "exited (exit code 3)"), (EXITS_LATER, "exited")]
)
async def test_version_whose_process_exits_gives_way_and_members_notice_nothing(
    stack: Stack, join: Join, release: Release, tmp_path: Path, broken: str, said: str
) -> None:
    async with load(join) as asked:
        answer = await upgrade(stack, later_version(tmp_path, "", (SERVE, BEGIN, broken + BEGIN)))
        assert answer.returncode == 1
        assert said in answer.stderr
        assert versions(stack) == {chitlaq.__version__}
    assert stack.is_healthy()
    if broken == EXITS:
        assert asked.answers.keys() == {200, 201}
    await assert_each_once(stack, asked)


async def test_same_folder_is_refused(stack: Stack) -> None:
    answer = await asyncio.to_thread(stack.command, "upgrade", "--yes")
    assert answer.returncode == 1
    assert "already" in answer.stderr
