"""Promises of demo data: reproducible, correct counters, schema unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
import psycopg
import pytest

from chitlaq.backups.catalog.records import TableFingerprint
from chitlaq.backups.postgres import fingerprint
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.text import tokens
from chitlaq.seed import demo
from chitlaq.seed.seeding import SeedReport, seed
from tests.conftest import eventually

NewDatabase = Callable[[], Awaitable[str]]

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
PASSWORD = "a password of the tests"

# Without columns that hold the id of a university that existed before.
CHECKSUMS = {
    "auth.accounts": "id, email, username, display_name, password_hash, created_at, verified_at",
    "feed.members": "id, username, display_name, bio, department, is_private, followers_count,"
    " following_count, posts_count, created_at",
    "feed.follows": "*",
    "feed.posts": "*",
    "feed.post_tags": "*",
    "feed.likes": "*",
    "websocket.conversations": "*",
    "websocket.participants": "*",
    "websocket.messages": "*",
}

SCHEMA = """
    SELECT conrelid::regclass::text AS place, conname AS name, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE connamespace IN ('auth'::regnamespace, 'feed'::regnamespace)
    UNION ALL
    SELECT indrelid::regclass::text, indexrelid::regclass::text,
           pg_get_indexdef(indexrelid) || indisvalid || indisready || indisclustered
    FROM pg_index WHERE indrelid::regclass::text ~ '^(auth|feed)[.]'
    UNION ALL
    SELECT tgrelid::regclass::text, tgfoid::regproc::text, tgenabled::text || tgtype
    FROM pg_trigger WHERE tgrelid::regclass::text ~ '^(auth|feed)[.]'
    ORDER BY 1, 2, 3
