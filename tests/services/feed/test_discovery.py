"""What is explored and what trends: the attention of many, never the noise of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from chitlaq.core.data import migrations, postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.http.problems import Problem
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.services.feed import routes
from chitlaq.services.feed.discovery import discovery, ranking
from chitlaq.services.feed.rendering import Rendering
from tests.conftest import Member, Stack, eventually

Join = Callable[..., Awaitable[Member]]
NAME = "discovery"
OLD, NEW = 30, 0
"""Days for which an account has been there."""


@dataclass
class Campus:
    """A database with nobody in it but who is planted, read as feed-service reads its own."""

    url: str
    database: Database
    rendering: Rendering
    members: int = 0
    universities: list[UUID] = field(default_factory=list)

    async def sql(self, statement: str, *args: object) -> list[Any]:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(statement, *args)
        finally:
            await connection.close()

    async def people(self, count: int, days: int = OLD, university: int = 0) -> list[UUID]:
        first = self.members
        self.members += count
        rows = await self.sql(
            """
            WITH a AS (
                INSERT INTO auth.accounts
                    (university_id, email, username, display_name, password_hash, verified_at)
                SELECT $3, 'm' || n || '@example.edu', 'mm' || n, 'M', 'x', now()
                FROM generate_series($1::int, $2) n
                RETURNING id, university_id, username
            )
            INSERT INTO feed.members (id, university_id, username, display_name, created_at)
            SELECT id, university_id, username, 'M', now() - make_interval(days => $4) FROM a
            RETURNING id
            """,
            first, first + count - 1, self.universities[university], days,
        )  # fmt: skip
        return [row["id"] for row in rows]

    async def posts(
        self, authors: Sequence[UUID], *tags: str, hours: float = 1, visibility: str = "public"
    ) -> list[UUID]:
        """Let each author write one, some hours ago."""
        rows = await self.sql(
            """
            WITH p AS (
                INSERT INTO feed.posts (id, author_id, text, visibility, created_at)
                SELECT uuidv7(make_interval(secs => -$2::float8)), author, 'planted', $3,
                       now() - make_interval(secs => $2::float8)
                FROM unnest($1::uuid[]) author
                RETURNING id
            ), t AS (
                INSERT INTO feed.post_tags (tag, spelling, post_id)
                SELECT lower(tag), tag, p.id FROM p, unnest($4::text[]) tag
            )
            SELECT id FROM p
            """,
            list(authors), hours * 3600, visibility, tags,
        )  # fmt: skip
        return [row["id"] for row in rows]

    async def like(self, posts: Sequence[UUID], members: Sequence[UUID]) -> None:
        await self.sql(
            """
            WITH l AS (
                INSERT INTO feed.likes (post_id, member_id)
                SELECT p, m FROM unnest($1::uuid[]) p, unnest($2::uuid[]) m
                RETURNING post_id
            )
            UPDATE feed.posts p SET likes_count = likes_count + l.likes
            FROM (SELECT post_id, count(*) AS likes FROM l GROUP BY 1) l WHERE p.id = l.post_id
            """,
            list(posts), list(members),
        )  # fmt: skip

    async def rank(self) -> None:
        await ranking.rank(self.database, 0.0)

    async def ranked(self) -> list[UUID]:
        """Rank, and return the ranking."""
        await self.rank()
        rows = await self.sql(
            "SELECT post_id FROM feed.ranked_posts"
            " WHERE ranking_id = (SELECT max(id) FROM feed.rankings) ORDER BY rank"
        )
        return [row["post_id"] for row in rows]

    async def page(
        self, viewer: UUID | None = None, limit: int = 20, cursor: str | None = None
    ) -> tuple[list[UUID], str | None]:
        page = await discovery.explore(self.database, self.rendering, viewer, limit, cursor)
        return ids(page), page.next_cursor

    async def explored(self, viewer: UUID | None = None, limit: int = 20) -> list[UUID]:
        """Return all of explore."""
        found, cursor = await self.page(viewer, limit)
        while cursor:
            more, cursor = await self.page(viewer, limit, cursor)
            found += more
        return found

    async def trending(self, viewer: UUID | None = None) -> list[tuple[str, int]]:
        await self.rank()
        found = await discovery.trending(self.database, viewer)
        return [(tag.spelling, tag.authors) for tag in found.items]


def ids(page: Page[Any]) -> list[UUID]:
    items = msgspec.json.decode(msgspec.json.encode(page))["items"]
    return [UUID(item["id"]) for item in items]


@pytest.fixture(scope="module")
async def prepared(stack: Stack) -> AsyncIterator[Campus]:
    await stack.sql(f"CREATE DATABASE {NAME} OWNER chitlaq")
    dsn = stack.dsn("chitlaq", NAME)
    settings = Settings(database_url=SecretUrl(stack.dsn(database=NAME)))
    await asyncio.to_thread(migrations.apply, settings, Home(stack.home))
    service = routes.SERVICE
    queries = postgres.load_queries("chitlaq.core.data", service.name, *service.packages)
    database = Database(stack.dsn("chitlaq_feed", NAME), service.name, queries)
    yield Campus(dsn, database, Rendering(database))
    await database.close()
    await stack.sql(f"DROP DATABASE {NAME} WITH (FORCE)")


@pytest.fixture
async def campus(prepared: Campus) -> Campus:
    await prepared.sql(
        "TRUNCATE auth.universities, auth.accounts, feed.members, feed.posts, feed.rankings,"
        " feed.trending_tags CASCADE"
    )
    rows = await prepared.sql(
        "INSERT INTO auth.universities (name) VALUES ('One'), ('Two') RETURNING id"
    )
    prepared.universities = [row["id"] for row in rows]
    prepared.members = 0
    return prepared


async def test_what_more_people_care_for_ranks_higher_and_time_lowers_it(campus: Campus) -> None:
    people, authors = await campus.people(20), await campus.people(5)
    many, few, old, alone, nobody = [(await campus.posts([one]))[0] for one in authors]
    (old,) = await campus.posts([authors[2]], hours=60)
    await campus.like([many, old], people)
    await campus.like([few], people[:4])
    await campus.like([alone], people[:1])
    assert await campus.ranked() == [many, few, old]
    assert nobody not in await campus.ranked()


async def test_spammer_and_ring_of_accounts_are_bounded(campus: Campus) -> None:
    people, (spammer, author) = await campus.people(3), await campus.people(2)
    fresh, ring = await campus.people(30, NEW), await campus.people(6)
    spam = await campus.posts([spammer] * 60, hours=0.1)
    (post,) = await campus.posts([author], hours=5)
    await campus.like([post], people)
    await campus.like(spam, [spammer])
    await campus.like(spam, fresh)
    assert await campus.ranked() == [post], "neither oneself nor new accounts raise anything"
    await campus.like(spam, ring)
    found = await campus.ranked()
    assert found[0] == post, "what a ring gives to an author is shared by that author's posts"
    assert len(found) == 1 + ranking.MAX_PER_AUTHOR


async def test_ranking_is_read_to_its_end_while_others_are_made(campus: Campus) -> None:
    people, authors = await campus.people(12), await campus.people(10)
    posts = await campus.posts(authors)
    for number, post in enumerate(posts):
        await campus.like([post], people[number:])
    ranked = await campus.ranked()
    assert ranked == posts
    found, cursor = await campus.page(limit=3)
    await campus.like(posts[5:], people[:5])
    while cursor:
        assert set(await campus.ranked()) == set(posts)
        more, cursor = await campus.page(limit=3, cursor=cursor)
        found += more
    assert found == ranked
    assert await campus.ranked() != ranked


async def test_latest_posts_follow_the_ranking_each_once(campus: Campus) -> None:
    people, authors = await campus.people(5), await campus.people(8)
    posts = await campus.posts(authors, hours=2)
    newer = await campus.posts(authors[:4], hours=1)
    await campus.like(posts[:3], people)
    ranked = await campus.ranked()
    expected = [*ranked, *sorted({*posts, *newer} - set(ranked), reverse=True)]
    for limit in (1, 2, 3, 5, 11, 12, 13, 100):
        assert await campus.explored(limit=limit) == expected, limit


async def test_one_who_writes_much_has_three_posts_in_a_page(campus: Campus) -> None:
    (spammer, *authors) = await campus.people(4)
    spam = set(await campus.posts([spammer] * 900, hours=1))
    others = await campus.posts(authors, hours=2)
    await campus.rank()
    found: list[UUID] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = await campus.page(limit=20, cursor=cursor)
        assert page
        assert len(spam & {*page}) <= ranking.MAX_PER_AUTHOR
        found += page
    assert found[-3:] == others[::-1]


async def test_explore_shows_what_the_viewer_may_read(campus: Campus) -> None:
    people = await campus.people(4)
    viewer, blocker, private, hidden = await campus.people(4)
    posts = await campus.posts([blocker, private, hidden, people[0]])
    await campus.posts([people[0]], visibility="university")
    await campus.like(posts, people[1:])
    assert {*await campus.ranked()} == {*posts}
    await campus.sql("INSERT INTO feed.blocks VALUES ($1, $2)", blocker, viewer)
    await campus.sql("UPDATE feed.members SET is_private = true WHERE id = $1", private)
    await campus.sql("UPDATE feed.members SET hidden_at = now() WHERE id = $1", hidden)
    for limit in (1, 20):
        assert await campus.explored(viewer, limit) == [posts[3]]
        assert await campus.explored(people[1], limit) == [posts[3], posts[0]]
    await campus.sql("UPDATE feed.posts SET deleted_at = now(), text = '' WHERE id = $1", posts[3])
    assert await campus.explored(viewer) == []


async def test_what_the_viewer_mutes_is_left_out(campus: Campus) -> None:
    (viewer, muted, *people) = await campus.people(6)
    posts = await campus.posts([muted, *people[:3]], "Tag")
    other = await campus.posts(people[:1], "Other", hours=0.5)
    await campus.like(posts[:2], people)
    await campus.sql("INSERT INTO feed.mutes VALUES ($1, $2)", viewer, muted)
    assert {*await campus.ranked()} == {*posts[:2]}
    assert {*await campus.explored(viewer)} == {*posts[1:], *other}
    tagged = await discovery.tagged(
        campus.database, campus.rendering, viewer, "TAG", Paging(1, 10, None)
    )
    assert ids(tagged) == sorted(posts[1:], reverse=True)
    assert await campus.trending(viewer) == [("Tag", 4)]
    await campus.sql("INSERT INTO feed.muted_tags VALUES ($1, 'tag')", viewer)
    assert await campus.explored(viewer) == other
    assert await campus.trending(viewer) == []
    await campus.sql("UPDATE feed.muted_tags SET until = now()")
    assert {*await campus.explored(viewer)} == {*posts[1:], *other}


async def test_tag_is_read_to_its_end_past_what_may_not_be_read(campus: Campus) -> None:
    viewer, private, author = await campus.people(3)
    oldest = await campus.posts([author] * 3, "Tag", hours=3)
    await campus.posts([private] * 1300, "Tag", hours=2)
    newest = await campus.posts([author] * 4, "Tag", hours=1)
    await campus.posts([author], "Other", "Tags", "Ta")
    await campus.sql("UPDATE feed.members SET is_private = true WHERE id = $1", private)
    expected = sorted([*oldest, *newest], reverse=True)

    async def tagged(
        page: int, limit: int, before: UUID | None = None
    ) -> tuple[list[UUID], str | None]:
        paging = Paging(page, limit, before)
        found = await discovery.tagged(campus.database, campus.rendering, viewer, "tag", paging)
        return ids(found), found.next_cursor

    for limit in (1, 2, 3, 4, 5, 100):
        found, cursor = await tagged(1, limit)
        while cursor:
            more, cursor = await tagged(1, limit, Paging.of(cursor=cursor).before)
            found += more
        assert found == expected, limit
    assert (await tagged(2, 2))[0] == expected[2:4]


async def test_cursor_of_a_ranking_that_is_gone_goes_on_in_the_latest(campus: Campus) -> None:
    people, authors = await campus.people(3), await campus.people(4)
    await campus.like(await campus.posts(authors), people)
    ranked = await campus.ranked()
    found, cursor = await campus.page(limit=2)
    await campus.sql("DELETE FROM feed.rankings")
    assert await campus.ranked() == ranked
    more, cursor = await campus.page(limit=2, cursor=cursor)
    assert (found + more, cursor) == (ranked, None)


@pytest.mark.parametrize("cursor", ["x", "é", "AAAA", "A" * 14, "A" * 32, "A" * 33])
async def test_no_cursor_is_a_fault_of_ours(campus: Campus, cursor: str) -> None:
    with suppress(Problem):
        await campus.page(cursor=cursor)


async def test_tags_trend_by_authors_against_what_was_usual(campus: Campus) -> None:
    authors = await campus.people(8)
    for day in range(1, 8):
        await campus.posts(authors[:6], "Usual", hours=24 * day + 1)
    await campus.posts(authors, "Usual")
    await campus.posts(authors[:5], "Burst")
    await campus.posts(authors[:1], "burst")
    await campus.posts(authors[:2], "Rare")
    assert await campus.trending(authors[0]) == [("Burst", 5), ("Usual", 8)]


async def test_tag_of_one_account_or_of_new_ones_does_not_trend(campus: Campus) -> None:
    (spammer,), fresh = await campus.people(1), await campus.people(20, NEW)
    await campus.posts([spammer] * 100, "Spam")
    await campus.posts(fresh, "Spam", "Ring")
    assert await campus.trending() == []


async def test_tags_trend_for_each_university_and_for_all(campus: Campus) -> None:
    here, there = await campus.people(4), await campus.people(4, university=1)
    await campus.posts(here, "Here")
    await campus.posts(there[:3], "There", "Secret", visibility="university")
    await campus.posts(there[:3], "There")
    await campus.posts([*here[:2], *there[:2]], "Both")
    assert await campus.trending(here[0]) == [("Here", 4)]
    assert await campus.trending(there[0]) == [("There", 3)]
    assert await campus.trending() == [("Both", 4), ("Here", 4), ("There", 3)]
    await campus.sql("UPDATE feed.members SET is_private = true WHERE id = $1", here[0])
    assert ("Here", 3) in await campus.trending()


async def test_only_one_process_ranks_and_not_too_often(campus: Campus) -> None:
    await asyncio.gather(*(ranking.rank(campus.database, 60.0) for _ in range(5)))
    await ranking.rank(campus.database, 60.0)
    ((count,),) = await campus.sql("SELECT count(*) FROM feed.rankings")
    assert count == 1
    await campus.sql("UPDATE feed.rankings SET made_at = now() - interval '2 hours'")
    await ranking.rank(campus.database, 60.0)
    ((count,),) = await campus.sql("SELECT count(*) FROM feed.rankings")
    assert count == 1, "rankings in which nobody reads on are gone"


async def test_reading_costs_the_same_however_much_there_is(campus: Campus) -> None:
    """In pages of PostgreSQL's buffers, which no other load changes."""
    people, authors = await campus.people(30), await campus.people(60)
    costs = []
    for posts in (20, 200):
        planted = await campus.posts(authors * posts, "Common")
        await campus.like(planted[::40], people[: 5 + posts % 7])
        await campus.posts([authors[0]] * posts, *(f"tag{number}" for number in range(5)))
        await campus.rank()
        await campus.sql(
            "ANALYZE feed.posts, feed.likes, feed.post_tags, feed.ranked_posts, feed.members"
        )
        costs.append(await _buffers(campus, people[0]))
    for name, few in costs[0].items():
        assert costs[1][name] <= 1.2 * few + 60, (name, costs)
        assert costs[1][name] < 1500, (name, costs)


