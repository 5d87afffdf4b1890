"""Jobs run once their transaction is committed, whatever happens to their processes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core.data import jobs, postgres
from chitlaq.core.data.jobs import Batch, BatchHandler, Handler, Job, JobKind, Runner
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.data.valkey_connection import ValkeyReplyError, ValkeyUnavailableError
from chitlaq.core.telemetry import logs
from tests.conftest import Stack, eventually, free_ports


class Number(msgspec.Struct, frozen=True):
    number: int


def kind_named(name: str, **options: Any) -> JobKind[Number]:
    return JobKind(f"test_{name}", Number, **{"first_pause_seconds": 0.1} | options)


# Repeated by the processes that `workers` starts.
SLOW = kind_named("slow")
SLOW_BATCH = kind_named("slow_batch", batch=20)


async def note(job: Job, payload: Number) -> None:
    """Work for a while, then leave a row in the transaction that ends the job."""
    await asyncio.sleep(0.1)
    async with job.completing() as session:
        await session._connection.execute(
            "INSERT INTO test_effects (number) VALUES ($1)", payload.number
        )


async def note_all(batch: Batch[Number]) -> None:
    """The same for jobs that are handled at once; one of them fails."""
    await asyncio.sleep(0.1)
    async with batch.completing() as session:
        for payload in batch.payloads:
            assert payload.number != FAULTY
            await session._connection.execute(
                "INSERT INTO test_effects (number) VALUES ($1)", payload.number
            )


FAULTY = 77


def connect(dsn: str) -> Database:
    return Database(dsn, "test", postgres.load_queries("chitlaq.core.data", "test"))


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[Database]:
    """The pool of a service that may run jobs whose kind begins with ``test_``."""
    await stack.sql("CREATE TABLE test_effects (number integer)")
    await stack.sql("GRANT SELECT, INSERT ON test_effects TO chitlaq_feed")
    await stack.sql("CREATE POLICY test ON jobs.jobs TO chitlaq_feed USING (kind LIKE 'test_%')")
    pool = connect(stack.dsn("chitlaq_feed"))
    yield pool
    await pool.close()
    await stack.sql("DELETE FROM jobs.jobs WHERE kind LIKE 'test_%'")
    await stack.sql("DROP POLICY test ON jobs.jobs")
    await stack.sql("DROP TABLE test_effects")


async def enqueue(database: Database, kind: JobKind[Number], *numbers: int) -> list[UUID]:
    async with database.transaction() as session:
        return [await jobs.enqueue(session, kind, Number(number)) for number in numbers]


async def rows(stack: Stack, kind: JobKind[Number]) -> list[Any]:
    return await stack.sql("SELECT * FROM jobs.jobs WHERE kind = $1 ORDER BY id", kind.name)


async def effects(stack: Stack) -> Counter[int]:
    return Counter(row["number"] for row in await stack.sql("SELECT number FROM test_effects"))


@asynccontextmanager
async def worker(stack: Stack) -> AsyncIterator[asyncio.subprocess.Process]:
    """A separate process that runs `SLOW` jobs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.core.data.test_jobs", stack.dsn("chitlaq_feed")
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def run_worker(dsn: str) -> None:
    database = connect(dsn)
    async with Runner(database, Handler(SLOW, note), BatchHandler(SLOW_BATCH, note_all)).running():
        await asyncio.Event().wait()


