"""What a module of tests leaves behind is named there, not by a test of another module that only then fails.

All modules of a worker use one stack and one process. What is written past the services, by SQL, may be
wrong for checks that look at all rows.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.conftest import Stack, shared

FAULTS = """
SELECT id::text, format('counts %s %s, not %s', stored, counter, counted) FROM feed.counter_faults(1000000)
UNION ALL SELECT id::text, 'is ' || fault || ' in search''s index: ' || kind FROM search.index_faults(1000000)
UNION ALL SELECT name, 'is an identity provider that each sign-in page shows' FROM auth.identity_providers
"""
PATIENCE_SECONDS = 10.0
"""For what the services are still doing."""
SHOWN = 10
TASK_SECONDS = 5.0
"""For tasks that were told to end."""

_connections: dict[str, psycopg.Connection] = {}
_named: set[tuple[str, ...]] = set()
_users: dict[pytest.Session, set[Path]] = {}


@pytest.fixture(scope="module", autouse=True)
def nothing_wrong_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _process()
    yield
    assert _process() == before, (
        "what pins or slows its process is undone by the test that calls it"
    )
    if request.session not in _users:
        items = request.session.items
        _users[request.session] = {one.path for one in items if "stack" in one.fixturenames}  # type: ignore[attr-defined]
    if request.path in _users[request.session]:
        left = [fault for stack in shared for fault in _left(stack)]
        assert not left, "\n".join(["this module leaves in the shared stack:", *left[:SHOWN]])


@pytest.fixture(scope="session")
async def loop_of_tests() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


@pytest.fixture(autouse=True)
def no_task_is_left(loop_of_tests: asyncio.AbstractEventLoop) -> Iterator[None]:
    """A test ends the tasks that it has begun: one that goes on acts on what later tests see."""
    before = asyncio.all_tasks(loop_of_tests)
    yield
    left = {one for one in asyncio.all_tasks(loop_of_tests) - before if not _is_of_browser(one)}
    if left:
        loop_of_tests.run_until_complete(asyncio.wait(left, timeout=TASK_SECONDS))
    named = [repr(one) for one in left if not one.done()]
    for one in left:
        one.cancel()
    assert not named, "\n".join(["this test leaves tasks that go on:", *named])


def _is_of_browser(task: asyncio.Task[object]) -> bool:
    """Whether Playwright ends it with its page, such as a request that a test holds."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "playwright" in code.co_filename


def _process() -> tuple[set[int], int]:
    """What stacks and commands that are started later would inherit."""
    return os.sched_getaffinity(0), psutil.Process().nice()


def _left(stack: Stack) -> list[str]:
    """What is wrong and stays so; each is named once."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while found := [one for one in _faults(stack) if one not in _named]:
        if time.monotonic() > deadline:
            _named.update(found)
            break
        time.sleep(0.2)
    return [" ".join(one) for one in found]


def _faults(stack: Stack) -> list[tuple[str, ...]]:
    dsn = stack.dsn()
    if dsn not in _connections or _connections[dsn].closed:
        _connections[dsn] = psycopg.connect(dsn, autocommit=True)
    try:
        return _connections[dsn].execute(FAULTS).fetchall()
    except psycopg.OperationalError:  # a test has restarted it
        _connections.pop(dsn).close()
        return [("PostgreSQL", "does not answer")]
