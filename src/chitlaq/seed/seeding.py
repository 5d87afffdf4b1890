"""Fill an empty database with demo data, through COPY, in one transaction.

The same seed, sizes and end give the same rows, ids included, except for the ids of universities that
already exist.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from time import monotonic
from uuid import UUID

import asyncpg
import msgspec
from argon2 import PasswordHasher

from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.seed import names, relations
from chitlaq.seed.clock import chance, moment, time_of, uuid7
from chitlaq.seed.conversations import Conversations
from chitlaq.seed.copying import Connection, Progress, copy_rows, without_indexes
from chitlaq.seed.graph import Graph
from chitlaq.seed.people import DEPARTMENTS, People, email, people
from chitlaq.seed.posts import POST_COLUMNS, Posts

DAYS = 120
"""The period of posts."""
CLAIMS = 120
"""How often the tables are asked for, half a second each."""
POSTS_PER_MEMBER = 10

_TABLES = (
    "auth.accounts",
    "feed.members",
    "feed.follows",
    "feed.posts",
    "feed.post_tags",
    "feed.likes",
)
_SEARCHED = ("feed.members", "feed.posts", "feed.post_tags")
_CLAIMED = (
    *_TABLES,
    "feed.post_words",
    "search.members",
    "search.words",
    "search.tags",
)
# Whichever part wrote them, or a trigger of it.
_FILLED = """
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname = ANY ('{auth, feed, search, websocket, jobs}')
      AND pg_relation_size(c.oid) > 0
    ORDER BY 1
"""


class DemoAccount(msgspec.Struct, frozen=True):
    username: str
    email: str


class SeedReport(msgspec.Struct, frozen=True):
    """Row counts, the duration, and the accounts that use the demo password."""

    universities: int
    members: int
    follows: int
    posts: int
    replies: int
    likes: int
    tags: int
    seconds: float
    accounts: list[DemoAccount]
    # Not in reports of versions without chat.
    conversations: int = 0
    messages: int = 0


async def seed(
    admin_dsn: str,
    *,
    members: int,
    posts: int | None,
    seed: int,
    password: str,
    progress: Progress,
    replace: bool = False,
    until: datetime | None = None,
) -> SeedReport:
    """Write demo data.

    Args:
        admin_dsn: the database as the owner of the schema.
        members: how many; at least the ten demo accounts.
        posts: how many, replies included; ten per member by default.
        seed: the same number makes the same data.
        password: of all demo members.
        progress: called with the progress of each stage.
        replace: first delete all existing accounts and everything they wrote.
        until: the time of the last post; the beginning of today (UTC) by default, so that seedings of
            the same day are identical.

    Raises:
        OperatorError: there are members already, or ``members`` is too small.
    """
    if members < len(names.DEMO):
        raise OperatorError(
            f"A demo has at least {len(names.DEMO)} members: ask for more than {members}."
        )
    wanted = members * POSTS_PER_MEMBER if posts is None else posts
    end = until or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    async with postgres.connection(admin_dsn) as connection:
        async with _claimed(connection, replace=replace):
            report = await _write(
                connection, members, wanted, seed, password, moment(end), progress
            )
            await connection.execute(
                "INSERT INTO demo.seedings (members, posts, seed, report) VALUES ($1, $2, $3, $4)",
                members,
                wanted,
                seed,
                msgspec.json.encode(report).decode(),
            )
        # VACUUM cannot run in a transaction. It gives the first queries statistics and a visibility map,
        # instead of leaving both to autovacuum.
        filled = await connection.fetch(_FILLED)
        for done, (table,) in enumerate(filled):
            progress("statistics", done, len(filled))
            await connection.execute(f"VACUUM (ANALYZE) {table}")
        progress("statistics", len(filled), len(filled))
    return report


@asynccontextmanager
async def _claimed(connection: Connection, *, replace: bool) -> AsyncIterator[None]:
    """A transaction that has every table to itself, and in which there are no accounts."""
    for _ in range(CLAIMS):
        async with connection.transaction():
            if await _has_claimed(connection, replace=replace):
                yield
                return
    raise OperatorError("The database is too busy to be seeded: stop what uses it, and try again.")


async def _has_claimed(connection: Connection, *, replace: bool) -> bool:
    """Lock all tables; false where others hold some and wait for others."""
    # Less than `deadlock_timeout`, after which PostgreSQL might end what somebody asked for.
    await connection.execute("SET LOCAL lock_timeout = '500ms'")
    try:
        await connection.execute(f"LOCK TABLE {', '.join(_CLAIMED)} IN ACCESS EXCLUSIVE MODE")
        if replace:
            await connection.execute("TRUNCATE auth.accounts, demo.seedings CASCADE")
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return False
    await connection.execute("SET LOCAL lock_timeout = 0")
    count = await connection.fetchval("SELECT count(*) FROM auth.accounts WHERE NOT is_synthetic")
    if count:
        raise OperatorError(
            f"This database already has {count} members: seed an empty one (a fresh CHITLAQ_HOME),"
            " or delete them all with `chitlaq seed --replace`."
        )
    return True


async def _write(
    connection: Connection,
    members: int,
    posts: int,
    seed: int,
    password: str,
    until: int,
    progress: Progress,
) -> SeedReport:
    started = monotonic()
    await connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
    await connection.execute("SET LOCAL work_mem = '128MB'")
    universities = await _universities(connection, until, chance(seed, "universities"))
    who = people(members, until, DAYS, chance(seed, "people"))
    graph = Graph(who, until, DAYS, chance(seed, "graph"))
    # Search follows each row; at the end it is faster for all of them together.
    for table in _SEARCHED:
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    async with without_indexes(connection, _TABLES, progress):
        follows = await copy_rows(
            connection,
            "feed.follows",
            ("follower_id", "followed_id", "created_at"),
            graph.rows(),
            lambda done: progress("follows", done, members),
        )
        written = Posts(who, graph, posts, until, DAYS, seed)
        likes = await copy_rows(
            connection,
            "feed.likes",
            ("post_id", "member_id", "created_at"),
            written.like_rows(),
            lambda done: progress("likes", done, posts),
        )
        await copy_rows(
            connection,
            "feed.posts",
            POST_COLUMNS,
            written.rows(),
            lambda done: progress("posts", done, posts),
        )
        tags = await copy_rows(
            connection,
            "feed.post_tags",
            ("tag", "post_id", "spelling"),
            written.tag_rows(),
            lambda done: progress("tags", done, len(written.tagged)),
        )
        await _write_people(connection, who, graph, written, universities, seed, password, progress)
    await relations.write(connection, who, graph, until, chance(seed, "relations"))
    progress("search", 0, 1)
    await connection.execute("SELECT search.index_all(), search.index_posts()")
    progress("search", 1, 1)
    for table in _SEARCHED:
        await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    talk = Conversations(who, until, chance(seed, "conversations"))
    await talk.write(connection)
    await connection.execute("SELECT search.index_messages()")
    return SeedReport(
        universities=len(universities),
        members=members,
        follows=follows,
        posts=posts,
        replies=written.replies,
        likes=likes,
        tags=tags,
        conversations=len(talk.conversations),
        messages=len(talk.messages),
        seconds=round(monotonic() - started, 2),
        accounts=[DemoAccount(demo.username, email(demo.username, 0)) for demo in names.DEMO],
    )


async def _universities(connection: Connection, until: int, rng: Random) -> list[UUID]:
    """Return the ids of the demo's universities; create the missing ones."""
    ids = []
    for university in names.UNIVERSITIES:
        fresh = UUID(bytes=uuid7(until, rng))
        known = await connection.fetchval(
            "SELECT university_id FROM auth.university_domains WHERE domain = $1", university.domain
        )
        ids.append(known or fresh)
        if known is None:
            await connection.execute(
                "INSERT INTO auth.universities (id, name) VALUES ($1, $2)", fresh, university.name
            )
            await connection.execute(
                "INSERT INTO auth.university_domains (domain, university_id) VALUES ($1, $2)",
                university.domain,
                fresh,
            )
    return ids