async def test_job_exists_only_if_its_transaction_commits(stack: Stack, database: Database) -> None:
    kind = kind_named("rolled_back")

    async def enqueue_and_fail() -> None:
        async with database.transaction() as session:
            await jobs.enqueue(session, kind, Number(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await enqueue_and_fail()
    assert await rows(stack, kind) == []
    await enqueue(database, kind, 2)
    (row,) = await rows(stack, kind)
    assert (row["state"], json.loads(row["payload"])) == ("waiting", {"number": 2})


async def test_no_job_is_lost_or_done_twice_when_workers_are_killed(
    stack: Stack, database: Database
) -> None:
    """Attacks the promise that a killed process's jobs are taken over and take effect once."""
    async with worker(stack) as first, worker(stack):
        await enqueue(database, SLOW, *range(200))

        async def is_under_way() -> bool:
            return sum((await effects(stack)).values()) >= 20

        await eventually(is_under_way)
        first.kill()

        async def is_done() -> bool:
            return not await rows(stack, SLOW)

        await eventually(is_done)
    assert await effects(stack) == Counter(range(200))


async def test_faulty_job_of_a_batch_is_found_and_the_others_are_done_once_when_workers_are_killed(
    stack: Stack, database: Database
) -> None:
    """Attacks the promise that a batch takes effect as a whole, and that what fails in it fails alone."""
    async with worker(stack) as first, worker(stack):
        await enqueue(database, SLOW_BATCH, *range(300))

        async def is_under_way() -> bool:
            return sum((await effects(stack)).values()) >= 40

        await eventually(is_under_way)
        first.kill()

        async def only_the_faulty_is_left() -> bool:
            return [json.loads(row["payload"]) for row in await rows(stack, SLOW_BATCH)] == [
                {"number": FAULTY}
            ]

        await eventually(only_the_faulty_is_left)
    assert await effects(stack) == Counter(set(range(300)) - {FAULTY})
    (row,) = await rows(stack, SLOW_BATCH)
    # Its worker may have been ended while it tried once more.
    assert row["state"] in {"waiting", "running"}
    assert row["reason"] == "AssertionError"


async def test_batch_of_which_a_job_was_lost_has_no_effect_but_that_of_the_others(
    stack: Stack, database: Database
) -> None:
    """Attacks the fence between processes: one job of a batch belongs to another process now."""
    kind = kind_named("lost_of_batch", batch=10)
    sizes: list[int] = []

    async def work(batch: Batch[Number]) -> None:
        if not sizes:
            lost = batch.jobs[0].id
            await stack.sql("UPDATE jobs.jobs SET attempts = attempts + 1 WHERE id = $1", lost)
        sizes.append(len(batch.jobs))
        await note_all(batch)

    await enqueue(database, kind, 0, 1, 2)
    async with Runner(database, BatchHandler(kind, work)).running():
        await eventually(lambda: len(sizes) == 4)
    assert sizes == [3, 1, 1, 1]
    assert len(await effects(stack)) == 2
    (row,) = await rows(stack, kind)
    assert (row["state"], row["attempts"]) == ("running", 2)


async def test_job_with_an_expired_lease_has_no_effect(stack: Stack, database: Database) -> None:
    async def work(job: Job, payload: Number) -> None:
        await stack.sql("UPDATE jobs.jobs SET attempts = attempts + 1 WHERE id = $1", job.id)
        await note(job, payload)
        pytest.fail("another process has the job")

    kind = kind_named("slow_lease")
    (job_id,) = await enqueue(database, kind, 1)
    await run_once(database, kind, work, job_id)
    assert not await effects(stack)
    (row,) = await rows(stack, kind)
    assert (row["attempts"], row["state"]) == (2, "running")


async def run_once(database: Database, kind: JobKind[Number], work: Any, job_id: UUID) -> None:
    """Run a job in the process that enqueued it as running."""
    async with database.session() as session:
        await session._connection.execute(
            "UPDATE jobs.jobs SET state = 'running', attempts = 1, due_at = jobs.lease() WHERE id = $1",
            job_id,
        )
    runner = Runner(database, Handler(kind, work))
    await runner.run_now(kind, job_id, Number(1), patience_seconds=20)


@pytest.mark.parametrize("ending", ["retried", "released", "postponed"])
async def test_process_that_lost_its_lease_has_no_effect_after_attempts_were_set_back(
    stack: Stack, database: Database, ending: str
) -> None:
    """Attacks the fence between processes: what makes attempts not count must not let an old one pass."""
    kind = kind_named("fenced", max_attempts=2)
    other = connect(stack.dsn("chitlaq_feed"))

    async def work(job: Job, payload: Number) -> None:
        # The lease has ended, and meanwhile another process has had the job and given it back.
        async with other.session() as session:
            taken = "UPDATE jobs.jobs SET due_at = now() WHERE id = $1"
            await session._connection.execute(taken, job.id)
            (row,) = await session.rows("claim_jobs", kind.name, 1, 1)
            if ending == "released":
                await session.execute("release_jobs", [job.id], [row["attempts"]])
            else:
                count = int(ending == "postponed")
                await session.execute(
                    "put_back_job", job.id, row["attempts"], "waiting", 0.0, "x", count
                )
        if ending == "retried":
            await asyncio.to_thread(stack.command, "jobs", "retry", str(job.id))
        async with other.session() as session:
            (row,) = await session.rows("claim_jobs", kind.name, 1, 1)
            assert row["counted"] == {"retried": 1, "released": 2, "postponed": 2}[ending]
        await note(job, payload)
        pytest.fail("another process has the job")

    (job_id,) = await enqueue(database, kind, 1)
    try:
        await run_once(database, kind, work, job_id)
        assert not await effects(stack)
        (row,) = await rows(stack, kind)
        assert (row["state"], row["attempts"]) == ("running", 3)
    finally:
        await other.close()


async def test_job_that_fails_after_its_lease_stays_with_the_process_that_took_it(
    stack: Stack, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attacks the fence: neither the failure nor the end of the first process touches the job."""
    monkeypatch.setattr(jobs, "DRAIN_SECONDS", 1.0)
    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.2)
    has_lost = asyncio.Event()

    async def work(job: Job, payload: Number) -> None:
        await stack.sql(
            "UPDATE jobs.jobs SET attempts = attempts + 1, due_at = now() + interval '1 hour'"
            " WHERE id = $1",
            job.id,
        )
        has_lost.set()
        if payload.number == 1:
            raise ValueError
        await asyncio.Event().wait()

    kind = kind_named("taken", max_attempts=1)
    for number in (1, 2):
        await enqueue(database, kind, number)
        async with Runner(database, Handler(kind, work)).running():
            await asyncio.wait_for(has_lost.wait(), 30)
        left = await stack.sql(
            "SELECT state, attempts, uncounted, due_at > now() + interval '50 minutes'"
            " FROM jobs.jobs WHERE kind = $1",
            kind.name,
        )
        assert [tuple(row) for row in left] == [("running", 2, 0, True)] * number
        has_lost.clear()


async def test_discarding_shows_asks_and_deletes_only_what_is_dead(
    stack: Stack, database: Database
) -> None:
    kind = kind_named("discarded")
    dead, _waiting = await enqueue(database, kind, 1, 2)
    await stack.sql("UPDATE jobs.jobs SET state = 'dead', reason = 'broken' WHERE id = $1", dead)
    words = ("jobs", "discard", "--kind", kind.name)
    answer = await asyncio.to_thread(stack.command, *words)
    assert str(dead) in answer.stdout
    assert "broken" in answer.stdout
    assert "Nothing was deleted" in answer.stderr
    assert len(await rows(stack, kind)) == 2
    answer = await asyncio.to_thread(stack.command, *words, "--yes")
    assert answer.stdout.endswith("1 job deleted.\n"), answer.stderr
    assert [row["state"] for row in await rows(stack, kind)] == ["waiting"]
    answer = await asyncio.to_thread(stack.command, "jobs", "discard", str(dead), "--yes")
    assert (answer.returncode, "is waiting or dead" in answer.stderr) == (1, True)


async def test_long_job_keeps_its_lease(
    stack: Stack, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.2)
    leases = set()

    async def work(job: Job, _payload: Number) -> None:
        for _ in range(10):
            (row,) = await stack.sql("SELECT due_at, attempts FROM jobs.jobs WHERE id = $1", job.id)
            leases.add(row["due_at"])
            await asyncio.sleep(0.2)

    kind = kind_named("long")
    await enqueue(database, kind, 1)
    async with Runner(database, Handler(kind, work)).running():
        await eventually(lambda: is_gone(stack, kind))
    assert len(leases) > 2


async def test_job_that_is_being_completed_keeps_no_other_from_its_lease(
    stack: Stack, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attacks the promise that a job which is being worked on is not begun by another process."""
    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.2)
    is_completing, is_seen = asyncio.Event(), asyncio.Event()
    leases = set()

    async def work(job: Job, payload: Number) -> None:
        if payload.number == 0:
            async with job.completing():
                is_completing.set()
                await is_seen.wait()
            return
        await is_completing.wait()
        for _ in range(10):
            (row,) = await stack.sql("SELECT due_at FROM jobs.jobs WHERE id = $1", job.id)
            leases.add(row["due_at"])
            await asyncio.sleep(0.2)
        is_seen.set()

    kind = kind_named("completing")
    await enqueue(database, kind, 0, 1)
    async with Runner(database, Handler(kind, work)).running():
        await eventually(lambda: is_gone(stack, kind))
    assert len(leases) > 2


async def is_gone(stack: Stack, kind: JobKind[Number]) -> bool:
    return not await rows(stack, kind)


async def test_at_most_the_limit_runs_at_once_over_all_processes(
    stack: Stack, database: Database
) -> None:
    running, most = 0, 0

    async def work(_job: Job, _payload: Number) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1

    kind = kind_named("limited", limit=3)
    pools = [connect(stack.dsn("chitlaq_feed")) for _ in range(3)]
    await enqueue(database, kind, *range(40))
    try:
        async with (
            Runner(pools[0], Handler(kind, work)).running(),
            Runner(pools[1], Handler(kind, work)).running(),
            Runner(pools[2], Handler(kind, work)).running(),
        ):
            await eventually(lambda: is_gone(stack, kind))
    finally:
        for pool in pools:
            await pool.close()
    assert most == 3


async def test_failing_job_becomes_dead_with_its_reason_and_can_be_retried(
    stack: Stack, database: Database
) -> None:
    is_mended = False

    async def work(_job: Job, payload: Number) -> None:
        if not is_mended:
            raise ValueError(f"no \x00 room for {payload.number}")

    kind = kind_named("failing", max_attempts=3)
    (job_id,) = await enqueue(database, kind, 7)
    async with Runner(database, Handler(kind, work)).running():

        def dead() -> Any:
            return stack.json("jobs", "list", "--kind", kind.name, "--state", "dead")

        (row,) = await eventually(lambda: asyncio.to_thread(dead))
        assert (row["id"], row["attempts"]) == (str(job_id), 3)
        assert row["reason"] == "no  room for 7"
        (backlog,) = await stack.sql("SELECT * FROM jobs.backlog WHERE kind = $1", kind.name)
        assert (backlog["waiting"], backlog["dead"]) == (0, 1)

        is_mended = True
        answer = await asyncio.to_thread(stack.command, "jobs", "retry", "--kind", kind.name)
        assert answer.stdout == "1 job will run again.\n", answer.stderr
        await eventually(lambda: is_gone(stack, kind))
    answer = await asyncio.to_thread(stack.command, "jobs", "retry", str(job_id))
    assert answer.returncode == 1
    assert (
        answer.stderr == f"chitlaq: No job {job_id} is waiting or dead: see `chitlaq jobs list`.\n"
    )


async def test_process_that_stops_while_it_counts_holds_up_no_other_kind(
    stack: Stack, database: Database
) -> None:
    """Attacks the promise that kinds do not wait for each other."""
    limited, free = kind_named("counted", limit=1), kind_named("not_counted")
    stopped = await asyncpg.connect(stack.dsn("chitlaq_feed"))
    transaction = stopped.transaction()
    await transaction.start()
    query = postgres.load_queries("chitlaq.core.data", "test")["try_lock_kind"]
    assert await stopped.fetchval(query.sql, limited.name)
    await enqueue(database, limited, 1)
    async with Runner(database, Handler(limited, note), Handler(free, note)).running():
        await asyncio.sleep(2 * jobs.POLL_SECONDS)
        await enqueue(database, free, 2)
        await eventually(lambda: is_gone(stack, free), seconds=10)
        assert len(await rows(stack, limited)) == 1
        await transaction.rollback()
        await eventually(lambda: is_gone(stack, limited))
    await stopped.close()


async def cancel_itself() -> None:
    raise asyncio.CancelledError


async def never_end() -> None:
    await asyncio.Event().wait()


async def read_what_is_missing() -> None:
    Path("/does/not/exist").read_bytes()


async def fail_with_a_name_that_is_not_utf_8() -> None:
    raise ValueError("no \udcff")


async def exit_now() -> None:
    raise SystemExit(3)


async def interrupt() -> None:
    raise KeyboardInterrupt


async def end_as_a_generator() -> None:
    raise GeneratorExit


async def fail_in_a_group() -> None:
    raise BaseExceptionGroup("several", [KeyboardInterrupt()])


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


async def fail_unspeakably() -> None:
    raise UnspeakableError


async def fail_with_a_secret() -> None:
    raise ValueError("535 planted-secret is wrong")


async def fail_as_if_valkey_refused_it() -> None:
    raise ValkeyReplyError("WRONGTYPE it is a list")


async def fail_as_if_valkey_were_down() -> None:
    raise ValkeyUnavailableError("no answer")


async def fail_as_if_postgres_were_down() -> None:
    raise PostgresUnavailableError("PostgreSQL failed: invalid input for query argument $1")


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (exit_now, "its handler raised SystemExit"),
        (interrupt, "its handler raised KeyboardInterrupt"),
        (end_as_a_generator, "its handler raised GeneratorExit"),
        (fail_in_a_group, "its handler raised BaseExceptionGroup"),
        (fail_unspeakably, "UnspeakableError"),
        (fail_with_a_secret, "535 ******** is wrong"),
        (fail_as_if_valkey_refused_it, "WRONGTYPE it is a list"),
        (fail_as_if_valkey_were_down, "no answer"),
        (fail_as_if_postgres_were_down, "PostgreSQL failed: invalid input for query argument $1"),
        (cancel_itself, "its handler cancelled itself"),
        (never_end, "not done within 0.3 s"),
        (read_what_is_missing, "[Errno 2] No such file or directory: '/does/not/exist'"),
        (fail_with_a_name_that_is_not_utf_8, "no \\udcff"),
    ],
)
@pytest.mark.parametrize("is_completing", [False, True])
async def test_fault_of_a_handler_is_counted_whatever_it_is(
    stack: Stack,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[], Awaitable[None]],
    reason: str,
    is_completing: bool,
) -> None:
    """Attacks the promise that only an outage is forgiven, and that a job stops no other."""
    monkeypatch.setattr(logs, "_hidden", ())
    logs.hide(["planted-secret"])

    async def work(job: Job, payload: Number) -> None:
        if payload.number == 2:
            await note(job, payload)
        else:
            async with job.completing() if is_completing else nullcontext():
                await fail()

    # What is late must not be the job that does nothing wrong, however busy the machine is.
    is_late = fail is never_end
    kind = kind_named("faulty", max_attempts=1, timeout_seconds=0.3 if is_late else 60.0)
    other = kind_named("faultless") if is_late else kind
    (job_id,) = await enqueue(database, kind, 1)
    await enqueue(database, other, 2)
    password = (stack.home / "secrets" / "redis").read_text().strip()
    client = Valkey(f"unix://:{password}@{stack.home}/run/redis.sock")
    handlers = Handler(kind, work), Handler(other, work)
    async with Runner(database, *handlers, client=client).running():

        async def is_dead() -> bool:
            left = [(row["id"], row["state"], row["reason"]) for row in await rows(stack, kind)]
            return left == [(job_id, "dead", reason)]

        await eventually(is_dead)
        await eventually(lambda: effects(stack))
    assert await effects(stack) == Counter([2])
    await client.close()