async def test_explore_and_trending_are_routes(client: httpx.AsyncClient, join: Join) -> None:
    author = await join()
    post = await author.write("for everybody")
    for reader in (client, author):
        page = (await reader.get("/api/feed/explore?limit=100")).json()
        assert post["id"] in {item["id"] for item in page["items"]}
        assert (page["page"], page["limit"]) == (1, 100)
        assert "items" in (await reader.get("/api/feed/trending")).json()
        assert (await reader.get("/api/feed/explore?page=2")).status_code == 422
        assert (await reader.get("/api/feed/explore?cursor=x")).status_code == 422


async def test_tag_feed_has_every_spelling(client: httpx.AsyncClient, join: Join) -> None:
    author = await join()
    name = author.username.capitalize()
    written = [await author.write(f"#{name}Straße"), await author.write(f"#{name.upper()}STRASSE")]
    assert [post["tags"] for post in written] == [[f"{author.username}strasse"]] * 2
    for spelling in (f"{name}straße", f"{author.username}STRASSE"):
        items = (await client.get(f"/api/feed/tags/{spelling}")).json()["items"]
        assert [item["id"] for item in items] == [written[1]["id"], written[0]["id"]]


async def test_stored_posts_get_the_tags_of_this_grammar(stack: Stack, join: Join) -> None:
    """As after an update: tags that an older version found, and the job of the migration."""
    author = await join()
    post = await author.write("#Café_au_lait at https://campus.example/#menu")
    await stack.sql(
        "UPDATE feed.post_tags SET tag = 'menu', spelling = 'menu' WHERE post_id = $1", post["id"]
    )
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id) VALUES ('tag_posts', '{}', 'x')"
    )

    async def tags() -> list[tuple[str, str]]:
        rows = await stack.sql(
            "SELECT tag, spelling FROM feed.post_tags WHERE post_id = $1", post["id"]
        )
        return [tuple(row) for row in rows]

    await eventually(lambda: _is(tags, [("café_au_lait", "Café_au_lait")]))
    assert (await author.get(f"/api/posts/{post['id']}")).json()["tags"] == ["café_au_lait"]


