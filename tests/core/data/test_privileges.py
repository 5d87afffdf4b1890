"""A service's role may use the tables of its own schema, also those of later migrations."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from chitlaq import inventory
from tests.conftest import Stack

USE = "INSERT INTO {0} VALUES (1); UPDATE {0} SET id = 2; SELECT * FROM {0}; DELETE FROM {0}"


@pytest.mark.parametrize("schema", ["auth", "feed", "ops"])
async def test_table_that_a_migration_adds_needs_no_grant(stack: Stack, schema: str) -> None:
    table = f"{schema}.added_later"
    await stack.sql(f"CREATE TABLE {table} (id integer)", role="chitlaq")
    try:
        for statement in USE.format(table).split("; "):
            await stack.sql(statement, role=f"chitlaq_{schema}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stack.sql(f"SELECT * FROM {table}", role="chitlaq_websocket")
    finally:
        await stack.sql(f"DROP TABLE {table}", role="chitlaq")


async def test_privileges_are_granted_once_and_revoked_ones_stay_revoked(
    stack: Stack,
) -> None:
    await stack.sql("CREATE TABLE ops.read_only (id integer)", role="chitlaq")
    try:
        await stack.sql("REVOKE DELETE ON ops.read_only FROM chitlaq_ops", role="chitlaq")
        answer = await asyncio.to_thread(stack.command, "migrate", "--provision")
        assert answer.returncode == 0, answer.stderr
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stack.sql("DELETE FROM ops.read_only", role="chitlaq_ops")

        # As left by a version without default privileges.
        revoke = "ALTER DEFAULT PRIVILEGES IN SCHEMA ops REVOKE ALL ON TABLES FROM chitlaq_ops"
        await stack.sql(revoke, role="chitlaq")
        answer = await asyncio.to_thread(stack.command, "migrate")
        assert answer.returncode == 0, answer.stderr
        await stack.sql("DELETE FROM ops.read_only", role="chitlaq_ops")
    finally:
        await stack.sql("DROP TABLE ops.read_only", role="chitlaq")


@pytest.mark.parametrize("service", inventory.SERVICES, ids=lambda row: row.name)
async def test_process_that_stops_in_a_transaction_loses_its_locks(
    stack: Stack, service: inventory.Component
) -> None:
    shown = await stack.sql("SHOW idle_in_transaction_session_timeout", role=service.role)
    assert [row[0] for row in shown] == ["20s"]