async def test_kind_that_cannot_be_claimed_holds_up_no_other(
    stack: Stack, database: Database
) -> None:
    """Such as one whose declaration is wrong: the others of the process are claimed in the same turn."""
    broken, other = kind_named("a-unclaimable", limit="many"), kind_named("b-claimable")
    await enqueue(database, broken, 1)
    await enqueue(database, other, 2)
    async with Runner(database, Handler(broken, note), Handler(other, note)).running():
        await eventually(lambda: is_gone(stack, other))
    assert await effects(stack) == Counter([2])
    assert [row["state"] for row in await rows(stack, broken)] == ["waiting"]
    await stack.sql("DELETE FROM jobs.jobs WHERE kind = $1", broken.name)


async def test_job_that_kills_its_process_becomes_dead(stack: Stack, database: Database) -> None:
    kind = kind_named("deadly", max_attempts=2)
    (job_id,) = await enqueue(database, kind, 1)
    await stack.sql("UPDATE jobs.jobs SET state = 'running', attempts = 2 WHERE id = $1", job_id)
    async with Runner(database, Handler(kind, note)).running():

        async def is_dead() -> bool:
            (row,) = await rows(stack, kind)
            return bool(row["state"] == "dead" and "process" in row["reason"])

        await eventually(is_dead)
    assert not await effects(stack)


