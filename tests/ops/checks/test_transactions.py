"""Transactions that others wait for, that nobody ends, and that use up what there is of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest

from chitlaq.backups.postgres import scratch
from chitlaq.core.data import postgres
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import CheckThresholds, Settings
from chitlaq.monitoring.locks.lock_waits import LockWaits
from chitlaq.ops.actions import postgres as actions
from chitlaq.ops.actions.model import ActionContext
from chitlaq.ops.checks.model import Table, Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result, judge
from chitlaq.ops.checks.sources.system import SystemView
from tests.backups.machines import machine
from tests.conftest import eventually
from tests.ops.checks.conftest import answering

TRANSACTION_IDS = 2**31 - 1
"""So many there can be since the oldest row."""
NAME = 'it\'s "lost" $$ -- é'
LOCKED = "SELECT * FROM held FOR UPDATE"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretUrl]:
    """A server on which transactions can be prepared: ours refuses that."""
    context = machine(tmp_path_factory.mktemp("t"))
    secrets.ensure(context.home)
    with scratch.scratch_folder(context) as made:
        scratch.init_empty(made)
        options = {"max_prepared_transactions": "5"}
        with scratch.running_server(context, made.data, made.sockets, options) as server:
            yield SecretUrl(server.url("postgres"))


@pytest.fixture
async def administrator(url: SecretUrl) -> AsyncIterator[asyncpg.Connection]:
    async with session(url) as connection:
        await connection.execute("DROP TABLE IF EXISTS held; CREATE TABLE held AS SELECT 1 AS n")
        await connection.execute(
            "DO $$ BEGIN CREATE ROLE chitlaq_ops LOGIN IN ROLE pg_monitor;"
            " EXCEPTION WHEN duplicate_object THEN END $$"
        )
        yield connection


@asynccontextmanager
async def session(url: SecretUrl) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url.reveal())
    try:
        yield connection
    finally:
        connection.terminate()


@pytest.fixture
async def system(url: SecretUrl, tmp_path: Path) -> AsyncIterator[SystemView]:
    home = Home(tmp_path)
    secrets.ensure(home)
    thresholds = CheckThresholds(lock_wait_seconds=(0.0001, 60), transaction_seconds=(0.0001, 60))
    system = SystemView(home, Settings(database_url=url, checks=thresholds))
    yield system
    await system.close()


def rows(result: Result) -> list[dict[str, str]]:
    table = result.evidence[0]
    assert isinstance(table, Table)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


async def found(system: SystemView, said: str) -> Result:
    async def is_found() -> Result:
        result = await judge(CHECKS["database.locks"], system)
        assert said in result.summary, result
        return result

    return await eventually(is_found)


async def test_prepared_transaction_that_all_wait_for_is_named_and_rolled_back(
    system: SystemView, url: SecretUrl, administrator: asyncpg.Connection
) -> None:
    """Nobody's session holds it: to end process 0 is no remedy."""
    literal = await administrator.fetchval("SELECT quote_literal($1)", NAME)
    await administrator.execute(f"BEGIN; {LOCKED}; PREPARE TRANSACTION {literal}")
    async with session(url) as first, session(url) as second:
        waiting = [asyncio.create_task(one.execute(LOCKED)) for one in (first, second)]
        result = await found(system, "2 sessions waiting, for ")
        assert result.verdict is Verdict.WARNING
        assert f"for transaction prepared {NAME!r} of postgres" in result.summary
        (root,) = rows(result)
        assert root["waiting"] == "2"
        assert root["end it with"].startswith("chitlaq ops do rollback ")
        assert "kill 0" not in str(result)
        open_ = await judge(CHECKS["database.activity"], system)
        assert "1 prepared transaction, oldest transaction open for" in open_.summary
        context = ActionContext(system.home, system.settings)
        assert NAME in (await actions.ROLLBACK.plan(context, NAME))[0].replace("\\'", "'")
        await actions.ROLLBACK.do(context, NAME)
        await asyncio.wait_for(asyncio.gather(*waiting), 20)
    await found(system, "no session is waiting")


async def test_chain_is_walked_to_who_waits_for_nobody(
    system: SystemView, url: SecretUrl, administrator: asyncpg.Connection
) -> None:
    async with session(url) as holder, session(url) as middle, session(url) as last:
        await holder.execute(f"BEGIN; {LOCKED}")
        waiting = [
            asyncio.create_task(middle.execute("ALTER TABLE held ADD COLUMN IF NOT EXISTS m int"))
        ]
        await found(system, "1 session waiting")
        waiting.append(asyncio.create_task(last.execute("SELECT * FROM held")))
        result = await found(system, "2 sessions waiting")
        (root,) = rows(result)
        assert root["transaction"] == str(holder.get_server_pid())
        assert root["end it with"] == f"chitlaq ops do kill {holder.get_server_pid()}"
        assert root["state"] == "idle in transaction"
        holder.terminate()
        await asyncio.wait_for(asyncio.gather(*waiting), 20)


async def test_wait_is_as_long_as_somebody_waits_although_each_gives_up(
    system: SystemView, url: SecretUrl, administrator: asyncpg.Connection
) -> None:
    waits, other = LockWaits(), LockWaits()
    async with session(url) as holder:
        await holder.execute(f"BEGIN; {LOCKED}")
        for minute in range(3):
            async with session(url) as waiter:
                waiting = asyncio.create_task(waiter.execute(LOCKED))
                await found(system, "1 session waiting")
                seen = await system.postgres.rows("lock_waits")
                assert 60 * minute <= waits.longest(seen, 60.0 * minute + 1000) < 60 * (minute + 1)
                await administrator.execute(f"SELECT pg_cancel_backend({waiter.get_server_pid()})")
                await asyncio.wait({waiting})
    assert waits.longest([], 2000.0) == 0
    assert other.longest(seen, 1000.0) < 60, "it remembers nothing of others"