async def _is(ask: Callable[[], Awaitable[object]], wanted: object) -> bool:
    return await ask() == wanted


async def _buffers(campus: Campus, viewer: UUID) -> dict[str, int]:
    """Return how many buffers each read touches, with plans for these arguments and for any."""
    reads: dict[str, tuple[object, ...]] = {
        "ranked_posts": (viewer, 0, 0, 21),
        "latest_posts": (viewer, 1, None, discovery.LOOKED_AT, ranking.MAX_PER_AUTHOR, 21),
        "tagged_posts": (viewer, "common", None, 41, 21),
        "trending_tags": (viewer, 20),
    }
    queries = postgres.load_queries("chitlaq.services.feed.discovery", "test")
    found = {}
    connection = await asyncpg.connect(campus.url)
    try:
        for (name, arguments), kind in product(reads.items(), ("custom", "generic")):
            await connection.execute(f"SET plan_cache_mode = force_{kind}_plan")
            await connection.execute(f"PREPARE {name}_{kind} AS {queries[name].sql}")
            given = ", ".join("NULL" if one is None else f"'{one}'" for one in arguments)
            for _ in range(2):  # catalogues are read once
                plan = await connection.fetchval(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}_{kind} ({given})"
                )
            (top,) = msgspec.json.decode(plan)
            buffers = top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"]
            found[f"{name}, {kind}"] = buffers
    finally:
        await connection.close()
    return found