async def test_attempts_do_not_count_while_a_server_is_down(
    stack: Stack, database: Database
) -> None:
    attempts = 0

    async def work(_job: Job, _payload: Number) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ValkeyUnavailableError("not there")

    kind = kind_named("patient", max_attempts=1)
    await enqueue(database, kind, 1)
    (nobody,) = free_ports(1)
    client = Valkey(f"redis://127.0.0.1:{nobody}")
    async with Runner(database, Handler(kind, work), client=client).running():
        await eventually(lambda: is_gone(stack, kind))
    assert attempts == 3


async def test_unknown_kinds_and_newer_versions_wait_and_are_counted(
    stack: Stack, database: Database
) -> None:
    old = kind_named("versioned")
    newer = kind_named("versioned", version=2)
    unknown = kind_named("unknown")
    await enqueue(database, newer, 1)
    await enqueue(database, unknown, 2)
    await enqueue(database, old, 3)
    async with Runner(database, Handler(old, note)).running():

        async def is_done() -> bool:
            return set(await effects(stack)) == {3}

        await eventually(is_done)
        await asyncio.sleep(jobs.POLL_SECONDS)
    (left,) = await rows(stack, newer)
    assert (left["version"], left["attempts"], left["state"]) == (2, 0, "waiting")
    backlog = await stack.sql("SELECT kind, waiting FROM jobs.backlog WHERE kind LIKE 'test_%'")
    assert {row["kind"]: row["waiting"] for row in backlog} == {newer.name: 1, unknown.name: 1}


