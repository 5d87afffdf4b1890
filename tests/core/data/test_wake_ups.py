"""Jobs of a prompt kind are run at once by whoever hears of them, and by the next poll if nobody does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import msgspec
import pytest

import chitlaq
from chitlaq.core.data import jobs, named_queries, postgres
from chitlaq.core.data.jobs import Batch, BatchHandler, JobKind, Runner
from chitlaq.core.data.postgres import Database
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.data.wake_ups import WakeUps
from tests.conftest import Stack, eventually, free_ports


class Number(msgspec.Struct, frozen=True):
    number: int


PROMPT = JobKind("test_prompt", Number, batch=100, is_prompt=True)


@asynccontextmanager
async def opened(stack: Stack, client: Valkey) -> AsyncIterator[tuple[Database, WakeUps]]:
    """What a process has that writes jobs, or runs them."""
    queries = postgres.load_queries("chitlaq.core.data", "test")
    database, woken = Database(stack.dsn("postgres"), "test", queries), WakeUps(client)
    database.wake = woken.say
    try:
        yield database, woken
    finally:
        woken.close()
        await client.close()
        await database.close()


Enqueue = Callable[..., Awaitable[None]]


@asynccontextmanager
async def running(stack: Stack, client: Valkey, taken: list[int]) -> AsyncIterator[Enqueue]:
    """A process that notes the jobs it runs, and what enqueues some in another one."""

    async def take(batch: Batch[Number]) -> None:
        async with batch.completing():
            taken.append(len(batch.payloads))

    async with (
        opened(stack, client) as (other, _),
        opened(stack, client) as (database, woken),
        Runner(database, BatchHandler(PROMPT, take), wake_ups=woken).running(),
    ):

        async def enqueue(*numbers: int) -> None:
            for number in numbers:
                async with other.transaction() as session:
                    await jobs.enqueue(session, PROMPT, Number(number))

        yield enqueue


async def test_job_is_run_long_before_a_poll_and_many_share_a_batch(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "POLL_SECONDS", 600.0)
    password = (stack.home / "secrets" / "redis").read_text().strip()
    client = Valkey(f"unix://:{password}@{stack.home}/run/redis.sock")
    taken: list[int] = []

    async def have_run(number: int) -> bool:
        return sum(taken) == number

    async with running(stack, client, taken) as enqueue:
        # When it begins to hear, it looks for what it has missed. From then on it is told.
        await enqueue(0)
        await eventually(lambda: have_run(1))
        await enqueue(1)
        await eventually(lambda: have_run(2))
        taken.clear()
        began = monotonic()
        await enqueue(*range(100))
        await eventually(lambda: have_run(100))
        assert len(taken) <= 1 + (monotonic() - began) / jobs.WOKEN_SECONDS


async def test_without_valkey_a_poll_finds_the_job_and_nobody_waits(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.2)
    (nobody,) = free_ports(1)
    taken: list[int] = []

    async def has_run() -> bool:
        return sum(taken) == 3

    async with running(stack, Valkey(f"redis://127.0.0.1:{nobody}"), taken) as enqueue:
        await enqueue(1, 2, 3)
        await eventually(has_run)


def test_every_statement_that_writes_a_prompt_job_says_so() -> None:
    """The kinds are read from the statement; one of another form would be told a second late."""
    package = Path(chitlaq.__file__).parent
    found = 0
    for file in sorted((package / "services").rglob("queries.sql")):
        name = ".".join(("chitlaq", *file.parent.relative_to(package).parts))
        for query in named_queries.load(name):
            for columns in re.findall(
                r"INSERT INTO jobs\.jobs \(([^)]*)\)\s+[^']*'notify'", query.sql
            ):
                if "due_at" not in columns:
                    found += 1
                    assert "notify" in query.job_kinds, (name, query.name)
    assert found > 10