async def _write_people(
    connection: Connection,
    who: People,
    graph: Graph,
    posts: Posts,
    universities: list[UUID],
    seed: int,
    password: str,
    progress: Progress,
) -> None:
    """Write accounts and members, last because their counters are known only now."""
    # The salt comes from the seed, so that rows are reproducible; each installation has its own password.
    hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
    password_hash = hasher.hash(password, salt=chance(seed, "salt").randbytes(16))

    def accounts() -> Iterator[tuple[object, ...]]:
        for member, own in enumerate(who.ids):
            username, university = who.usernames[member], who.universities[member]
            joined = time_of(who.joined[member])
            yield (
                UUID(bytes=own),
                universities[university],
                email(username, university),
                username,
                who.display_names[member],
                password_hash,
                joined,
                joined,
            )

    def members() -> Iterator[tuple[object, ...]]:
        for member, own in enumerate(who.ids):
            yield (
                UUID(bytes=own),
                universities[who.universities[member]],
                who.usernames[member],
                who.display_names[member],
                who.bios[member],
                DEPARTMENTS[who.departments[member]],
                bool(who.private[member]),
                len(graph.followers[member]),
                graph.following[member],
                posts.counts_by_author[member],
                time_of(who.joined[member]),
            )

    progress("members", 0, len(who))
    await connection.copy_records_to_table(
        "accounts",
        schema_name="auth",
        columns=(
            "id", "university_id", "email", "username", "display_name", "password_hash",
            "created_at", "verified_at",
        ),
        records=accounts(),
    )  # fmt: skip
    progress("members", len(who) // 2, len(who))
    await connection.copy_records_to_table(
        "members",
        schema_name="feed",
        columns=(
            "id", "university_id", "username", "display_name", "bio", "department", "is_private",
            "followers_count", "following_count", "posts_count", "created_at",
        ),
        records=members(),
    )  # fmt: skip
    progress("members", len(who), len(who))