"""


async def seeded(dsn: str, **changes: Any) -> SeedReport:
    wanted: dict[str, Any] = {
        "members": 300,
        "posts": 3000,
        "seed": 1,
        "password": PASSWORD,
        "progress": lambda stage, done, total: None,
        "until": UNTIL,
    }
    return await seed(dsn, **{**wanted, **changes})


async def checksums(dsn: str) -> dict[str, str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {
            table: await connection.fetchval(
                f"SELECT md5(string_agg(r::text, ',' ORDER BY r::text))"
                f" FROM (SELECT {columns} FROM {table}) r"
            )
            for table, columns in CHECKSUMS.items()
        }
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def database(new_database: NewDatabase) -> str:
    """A database of 2,000 members; read-only."""
    dsn = await new_database()
    await seeded(dsn, members=2000, posts=10_000)
    return dsn


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def test_same_seed_gives_same_rows_and_another_seed_others(new_database: NewDatabase) -> None:
    first, second, third = [await new_database() for _ in range(3)]
    await seeded(first)
    await seeded(second)
    await seeded(third, seed=2)
    assert await checksums(first) == await checksums(second)
    assert not set((await checksums(first)).values()) & set((await checksums(third)).values())


async def test_nobody_is_ended_who_reads_while_the_tables_are_claimed(
    new_database: NewDatabase,
) -> None:
    """A reader that has one table, and asks for another that the seeding has already."""
    dsn = await new_database()
    reader = await asyncpg.connect(dsn)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT FROM search.tags")
            seeding = asyncio.create_task(seeded(dsn, members=10, posts=10))

            async def has_locks() -> bool:
                return bool(
                    await reader.fetchval(
                        "SELECT count(*) FROM pg_locks WHERE relation = 'feed.members'::regclass"
                        " AND mode = 'AccessExclusiveLock' AND granted"
                    )
                )

            await eventually(has_locks)
            assert await reader.fetch("SELECT FROM feed.members") == []
        assert (await seeding).members == 10
    finally:
        await reader.close()


async def test_report_matches_the_database(new_database: NewDatabase) -> None:
    dsn = await new_database()
    stages: dict[str, tuple[int, int]] = {}
    report = await seeded(
        dsn, progress=lambda stage, done, total: stages.update({stage: (done, total)})
    )
    connection = await asyncpg.connect(dsn)
    try:
        for table, said in [
            ("auth.accounts", report.members),
            ("feed.members", report.members),
            ("feed.follows", report.follows),
            ("feed.posts", report.posts),
            ("feed.posts WHERE reply_to IS NOT NULL", report.replies),
            ("feed.likes", report.likes),
            ("feed.post_tags", report.tags),
            ("auth.universities", report.universities),
            ("demo.seedings", 1),
        ]:
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == said, table
        names = {account.username: account.email for account in report.accounts}
        assert names["ada"] == "ada@example.edu"
        found = await connection.fetch(
            "SELECT username, email FROM auth.accounts WHERE username = ANY ($1)", list(names)
        )
        assert dict(map(tuple, found)) == names
    finally:
        await connection.close()
    assert all(done == total for done, total in stages.values()), stages
    assert "ada" in demo.described(report)


@pytest.mark.parametrize(
    ("counter", "truth"),
    [
        (
            "feed.members.followers_count",
            "SELECT followed_id AS id, count(*) FROM feed.follows GROUP BY 1",
        ),
        (
            "feed.members.following_count",
            "SELECT follower_id AS id, count(*) FROM feed.follows GROUP BY 1",
        ),
        (
            "feed.members.posts_count",
            "SELECT author_id AS id, count(*) FROM feed.posts WHERE visibility = 'public' GROUP BY 1",
        ),
        ("feed.posts.likes_count", "SELECT post_id AS id, count(*) FROM feed.likes GROUP BY 1"),
        (
            "feed.posts.replies_count",
            "SELECT reply_to AS id, count(*) FROM feed.posts WHERE NOT is_restricted GROUP BY 1",
        ),
        (
            "feed.posts.restricted_replies_count",
            """
            SELECT r.reply_to AS id, count(*) FROM feed.posts r JOIN feed.members a ON a.id = r.author_id
            WHERE r.visibility <> 'public' OR a.is_private GROUP BY 1
            """,
        ),
    ],
)
async def test_counters_equal_what_they_count(
    connection: asyncpg.Connection[Any], counter: str, truth: str
) -> None:
    table, _, column = counter.rpartition(".")
    wrong = await connection.fetchval(
        f"SELECT count(*) FROM {table} t LEFT JOIN ({truth}) c USING (id)"
        f" WHERE t.{column} <> coalesce(c.count, 0)"
    )
    assert wrong == 0
    assert await connection.fetchval(f"SELECT sum({column}) FROM {table}") > 0


async def test_planner_knows_every_table_that_is_filled(
    connection: asyncpg.Connection[Any],
) -> None:
    unknown = await connection.fetch(
        "SELECT c.oid::regclass::text FROM pg_class c"
        " WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text ~ '^(auth|feed|search|websocket)$'"
        " AND pg_relation_size(c.oid) > 0"
        " AND NOT EXISTS (SELECT FROM pg_statistic s WHERE s.starelid = c.oid)"
    )
    assert unknown == []


async def test_few_members_have_many_followers_and_all_follow_someone(
    connection: asyncpg.Connection[Any],
) -> None:
    row = await connection.fetchrow(
        "SELECT min(following_count) AS least,"
        " percentile_disc(0.5) WITHIN GROUP (ORDER BY following_count) AS typical_following,"
        " percentile_disc(0.5) WITHIN GROUP (ORDER BY followers_count) AS typical_followers,"
        " max(followers_count) AS most_followers,"
        " percentile_disc(0.5) WITHIN GROUP (ORDER BY posts_count) AS typical_posts,"
        " max(posts_count) AS most_posts FROM feed.members"
    )
    assert row is not None
    assert row["least"] >= 1
    assert 30 <= row["typical_following"] <= 50
    assert row["most_followers"] > 10 * row["typical_followers"]
    assert row["most_posts"] > 10 * row["typical_posts"]


async def test_timestamps_are_in_causal_order(connection: asyncpg.Connection[Any]) -> None:
    for story, broken in {
        "a reply is newer than its parent": "SELECT count(*) FROM feed.posts r"
        " JOIN feed.posts p ON p.id = r.reply_to WHERE r.created_at <= p.created_at OR r.id <= p.id",
        "a like is newer than its post": "SELECT count(*) FROM feed.likes l"
        " JOIN feed.posts p ON p.id = l.post_id WHERE l.created_at < p.created_at",
        "an author had joined": "SELECT count(*) FROM feed.posts p"
        " JOIN feed.members m ON m.id = p.author_id WHERE p.created_at <= m.created_at",
        "a follower and the followed had joined": "SELECT count(*) FROM feed.follows f"
        " JOIN feed.members m ON m.id IN (f.follower_id, f.followed_id)"
        " WHERE f.created_at < m.created_at",
        "a reply is in the thread of its parent": "SELECT count(*) FROM feed.posts r"
        " JOIN feed.posts p ON p.id = r.reply_to WHERE r.root_id IS DISTINCT FROM coalesce(p.root_id, p.id)",
        "an id tells the time": "SELECT count(*) FROM feed.posts WHERE"
        " uuid_extract_version(id) <> 7 OR uuid_extract_timestamp(id)"
        " NOT BETWEEN created_at - interval '1 ms' AND created_at",
    }.items():
        assert await connection.fetchval(broken) == 0, story


async def test_replies_and_likes_are_only_on_readable_posts(
    connection: asyncpg.Connection[Any],
) -> None:
    assert (
        await connection.fetchval(
            "SELECT count(*) FROM feed.posts r WHERE r.reply_to IS NOT NULL AND NOT EXISTS"
            " (SELECT FROM feed.readable_posts(r.author_id) p WHERE p.id = r.reply_to)"
        )
        == 0
    )
    assert (
        await connection.fetchval(
            "SELECT count(*) FROM feed.likes l WHERE NOT EXISTS"
            " (SELECT FROM feed.readable_posts(l.member_id) p WHERE p.id = l.post_id)"
        )
        == 0
    )


async def test_tags_are_those_that_the_feed_service_finds_in_the_text(
    connection: asyncpg.Connection[Any],
) -> None:
    rows = await connection.fetch(
        "SELECT text, array(SELECT tag FROM feed.post_tags WHERE post_id = id) AS tags FROM feed.posts"
    )
    assert all(
        {tag.folded for tag in tokens.parsed(row["text"]).tags} == set(row["tags"]) for row in rows
    )
    assert sum(bool(row["tags"]) for row in rows) > len(rows) / 5


async def test_posts_vary(connection: asyncpg.Connection[Any]) -> None:
    ((different, repeated),) = await connection.fetch(
        "SELECT count(*), max(times) FROM (SELECT count(*) AS times FROM feed.posts GROUP BY text) t"
    )
    assert different > 9000
    assert repeated < 20


async def test_demo_account_has_a_full_home_feed(connection: asyncpg.Connection[Any]) -> None:
    readable = await connection.fetchval(
        "SELECT count(*) FROM feed.members a CROSS JOIN LATERAL feed.readable_posts(a.id) p"
        " WHERE a.username = 'ada' AND p.reply_to IS NULL AND p.author_id IN"
        " (SELECT followed_id FROM feed.follows WHERE follower_id = a.id)"
    )
    assert readable > 100
    others = await connection.fetchval(
        "SELECT count(*) FROM feed.follows f JOIN feed.members a ON a.id = f.follower_id"
        " JOIN feed.members b ON b.id = f.followed_id"
        " WHERE a.username = 'ada' AND b.username IN ('grace', 'alan', 'emmy', 'hedy')"
    )
    assert others == 4


async def test_schema_is_the_same_after_as_before(new_database: NewDatabase) -> None:
    dsn = await new_database()
    connection = await asyncpg.connect(dsn)
    try:
        before = [tuple(row) for row in await connection.fetch(SCHEMA)]
        await seeded(dsn)
        assert [tuple(row) for row in await connection.fetch(SCHEMA)] == before
        assert before
    finally:
        await connection.close()


async def test_a_failure_leaves_the_database_as_it_was(new_database: NewDatabase) -> None:
    dsn = await new_database()
    connection = await asyncpg.connect(dsn)

    def fail(stage: str, _done: int, _total: int) -> None:
        if stage == "indexes":
            raise RuntimeError("interrupted")

    try:
        before = [tuple(row) for row in await connection.fetch(SCHEMA)]
        with pytest.raises(RuntimeError, match="interrupted"):
            await seeded(dsn, progress=fail)
        assert [tuple(row) for row in await connection.fetch(SCHEMA)] == before
        assert await connection.fetchval("SELECT count(*) FROM auth.accounts") == 0
        assert await connection.fetchval("SELECT count(*) FROM auth.universities") == 1
    finally:
        await connection.close()


async def test_a_database_with_members_is_refused_and_kept(new_database: NewDatabase) -> None:
    dsn = await new_database()
    await seeded(dsn, members=10, posts=20)
    before = await checksums(dsn)
    with pytest.raises(OperatorError, match="already has 10 members"):
        await seeded(dsn, seed=2)
    assert await checksums(dsn) == before


async def test_members_are_replaced_when_asked_to(new_database: NewDatabase) -> None:
    dsn = await new_database()
    await seeded(dsn, members=10, posts=20, seed=2)
    await seeded(dsn, replace=True)
    again = await new_database()
    await seeded(again)
    assert await checksums(dsn) == await checksums(again)


@pytest.mark.parametrize(("members", "posts"), [(10, 0), (10, 5), (11, 200)])
async def test_small_sizes_work(new_database: NewDatabase, members: int, posts: int) -> None:
    report = await seeded(await new_database(), members=members, posts=posts)
    assert (report.members, report.posts) == (members, posts)
    assert report.follows >= members


async def test_fewer_than_the_demo_accounts_are_refused(new_database: NewDatabase) -> None:
    with pytest.raises(OperatorError, match="at least 10"):
        await seeded(await new_database(), members=9)


async def test_first_start_seeds_once_and_only_if_allowed(
    installation: tuple[Settings, Home],
) -> None:
    settings, home = installation
    no_demo = Settings(ports=settings.ports, demo=False)
    await demo.at_first_start(no_demo, home, 50)
    assert await demo.members_there(settings, home) == 0
    try:
        await demo.at_first_start(settings, home, 50)
        await demo.at_first_start(settings, home, 60)
        assert await demo.members_there(settings, home) == 50
    finally:
        # Other databases are made from this one, empty.
        connection = await asyncpg.connect(_owner(settings, home))
        await connection.execute("TRUNCATE auth.accounts, demo.seedings CASCADE")
        await connection.close()


def _owner(settings: Settings, home: Home) -> str:
    from chitlaq.core.data import postgres

    return postgres.dsn(settings, home, postgres.OWNER)


async def test_conversations_are_as_the_service_leaves_them(
    connection: asyncpg.Connection[Any],
) -> None:
    """Numbered without gaps, by those who take part, and counted."""
    faults = await connection.fetch(
        "SELECT c.id FROM websocket.conversations c"
        " LEFT JOIN websocket.messages m ON m.conversation_id = c.id"
        " LEFT JOIN websocket.participants p ON p.conversation_id = c.id AND p.account_id = m.sender_id"
        " GROUP BY c.id HAVING count(m.seq) <> c.last_seq OR max(m.seq) <> c.last_seq"
        " OR max(m.sent_at) <> c.last_at OR count(p.account_id) <> c.last_seq"
    )
    assert faults == []
    numbers = await connection.fetch(
        "SELECT a.username, count(*) FROM auth.accounts a"
        " JOIN websocket.participants p ON p.account_id = a.id GROUP BY 1"
    )
    assert dict(map(tuple, numbers))["ada"] == 10


async def test_backups_compare_every_message(new_database: NewDatabase) -> None:
    dsn = await new_database()
    await seeded(dsn, members=20, posts=20)

    def taken() -> dict[str, TableFingerprint]:
        with psycopg.connect(dsn) as connection:
            return fingerprint.take(connection)

    before = taken()
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE websocket.messages SET text = text || '!' WHERE seq = 2")
    await connection.execute("DELETE FROM websocket.messages WHERE seq = 1")
    await connection.close()
    said = sorted(fingerprint.differences(before, taken()))
    assert [one.partition(" has ")[0] for one in said] == [
        "websocket.message_words",
        "websocket.messages",
    ]


async def test_private_members_are_asked_and_some_members_are_muted(
    connection: asyncpg.Connection[Any],
) -> None:
    requests = await connection.fetch(
        "SELECT m.is_private, f.follower_id FROM feed.follow_requests r"
        " JOIN feed.members m ON m.id = r.requested_id"
        " LEFT JOIN feed.follows f ON f.follower_id = r.requester_id AND f.followed_id = r.requested_id"
    )
    assert len(requests) >= 5
    assert {tuple(row) for row in requests} == {(True, None)}
    assert await connection.fetchval("SELECT count(*) FROM feed.mutes") >= 5
