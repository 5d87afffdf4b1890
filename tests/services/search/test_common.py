"""Which names are common is counted again when it may have changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.services.search.members import common
from chitlaq.services.search.members.common import Common
from tests.conftest import Member, Stack, eventually

TOKEN = "nquoxalia"
ADDED = """
WITH gone AS (DELETE FROM search.members WHERE member_id = $1 RETURNING *)
INSERT INTO search.members SELECT * FROM gone
"""


async def test_names_are_counted_again_after_an_import(
    stack: Stack, join: Callable[[], Awaitable[Member]], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = postgres.load_queries("chitlaq.services.search.members", "search-service")
    database = Database(stack.dsn("chitlaq_search"), "test", queries)
    try:
        own = await join()
        named = await own.patch("/api/users/me", {"display_name": "Quoxalia Brandt"})
        assert named.status_code == 200
        names = Common(database)
        await names.read()
        assert names.uses([TOKEN]) == 0
        await stack.sql("UPDATE search.words SET uses = 5000 WHERE word = 'quoxalia'")
        await names.read()
        assert names.uses([TOKEN]) == 0, "nobody joined, so it is not counted again"
        await stack.sql(ADDED, UUID(own.id))
        monkeypatch.setattr(common, "GROWN", 0)

        async def are_counted_again() -> bool:
            await names.read()
            return names.uses([TOKEN]) == 5000

        # PostgreSQL counts what a connection added within some seconds, or when it ends.
        await eventually(are_counted_again)
        monkeypatch.undo()
        await stack.sql("UPDATE search.words SET uses = 1 WHERE word = 'quoxalia'")
        monkeypatch.setattr(common, "monotonic", lambda: float("inf"))
        await names.read()
        assert names.uses([TOKEN]) == 0, "ten minutes later it is"
    finally:
        await database.close()
        await stack.sql("UPDATE search.words SET uses = 1 WHERE word = 'quoxalia'")


async def test_words_that_many_have_may_be_of_few_together(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = postgres.load_queries("chitlaq.services.search.members", "search-service")
    database = Database(stack.dsn("chitlaq_search"), "test", queries)
    try:
        names = Common(database)
        assert names.are_many([5_000, 8_000]), "nothing is known of how many there are"
        await names.read()
    finally:
        await database.close()
    monkeypatch.setattr(names, "_members", 1_000_000)
    for uses, are_many in (
        ([5_000], True),
        ([common.MANY], False),
        ([common.MANY, 900_000], False),
        ([5_000, 8_000], False),
        ([30_000, 8_000], True),
        ([30_000, 8_000, 2_000], False),
    ):
        assert names.are_many(uses) == are_many, uses
