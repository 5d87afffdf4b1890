"""Another version takes over while members go on, and gives way by itself if it turns out bad."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import subprocess
import tarfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

import chitlaq
from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.monitoring.exporter import exporter
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import judge
from chitlaq.stack.supervisor import control, leftovers
from chitlaq.stack.supervisor.release import Release
from tests.conftest import Member, Stack, become_member, eventually, start_stack, stop_stack
from tests.faults import test_chat
from tests.ops.checks.conftest import system_of
from tests.other_versions import LATER, later_version
from tests.services.websocket.chat.history import faults

Join = Callable[[], Awaitable[Member]]

SERVE, BEGIN = "core/http/server.py", "    config = uvicorn.Config("
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
EXITS = """
    if service == "search-service":
        raise SystemExit(3)

"""
EXITS_LATER = """
    if service == "search-service":
        import threading

        threading.Timer(2, os._exit, [3]).start()

"""
HANGS_LATER = """
    if service == "search-service":
        import signal, threading

        threading.Timer(2, os.kill, [os.getpid(), signal.SIGSTOP]).start()

"""
IS_NEVER_READY = """
    if service == "search-service":
        sound = application

        async def application(scope, receive, send):
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b""})
            else:
                await sound(scope, receive, send)

"""
LAST_RELEASED = "f7ce2746"
"""The commit of the version before."""


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
    """Bring the services to what ran before."""
    await asyncio.to_thread(control.ask, Home(stack.home), control.Upgrade(release, 0))


def versions(stack: Stack) -> set[str]:
    found = {name: row["version"] for name, row in stack.ps().items() if row["version"]}
    assert {row.name for row in inventory.SERVICES} <= found.keys()
    return set(found.values())


async def judged_versions(stack: Stack) -> tuple[Verdict, str]:
    """What the check says of the versions that run."""
    system = system_of(stack)
    try:
        result = await judge(CHECKS["services.versions"], system)
    finally:
        await system.close()
    return result.verdict, result.summary


def differing(stack: Stack) -> set[str]:
    """The components of another version than the supervisor's, as ops-service measures them."""
    (found,) = [
        one
        for one in exporter.components(Home(stack.home))
        if one.name == "component_version_differs"
    ]
    assert {row.name for row in inventory.SERVICES} <= {
        sample.labels["component"] for sample in found.samples
    }
    return {sample.labels["component"] for sample in found.samples if sample.value}


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
        # Which of them are named is chance: each is looked at now and then.
        assert "to become 999.0.0" in answer.stderr
        assert versions(stack) == {LATER}
        written = len(asked.written)
        await eventually(lambda: len(asked.written) > written)
        said = f"the services run {LATER}, the supervisor {chitlaq.__version__}"
        assert await judged_versions(stack) == (Verdict.WARNING, said)
        assert differing(stack) == {row.name for row in inventory.SERVICES}
        await bring_back(stack, release)
        assert versions(stack) == {chitlaq.__version__}
    assert differing(stack) == set()
    assert await judged_versions(stack) == (Verdict.OK, f"all run {chitlaq.__version__}")
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
    ("broken", "said", "is_noticed"),
    [
        (EXITS, "The new search-service exited (exit code 3); the old one keeps running", False),
        (IS_NEVER_READY, "The new search-service was not ready within 60 s", False),
        (EXITS_LATER, "search-service exited (exit code 3)", True),
        (HANGS_LATER, "search-service was unresponsive", True),
    ],
)
async def test_version_whose_process_does_not_live_gives_way_by_itself(
    stack: Stack,
    join: Join,
    release: Release,
    tmp_path: Path,
    broken: str,
    said: str,
    is_noticed: bool,
) -> None:
    """What is found before it takes over, members do not notice."""
    async with load(join) as asked:
        later = later_version(tmp_path, "", (SERVE, BEGIN, broken + BEGIN))
        answer = await upgrade(stack, later, "20")
        assert answer.returncode == 1
        assert said in answer.stderr
        assert "All runs" in answer.stderr
        assert versions(stack) == {chitlaq.__version__}
        written = len(asked.written)
        await eventually(lambda: len(asked.written) > written + 2)
    assert is_noticed or asked.answers.keys() == {200, 201}, asked.answers
    await assert_each_once(stack, asked)
    await eventually(stack.is_healthy)


