"""The synthetic members post as members do, and no member meets, finds or counts them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings_loading import load
from chitlaq.monitoring import post_probe, round_trip
from tests.conftest import Member, Stack

SYNTHETIC = "SELECT id::text, username, display_name FROM feed.members WHERE university_id IS NULL"
GROWTH = "SELECT * FROM feed.growth"
TRACES = (
    "SELECT count(*) FROM search.members s JOIN feed.members m ON id = member_id WHERE university_id IS NULL",
    "SELECT count(*) FROM search.words WHERE word = 'synthetic'",
    "SELECT count(*) FROM feed.member_ids i JOIN feed.members m USING (id) WHERE m.university_id IS NULL",
    "SELECT count(*) FROM feed.member_cards c JOIN feed.members m USING (id) WHERE m.university_id IS NULL",
    "SELECT count(*) FROM feed.listed_members c JOIN feed.members m USING (id) WHERE m.university_id IS NULL",
    "SELECT count(*) FROM search.index_faults(100000)",
)
"""What members are shown, found and told by: each counts the synthetic ones in it."""


async def _created(stack: Stack) -> float:
    """What feed-service counts as written posts."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{stack.ports['feed']}/metrics")).text
    lines = [one for one in text.splitlines() if one.startswith("posts_created_total")]
    return sum(float(one.split()[-1]) for one in lines)


@pytest.fixture
async def probed(stack: Stack) -> list[tuple[str, str]]:
    """The synthetic members, with ids and usernames, after one has posted."""
    home = Home(stack.home)
    assert await post_probe.measure(home, load(home, stack.environment)) > 0
    return [(row["id"], row["username"]) for row in await stack.sql(SYNTHETIC)]


async def test_nobody_meets_or_finds_a_synthetic_member(
    stack: Stack,
    client: httpx.AsyncClient,
    join: Callable[[], Awaitable[Member]],
    probed: list[tuple[str, str]],
) -> None:
    assert len(probed) == 2
    ada = await join()
    for _, username in probed:
        for viewer in ({}, ada.headers):
            answer = await client.get(f"/api/users/{username}", headers=viewer)
            assert answer.status_code == 404
            answer = await client.get("/api/search/users", params={"q": username}, headers=viewer)
            assert username not in answer.text
            answer = await client.get(
                "/api/search/users", params={"q": "synthetic"}, headers=viewer
            )
            assert username not in answer.text
    shown = (await ada.get("/api/users/me/suggestions")).text
    assert not any(username in shown for _, username in probed)
    for trace in TRACES:
        assert [row[0] for row in await stack.sql(trace)] == [0], trace


async def test_post_of_a_synthetic_member_is_counted_nowhere(
    stack: Stack, client: httpx.AsyncClient, probed: list[tuple[str, str]]
) -> None:
    home = Home(stack.home)
    settings = load(home, stack.environment)
    (before,) = await stack.sql(GROWTH)
    created = await _created(stack)
    token = (await round_trip.sign_in(home, settings)).tokens[0]
    answer = await client.post(
        "/api/posts",
        json={"text": "left over", "visibility": "self"},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 201
    assert (await stack.sql(GROWTH))[0] == before
    assert await _created(stack) == created
    # As an hour later, in what feed-service does each day.
    ids = [id_ for id_, _ in probed]
    await stack.sql(
        "UPDATE feed.posts SET created_at = now() - interval '2 hours' WHERE author_id = ANY ($1::uuid[])",
        ids,
    )
    queries = postgres.load_queries("chitlaq.services.feed.posts", "test")
    database = Database(stack.dsn("chitlaq_feed"), "test", queries)
    try:
        async with database.session() as session:
            await session.execute("forget_probes")
    finally:
        await database.close()
    (left,) = await stack.sql(
        "SELECT count(*) FROM feed.posts WHERE author_id = ANY ($1::uuid[])", ids
    )
    assert left[0] == 0


async def test_account_of_a_member_alone_needs_a_university(stack: Stack) -> None:
    with pytest.raises(Exception, match="members_university_or_synthetic"):
        await stack.sql(
            "INSERT INTO feed.members (id, username, display_name)"
            " SELECT id, 'somebody', 'x' FROM auth.accounts WHERE is_synthetic LIMIT 1"
        )
