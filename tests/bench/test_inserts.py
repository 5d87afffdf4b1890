"""What search adds to a row is measured on members of a university, and leaves nothing behind."""

from __future__ import annotations

from chitlaq.bench import inserts
from chitlaq.core.data import postgres
from tests.conftest import Stack

SYNTHETIC = """
INSERT INTO auth.accounts (email, username, display_name, password_hash, verified_at, is_synthetic)
VALUES ('inserts@synthetic.invalid', 'synthetic_inserts', 'Synthetic member', 'none', now(), true)
"""


async def test_inserts_are_measured_beside_synthetic_members(stack: Stack) -> None:
    async with postgres.connection(stack.dsn()) as connection:
        before = await connection.fetchval("SELECT count(*) FROM auth.accounts")
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(SYNTHETIC)
            found = await inserts.costs(connection)
        finally:
            await transaction.rollback()
        after = await connection.fetchval("SELECT count(*) FROM auth.accounts")
    assert [one.table for one in found] == ["feed.members", "feed.posts"]
    assert all(one.with_search > 0 and one.without > 0 for one in found)
    assert after == before