async def test_shutdown_finishes_running_jobs_and_releases_slow_ones(
    stack: Stack, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "DRAIN_SECONDS", 0.5)
    started = asyncio.Event()

    async def work(job: Job, payload: Number) -> None:
        started.set()
        await asyncio.sleep(payload.number)
        await note(job, payload)

    kind = kind_named("drained")
    await enqueue(database, kind, 0, 60)
    async with Runner(database, Handler(kind, work)).running():
        await started.wait()
    assert await effects(stack) == Counter([0])
    (row,) = await rows(stack, kind)
    assert (row["state"], row["attempts"] - row["uncounted"]) == ("waiting", 0)
    assert json.loads(row["payload"]) == {"number": 60}


async def test_looking_for_due_jobs_reads_one_of_each_kind_however_many_wait(
    stack: Stack, database: Database
) -> None:
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id)"
        " SELECT 'test_many_' || n % 3, '{}', '-' FROM generate_series(1, 6000) AS n"
    )
    await stack.sql("ANALYZE jobs.jobs")
    query = postgres.load_queries("chitlaq.core.data", "test")["due_kinds"]
    kinds = [f"test_many_{number}" for number in range(3)]
    (row,) = await stack.sql(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {query.sql}", kinds, [1, 1, 1], role="chitlaq_feed"
    )
    (scan,) = scans_of_jobs(json.loads(row[0])[0]["Plan"])
    assert (scan["Index Name"], scan["Actual Rows"], scan["Actual Loops"]) == ("jobs_due", 1, 3)