@pytest.mark.parametrize("mode", ["SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"])
async def test_table_that_nobody_else_can_write_is_named_though_nobody_waits(
    system: SystemView, url: SecretUrl, administrator: asyncpg.Connection, mode: str
) -> None:
    """Each who waits gives up; between two of them nobody waits."""
    waits = LockWaits()
    async with session(url) as holder:
        await holder.execute(f"BEGIN; LOCK TABLE held IN {mode} MODE")
        result = await found(system, "nobody else can write to held")
        assert result.verdict is Verdict.WARNING
        assert f"client backend {holder.get_server_pid()} of " in result.summary
        (root,) = rows(result)
        assert (root["tables"], root["waiting"]) == ("held", "0")
        assert root["end it with"] == f"chitlaq ops do kill {holder.get_server_pid()}"
        seen = await system.postgres.rows("table_locks")
        assert waits.longest(seen, 1000.0) < 60 <= waits.longest(seen, 1060.0)
    await found(system, "no session is waiting")


async def test_who_can_write_beside_others_holds_nobody_up(
    system: SystemView, url: SecretUrl, administrator: asyncpg.Connection
) -> None:
    async with session(url) as holder:
        await holder.execute("BEGIN; UPDATE held SET n = n; CREATE TEMP TABLE own AS SELECT 1")
        result = await judge(CHECKS["database.locks"], system)
        assert result.verdict is Verdict.OK, result.summary


async def test_prepared_transaction_that_holds_a_table_is_named(
    system: SystemView, administrator: asyncpg.Connection
) -> None:
    await administrator.execute("BEGIN; LOCK TABLE held; PREPARE TRANSACTION 'gone'")
    try:
        result = await found(system, "transaction prepared 'gone' of postgres")
        assert "nobody else can write to held" in result.summary
        assert rows(result)[0]["end it with"] == "chitlaq ops do rollback gone"
    finally:
        await administrator.execute("ROLLBACK PREPARED 'gone'")


async def test_lock_is_judged_by_how_long_anybody_has_waited(
    system: SystemView, url: SecretUrl, administrator: asyncpg.Connection
) -> None:
    """Who waits now has come just now; ops-service has seen others wait before."""
    waited = b'{"status":"success","data":{"result":[{"metric":{},"value":[0,"125"]}]}}'
    with answering(waited) as port:
        settings = msgspec.structs.replace(
            system.settings, prometheus_url=SecretUrl(f"http://127.0.0.1:{port}")
        )
        knowing = SystemView(system.home, settings)
        try:
            free = await judge(CHECKS["database.locks"], knowing)
            async with session(url) as holder, session(url) as waiter:
                await holder.execute(f"BEGIN; {LOCKED}")
                waiting = asyncio.create_task(waiter.execute(LOCKED))
                result = await found(knowing, "1 session waiting, for 2 min")
                holder.terminate()
                await asyncio.wait_for(waiting, 20)
        finally:
            await knowing.close()
    assert (free.verdict, free.values["longest_wait"].value) == (Verdict.OK, 0)
    assert (result.verdict, result.values["longest_wait"].value) == (Verdict.CRITICAL, 125)


async def test_check_that_gives_up_leaves_no_session_behind(
    system: SystemView, administrator: asyncpg.Connection
) -> None:
    """Even if nobody is there any more to cancel its statement."""
    await system.postgres.rows("lock_waits")
    async with system.postgres._session() as connection:
        asked = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))
        await eventually(lambda: at_work(administrator, 1))
        connection.terminate()
    await asyncio.wait({asked})
    await eventually(lambda: at_work(administrator, 0))


async def at_work(administrator: asyncpg.Connection, wanted: int) -> bool:
    found: int = await administrator.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'chitlaq-checks' AND state = 'active'"
    )
    return found == wanted


async def test_use_of_transaction_ids_is_judged(
    system: SystemView, url: SecretUrl, administrator: asyncpg.Connection
) -> None:
    """By each of them, as they are used up: two share one row, which takes one multixact."""
    queries = postgres.load_queries("chitlaq.monitoring.exporter", "test")

    async def used() -> tuple[dict[str, int], dict[str, int]]:
        """Those used since the oldest row, by the check and by ops-service's metric."""
        result = await judge(CHECKS["database.transaction_ids"], system)
        assert result.verdict is Verdict.OK, result
        rows = await administrator.fetch(queries["transaction_ids"].sql)
        return (
            {name: round(one.value * TRANSACTION_IDS) for name, one in result.values.items()},
            {row["kind"]: round(row["used"] * TRANSACTION_IDS) for row in rows},
        )

    before, _ = await used()
    async with session(url) as one, session(url) as other:
        for _ in range(3):
            for each in (one, other):
                await each.execute("BEGIN; SELECT * FROM held FOR SHARE")
            for each in (one, other):
                await each.execute("COMMIT")
        for _ in range(100):
            await one.execute("SELECT pg_current_xact_id()")
    after, exported = await used()
    assert after["multixact"] == before["multixact"] + 3
    assert 100 <= after["xid"] - before["xid"] < 200
    assert exported == after
    for limits, verdict in (((1e-9, 1.0), Verdict.WARNING), ((1e-10, 1e-9), Verdict.CRITICAL)):
        thresholds = CheckThresholds(transaction_ids_ratio=limits)
        settings = msgspec.structs.replace(system.settings, checks=thresholds)
        strict = SystemView(system.home, settings)
        try:
            result = await judge(CHECKS["database.transaction_ids"], strict)
        finally:
            await strict.close()
        assert {one.verdict for one in result.values.values()} == {verdict}, result