@pytest.fixture
async def own(name: Callable[[], str], tmp_path: Path) -> AsyncIterator[tuple[Stack, Join]]:
    """A stack whose database the test may change; it does not run yet."""
    stack = start_stack()
    try:
        async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:

            async def join() -> Member:
                return await become_member(stack, client, name())

            yield stack, join
    finally:
        stop_stack(stack)


@pytest.mark.long
async def test_version_that_adds_to_the_database_comes_and_goes_and_loses_nothing(
    own: tuple[Stack, Join], tmp_path: Path
) -> None:
    stack, join = own
    await asyncio.to_thread(stack.up)
    before = control.running_release(Home(stack.home))
    assert before is not None
    later = later_version(
        tmp_path, "ALTER TABLE feed.posts ADD COLUMN later text NOT NULL DEFAULT 'x'"
    )
    talking = [await join(), await join()]
    async with load(join) as asked, test_chat.load(stack, [talking], [None]) as (record, _):
        answer = await upgrade(stack, later)
        assert answer.returncode == 0, answer.stderr
        assert versions(stack) == {LATER}
        await bring_back(stack, before)
        assert versions(stack) == {chitlaq.__version__}
    assert asked.answers.keys() == {200, 201}
    await assert_each_once(stack, asked)
    assert list(faults(record)) == []
    assert await stack.sql("SELECT later FROM feed.posts LIMIT 1")


@pytest.mark.long
async def test_last_released_version_and_this_one_replace_each_other_under_load(
    own: tuple[Stack, Join], tmp_path: Path
) -> None:
    """Its supervisor cannot replace services yet; ours starts its services, and it works beside ours."""
    stack, join = own
    (tmp_path / "released").mkdir()
    archive = subprocess.run(
        ["git", "archive", LAST_RELEASED, "src/chitlaq"], capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip("the history is not here")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as opened:
        opened.extractall(tmp_path / "released", filter="data")
    folder = tmp_path / "released" / "src"
    released = {"PYTHONPATH": str(folder)}
    await asyncio.to_thread(stack.up, env=released)
    refused = await upgrade(stack, {})
    assert refused.returncode == 1
    assert "cannot replace services by another one" in refused.stderr
    stopped = await asyncio.to_thread(stack.command, "down", env=released)
    assert stopped.returncode == 0, stopped.stderr
    await asyncio.to_thread(stack.up)
    ours = control.running_release(Home(stack.home))
    assert ours is not None
    paths = os.pathsep.join(filter(None, [str(folder), ours.variables.get("PYTHONPATH")]))
    theirs = msgspec.structs.replace(
        ours,
        version=LAST_RELEASED,
        folder=str(folder / "chitlaq"),
        variables=ours.variables | {"PYTHONPATH": paths},
    )
    talking = [await join(), await join()]
    async with load(join) as asked, test_chat.load(stack, [talking], [None]) as (record, _):
        await bring_back(stack, theirs)
        assert versions(stack) == {LAST_RELEASED}
        written = len(asked.written)
        await eventually(lambda: len(asked.written) > written + 2)
        await bring_back(stack, ours)
        assert versions(stack) == {chitlaq.__version__}
    assert asked.answers.keys() == {200, 201}
    await assert_each_once(stack, asked)
    assert list(faults(record)) == []


@pytest.mark.long
async def test_stack_can_be_stopped_while_versions_change(
    own: tuple[Stack, Join], tmp_path: Path
) -> None:
    stack, _ = own
    await asyncio.to_thread(stack.up)
    running = asyncio.create_task(upgrade(stack, later_version(tmp_path), "60"))
    await eventually(lambda: LATER in versions(stack))
    stopped = await asyncio.to_thread(stack.command, "down")
    assert stopped.returncode == 0, stopped.stderr
    assert (await running).returncode == 1
    assert not leftovers.marked(Home(stack.home))


async def test_same_folder_is_refused(stack: Stack) -> None:
    answer = await asyncio.to_thread(stack.command, "upgrade", "--yes")
    assert answer.returncode == 1
    assert "already" in answer.stderr