def scans_of_jobs(plan: Any) -> list[Any]:
    below = [scan for child in plan.get("Plans", []) for scan in scans_of_jobs(child)]
    return [*below, *([plan] if plan.get("Relation Name") == "jobs" else [])]


async def test_role_sees_only_jobs_of_its_own_kinds(stack: Stack, database: Database) -> None:
    kind = kind_named("of_feed")
    (job_id,) = await enqueue(database, kind, 1)
    for role in ("chitlaq_auth", "chitlaq_feed"):
        seen = await stack.sql("SELECT id FROM jobs.jobs WHERE id = $1", job_id, role=role)
        gone = await stack.sql(
            "UPDATE jobs.jobs SET reason = 'x' WHERE id = $1 RETURNING id", job_id, role=role
        )
        assert len(seen) == len(gone) == (role == "chitlaq_feed")
    statement = "INSERT INTO jobs.jobs (id, kind, payload, request_id) VALUES ($1, $2, '{}', '-')"
    for role in ("chitlaq_auth", "chitlaq_ops", "chitlaq_search", "chitlaq_websocket"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stack.sql(statement, uuid4(), kind.name, role=role)


@given(
    attempts=st.integers(1, 10_000),
    chance=st.floats(0, 1),
    first=st.floats(0.1, 60),
    longest=st.floats(60, 7200),
)
def test_pauses_double_up_to_the_limit_with_jitter(
    attempts: int, chance: float, first: float, longest: float
) -> None:
    kind = JobKind("any", Number, first_pause_seconds=first, longest_pause_seconds=longest)
    middle = kind.pause_seconds(attempts, 0.5)
    assert middle == min(first * 2.0 ** min(attempts - 1, 60), longest)
    assert 0.75 * middle <= kind.pause_seconds(attempts, chance) <= 1.25 * middle * (1 + 1e-9)
    assert kind.pause_seconds(attempts + 1, chance) >= kind.pause_seconds(attempts, chance)


if __name__ == "__main__":
    asyncio.run(run_worker(sys.argv[1]))
