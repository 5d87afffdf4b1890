"""PostgreSQL and Valkey: healthy, near their limits, waiting on locks, frozen, or absent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import SimpleNamespace

import asyncpg
import httpx
import pytest

from chitlaq.core.data import valkey
from chitlaq.core.installation.home import Home
from chitlaq.ops.checks import databases
from chitlaq.ops.checks.model import Table, Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result, judge
from chitlaq.ops.checks.sources.system import SystemView
from tests.conftest import Stack, eventually
from tests.disasters.disasters import postgres_read_only, valkey_full
from tests.ops.checks.conftest import RunOnStack, answering, frozen

POSTGRESQL = (
    "database.ready", "database.clock", "database.connections", "database.size", "database.slow_statements",
    "database.locks", "database.activity", "database.transaction_ids", "database.cache",
    "database.dead_rows",
)  # fmt: skip
VALKEY = ("redis.ready", "redis.memory", "redis.clients", "redis.stats")
UNSEEN = dict.fromkeys((*POSTGRESQL, *VALKEY), Verdict.UNKNOWN) | {
    "database.ready": Verdict.CRITICAL,
    "redis.ready": Verdict.CRITICAL,
}
"""What each says of a server that does not answer: that it is down is known, and nothing else."""


@pytest.mark.parametrize("off", [90.0, -90.0])
async def test_clock_that_differs_from_postgresql_s_is_critical(
    run_on_stack: RunOnStack, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    assert (await run_on_stack("database.clock")).verdict is Verdict.OK
    ours = SimpleNamespace(time=lambda: time.time() + off, perf_counter=time.perf_counter)
    monkeypatch.setattr(databases, "time", ours)
    result = await run_on_stack("database.clock")
    assert result.verdict is Verdict.CRITICAL
    assert 80 < result.values["difference"].value <= 91


@asynccontextmanager
async def session(stack: Stack, role: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.dsn(role))
    try:
        yield connection
    finally:
        connection.terminate()


async def found(
    run_on_stack: RunOnStack, check: str, verdict: Verdict, said: str, **variables: str
) -> Result:
    """Wait until a check gives a verdict with a summary that contains some words."""

    async def is_found() -> Result:
        result = await run_on_stack(check, **variables)
        assert (result.verdict, said in result.summary) == (verdict, True), result.summary
        return result

    return await eventually(is_found)


def rows(result: Result) -> list[dict[str, str]]:
    (table,) = result.evidence
    assert isinstance(table, Table)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


# --- servers that are down, or something else


async def all_found(run_on_stack: RunOnStack, port: str) -> list[Result]:
    """The outcome of every check on PostgreSQL and Valkey."""
    urls = {
        "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/chitlaq",
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
    }
    return await asyncio.gather(*(run_on_stack(check, **urls) for check in UNSEEN))


async def test_servers_that_are_down_are_critical_and_their_values_unknown(
    run_on_stack: RunOnStack, nobody: str
) -> None:
    results = await all_found(run_on_stack, nobody)
    assert {result.check: result.verdict for result in results} == UNSEEN
    assert not any("itself failed" in result.summary for result in results)


async def test_web_server_on_the_databases_port_is_critical(run_on_stack: RunOnStack) -> None:
    with answering(b"<h1>It works!</h1>") as port:
        results = await all_found(run_on_stack, port)
    assert {result.check: result.verdict for result in results} == UNSEEN
    assert not any("itself failed" in result.summary for result in results)


async def test_hanging_server_is_critical_within_the_checks_timeout(
    stack: Stack, system: SystemView
) -> None:
    """Even if it was healthy a moment ago and connections are open."""
    for check in ("database.ready", "redis.ready"):
        assert (await judge(CHECKS[check], system)).verdict is not Verdict.CRITICAL
    with frozen(stack, "postgres"), frozen(stack, "redis"):
        results = await asyncio.gather(*(judge(CHECKS[check], system) for check in UNSEEN))
    assert {result.check: result.verdict for result in results} == UNSEEN
    assert "did not answer within" in results[0].summary
    after = await asyncio.gather(*(judge(CHECKS[check], system) for check in VALKEY))
    assert not any(result.verdict is Verdict.UNKNOWN for result in after), "and it comes back"


# --- PostgreSQL


@pytest.mark.parametrize("check", ["database.ready", "redis.ready"])
@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [("60,90", Verdict.OK), ("0,60", Verdict.WARNING), ("0,0", Verdict.CRITICAL)],
)
async def test_response_time_of_a_server_is_judged(
    run_on_stack: RunOnStack, check: str, thresholds: str, verdict: Verdict
) -> None:
    await found(
        run_on_stack, check, verdict, "answered in ", CHITLAQ_CHECKS_ANSWER_SECONDS=thresholds
    )


async def test_connections_near_the_limit_are_a_warning_and_then_critical(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    async with AsyncExitStack() as taken:
        for _ in range(60):
            await taken.enter_async_context(session(stack))
        for thresholds, verdict in (
            ("0.98,0.99", Verdict.OK),
            ("0.5,0.99", Verdict.WARNING),
            ("0.2,0.5", Verdict.CRITICAL),
        ):
            result = await run_on_stack(
                "database.connections", CHITLAQ_CHECKS_CONNECTIONS_RATIO=thresholds
            )
            assert result.verdict is verdict, result.summary
            assert "of 120 in use" in result.summary
            assert rows(result)[0]["role"] == "postgres", "who holds most is named first"


async def test_no_connection_left_is_critical(stack: Stack, run_on_stack: RunOnStack) -> None:
    async with AsyncExitStack() as taken:

        async def is_full_and_told() -> bool:
            # A service may close one meanwhile.
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    await taken.enter_async_context(session(stack, "chitlaq"))
            result = await run_on_stack("database.connections")
            assert result.verdict is Verdict.CRITICAL
            assert "no connection left" in result.summary
            return (await run_on_stack("database.ready")).verdict is Verdict.CRITICAL

        await eventually(is_full_and_told)
    await found(run_on_stack, "database.connections", Verdict.OK, "in use")


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [("1e12,1e13", Verdict.OK), ("1e6,1e13", Verdict.WARNING), ("1e5,1e6", Verdict.CRITICAL)],
)
async def test_size_of_the_database_is_judged_by_its_thresholds(
    run_on_stack: RunOnStack, thresholds: str, verdict: Verdict
) -> None:
    result = await run_on_stack("database.size", CHITLAQ_CHECKS_DATABASE_SIZE_BYTES=thresholds)
    assert result.verdict is verdict
    assert rows(result)[0]["table"] in result.summary


@pytest.fixture(scope="module")
async def empty(stack: Stack) -> AsyncIterator[str]:
    """A new database on the same server: no tables, no extension, hardly read."""
    await stack.sql("CREATE DATABASE never_used")
    password = (stack.home / "secrets" / "postgres-postgres").read_text().strip()
    yield f"postgresql://postgres:{password}@127.0.0.1:{stack.ports['postgres']}/never_used"
    await stack.sql("DROP DATABASE never_used WITH (FORCE)")


@pytest.mark.parametrize(
    ("check", "verdict", "said"),
    [
        ("database.size", Verdict.UNKNOWN, "no tables"),
        ("database.slow_statements", Verdict.SKIPPED, "pg_stat_statements"),
        ("database.cache", Verdict.SKIPPED, "too few to judge"),
        ("database.dead_rows", Verdict.OK, "no table is large enough"),
    ],
)
async def test_unavailable_database_values_are_not_invented(
    run_on_stack: RunOnStack, empty: str, check: str, verdict: Verdict, said: str
) -> None:
    await found(run_on_stack, check, verdict, said, DATABASE_URL=empty)


async def test_repeatedly_slow_statement_is_found(stack: Stack, run_on_stack: RunOnStack) -> None:
    async with session(stack) as connection:
        await connection.execute("SELECT pg_stat_statements_reset()")
        for _ in range(2):
            await connection.execute("SELECT pg_sleep(0.3) AS a_slow_statement")
    for thresholds, verdict in (
        ("30,60", Verdict.OK),
        ("0.3,60", Verdict.WARNING),
        ("0.1,0.3", Verdict.CRITICAL),
    ):
        result = await found(
            run_on_stack,
            "database.slow_statements",
            verdict,
            "slowest mean time",
            CHITLAQ_CHECKS_STATEMENT_SECONDS=thresholds,
        )
        assert "a_slow_statement" in rows(result)[0]["statement"]
        assert rows(result)[0]["calls"] == "2"
    await stack.sql("SELECT pg_stat_statements_reset()")


async def test_statement_slow_only_once_is_ignored(stack: Stack, run_on_stack: RunOnStack) -> None:
    async with session(stack) as connection:
        await connection.execute("SELECT pg_stat_statements_reset()")
        await connection.execute("SELECT pg_sleep(0.3) AS once_by_hand")
    result = await run_on_stack(
        "database.slow_statements", CHITLAQ_CHECKS_STATEMENT_SECONDS="0.3,60"
    )
    assert result.verdict is Verdict.OK
    assert not any("once_by_hand" in row["statement"] for row in rows(result))


async def test_lock_wait_is_judged_by_its_length_and_names_the_holder(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    await found(run_on_stack, "database.locks", Verdict.OK, "no session is waiting")
    take = "SELECT pg_advisory_xact_lock(4711)"
    async with session(stack) as holder, session(stack) as waiter:
        async with holder.transaction():
            await holder.execute(take)
            waiting = asyncio.create_task(waiter.execute(take))
            for thresholds, verdict in (
                ("600,900", Verdict.OK),
                ("0.01,600", Verdict.WARNING),
                ("0.01,0.02", Verdict.CRITICAL),
            ):
                result = await found(
                    run_on_stack,
                    "database.locks",
                    verdict,
                    "1 session waiting",
                    CHITLAQ_CHECKS_LOCK_WAIT_SECONDS=thresholds,
                )
            holding, table = result.evidence
            assert isinstance(holding, Table)
            assert holding.rows[0][-1] == f"chitlaq ops do kill {holder.get_server_pid()}"
            assert isinstance(table, Table)
            row = dict(zip(table.columns, table.rows[0], strict=True))
            assert row["process"] == str(waiter.get_server_pid())
            assert row["waits for"] == str(holder.get_server_pid())
            assert row["statement"] == take
        await waiting
    await found(run_on_stack, "database.locks", Verdict.OK, "no session is waiting")


async def test_open_transaction_is_judged_by_its_age(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    async with session(stack) as forgotten, forgotten.transaction():
        await forgotten.execute("SELECT 'forgotten'")
        for thresholds, verdict in (
            ("600,900", Verdict.OK),
            ("0.01,600", Verdict.WARNING),
            ("0.01,0.02", Verdict.CRITICAL),
        ):
            result = await found(
                run_on_stack,
                "database.activity",
                verdict,
                "oldest transaction open for ",
                CHITLAQ_CHECKS_TRANSACTION_SECONDS=thresholds,
            )
        mine = [r for r in rows(result) if r["process"] == str(forgotten.get_server_pid())]
        assert [row["state"] for row in mine] == ["idle in transaction"]


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [("0.01,0.001", Verdict.OK), ("1.01,0.01", Verdict.WARNING), ("1.02,1.01", Verdict.CRITICAL)],
)
async def test_cache_hit_ratio_is_judged(
    stack: Stack, run_on_stack: RunOnStack, thresholds: str, verdict: Verdict
) -> None:
    read = "DO $$ BEGIN FOR n IN 1..300 LOOP PERFORM count(*) FROM pg_attribute; END LOOP; END $$"
    await stack.sql(read)
    await found(
        run_on_stack,
        "database.cache",
        verdict,
        "blocks were found in memory",
        CHITLAQ_CHECKS_CACHE_HIT_RATIO=thresholds,
    )


async def test_dead_rows_are_judged_by_their_share(stack: Stack, run_on_stack: RunOnStack) -> None:
    async def delete(upto: int) -> None:
        await stack.sql("DELETE FROM public.much_deleted WHERE n <= $1", upto)
        await counted()

    async def counted() -> None:
        # A connection that is kept open tells what it has changed after ten idle seconds.
        await stack.sql("SELECT pg_stat_force_next_flush()")

    # Small tables are not judged, however many have more dead rows.
    small = [f"public.little_deleted_{n}" for n in range(12)]
    for table in small:
        await stack.sql(
            f"CREATE TABLE {table} WITH (autovacuum_enabled = false) AS SELECT 1 FROM generate_series(1, 9)"
        )
        await stack.sql(f"DELETE FROM {table}")
    await stack.sql(
        "CREATE TABLE public.much_deleted WITH (autovacuum_enabled = false)"
        " AS SELECT n FROM generate_series(1, 20000) n"
    )
    await counted()
    try:
        said = "0 % of the rows of public.much_deleted are dead"
        await found(run_on_stack, "database.dead_rows", Verdict.OK, said)
        await delete(6_000)
        said = "30 % of the rows of public.much_deleted are dead"
        await found(run_on_stack, "database.dead_rows", Verdict.WARNING, said)
        await delete(12_000)
        said = "60 % of the rows of public.much_deleted are dead"
        result = await found(run_on_stack, "database.dead_rows", Verdict.CRITICAL, said)
        assert rows(result)[0]["last vacuum"] == "never"
        await stack.sql("VACUUM public.much_deleted")
        await found(run_on_stack, "database.dead_rows", Verdict.OK, "")
    finally:
        await stack.sql(f"DROP TABLE public.much_deleted, {', '.join(small)}")


# --- Valkey


@asynccontextmanager
async def configured(system: SystemView, name: str, value: str) -> AsyncIterator[None]:
    """Change a setting of Valkey, and restore it afterwards."""
    ((_, before),) = (await system.valkey.each("CONFIG", "GET", name)).values()
    await system.valkey.each("CONFIG", "SET", name, value)
    try:
        yield
    finally:
        await system.valkey.each("CONFIG", "SET", name, before.decode())


async def test_server_that_answers_and_takes_no_writes_is_down_and_explains_who_cannot_work(
    stack: Stack, client: httpx.AsyncClient, run_on_stack: RunOnStack
) -> None:
    """Also for the exporter, on which the alerts stand, and for `chitlaq ps` and /health."""

    async def exported(component: str) -> bool:
        answer = await client.get(f"http://127.0.0.1:{stack.ports['ops']}/metrics")
        (line,) = [
            one
            for one in answer.text.splitlines()
            if one.startswith(f'component_up{{component="{component}"}}')
        ]
        return line.endswith(" 1.0")

    async with valkey_full(stack):
        refused = await run_on_stack("redis.ready")
        assert refused.verdict is Verdict.CRITICAL
        assert "refuses writes, since its memory is full" in refused.summary
        assert not await exported("redis")
        health = (await client.get("/api/health")).json()
        assert health["checks"]["redis"]["status"] == "degraded"
        await eventually(lambda: stack.ps()["redis"]["state"] == "unable")
    await found(run_on_stack, "redis.ready", Verdict.OK, "answered in")
    async with postgres_read_only(stack):
        refused = await run_on_stack("database.ready")
        assert refused.verdict is Verdict.CRITICAL
        assert refused.summary.startswith("takes no writes: default_transaction_read_only is on")
        assert not await exported("postgres")
    await found(run_on_stack, "database.ready", Verdict.OK, "answered in")

    async def is_exported() -> bool:
        return await exported("redis") and await exported("postgres")

    await eventually(is_exported)
    await eventually(stack.is_healthy)


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [("0.9,0.99", Verdict.OK), ("1e-9,0.99", Verdict.WARNING), ("1e-9,1e-8", Verdict.CRITICAL)],
)
async def test_memory_of_valkey_is_judged_by_its_thresholds(
    run_on_stack: RunOnStack, thresholds: str, verdict: Verdict
) -> None:
    result = await run_on_stack("redis.memory", CHITLAQ_CHECKS_VALKEY_MEMORY_RATIO=thresholds)
    assert result.verdict is verdict
    assert " of 268 MB" in result.summary


async def test_valkey_without_a_limit_has_no_share_to_judge(
    system: SystemView, run_on_stack: RunOnStack
) -> None:
    async with configured(system, "maxmemory", "0"):
        result = await run_on_stack("redis.memory", CHITLAQ_CHECKS_VALKEY_MEMORY_RATIO="1e-9,1e-8")
    assert (result.verdict, list(result.values)) == (Verdict.OK, ["used"])
    assert "without a limit" in result.summary


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [("0.9,0.99", Verdict.OK), ("1e-5,0.9", Verdict.WARNING), ("1e-5,2e-5", Verdict.CRITICAL)],
)
async def test_clients_of_valkey_are_judged_by_their_thresholds(
    run_on_stack: RunOnStack, thresholds: str, verdict: Verdict
) -> None:
    result = await run_on_stack("redis.clients", CHITLAQ_CHECKS_CONNECTIONS_RATIO=thresholds)
    assert result.verdict is verdict
    assert "connected" in result.summary


async def test_connection_refused_by_valkey_is_a_warning(stack: Stack, system: SystemView) -> None:
    await system.valkey.each("CONFIG", "RESETSTAT")
    assert (await judge(CHECKS["redis.stats"], system)).verdict is Verdict.OK
    (facts,) = (await system.valkey.info("clients")).values()
    async with configured(system, "maxclients", facts["connected_clients"]):
        refused = valkey.connect(system.settings, Home(stack.home))
        with pytest.raises(valkey.UNAVAILABLE):
            await refused.execute("PING")
        await refused.close()
    result = await judge(CHECKS["redis.stats"], system)
    assert result.verdict is Verdict.WARNING
    assert " refused since startup" in result.summary
    await system.valkey.each("CONFIG", "RESETSTAT")
