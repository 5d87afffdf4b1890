"""Migrations run forwards, on a database with data, once, by one process at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from yoyo import get_backend, read_migrations

import chitlaq
from tests.conftest import Stack, eventually

FOLDER = Path(chitlaq.__file__).parent / "migrations"
NAMES = sorted(path.stem for path in FOLDER.glob("*.sql"))


STORED = {
    "0021_attempts": """
        INSERT INTO auth.attempts VALUES (sha256('name'), '', 1, now(), now());
        INSERT INTO auth.address_failures VALUES ('192.0.2.1', 1, now());
        INSERT INTO auth.failed_names VALUES ('192.0.2.0/24', sha256('name'), now());
        INSERT INTO auth.devices (account_id, key_hash) SELECT id, sha256('key') FROM auth.accounts;
        INSERT INTO auth.known_addresses (account_id, address) SELECT id, '192.0.2.1' FROM auth.accounts;
        """,
    "0001_universities_and_accounts": """
        INSERT INTO auth.accounts (university_id, email, username, display_name, password_hash)
        SELECT id, username || '@example.edu', username, username, 'x'
        FROM auth.universities, unnest(ARRAY['kept', 'other']) AS username;
        INSERT INTO auth.mail_tokens SELECT sha256(username::bytea), id, now() FROM auth.accounts;
        INSERT INTO auth.sessions (account_id, refresh_hash, user_agent, expires_at)
        SELECT id, sha256(username::bytea), '', now() FROM auth.accounts;
        INSERT INTO auth.signing_keys VALUES ('key', '{}');
        """,
    "0002_mail": """
        INSERT INTO mail.messages
            (to_address, subject, text, html, request_id, attempts, last_error, sent_at)
        VALUES ('sent@example.edu', 'Sent', '', '', 'of the sent mail', 1, NULL, now()),
               ('kept@example.edu', 'Unsent', 'text', 'html', 'of the mail', 3, 'come back later', NULL);
        """,
    "0003_members_and_graph": """
        SELECT feed.create_member(id, university_id, username, username) FROM auth.accounts;
        INSERT INTO feed.follows SELECT a.id, b.id FROM feed.members a, feed.members b WHERE a.id < b.id;
        INSERT INTO feed.blocks SELECT a.id, b.id FROM feed.members a, feed.members b WHERE a.id > b.id;
        """,
    "0004_posts": """
        INSERT INTO feed.posts (author_id, text) SELECT id, 'to be delivered' FROM feed.members LIMIT 1;
        INSERT INTO feed.post_tags SELECT 'tag', id FROM feed.posts;
        INSERT INTO feed.likes SELECT p.id, m.id FROM feed.posts p, feed.members m;
        INSERT INTO feed.deliveries (post_id, request_id) SELECT id, 'of the post' FROM feed.posts;
        """,
    "0026_media": """
        INSERT INTO feed.media
            (owner_id, purpose, state, name, alt, width, height, is_animated, bytes, sha256, blurhash)
        SELECT id, 'post', 'ready', md5(id::text), '', 1, 1, false, 1, sha256('x'), 'LEHV6n'
        FROM feed.members;
        INSERT INTO feed.media_files SELECT id, 'large', 'webp', 1, sha256('x') FROM feed.media;
        INSERT INTO feed.post_media
        SELECT (SELECT id FROM feed.posts LIMIT 1), 0, id FROM feed.media LIMIT 1;
        """,
    "0066_lease_of_operations": """
        INSERT INTO ops.lease (holder, host, expires_at) VALUES ('a home', 'a machine', now());
        INSERT INTO ops.turns (what, due_at, host) VALUES ('midday', now(), 'a machine');
    """,
    "0074_what_operations_were_told": "INSERT INTO ops.told (epoch, told) VALUES (1, '{}')",
    "0076_subscribers_of_the_status_page": """
        INSERT INTO ops.subscribers (id, changed_at, sealed) VALUES (uuidv7(), now(), NULL)
        """,
    "0005_demo": "INSERT INTO demo.seedings (members, posts, seed, report) VALUES (1, 0, 1, '{}')",
    "0006_ops": """
        INSERT INTO ops.alerts (fingerprint, name, severity, labels, summary, procedure, started_at)
        VALUES ('print', 'Down', 'P1', '{}', 'It is down.', 'Disk', now())
        """,
    "0007_runs": """
        INSERT INTO ops.runs VALUES (uuidv7(), 'morning', 'OK', now(), 1, 'ada', 'here');
        INSERT INTO ops.results SELECT id, 'host.disk', 'Disk', 'Host', 'OK', '', '{}', '[]', '', 1
        FROM ops.runs;
        INSERT INTO ops.notes (check_id, kind, text, operator) VALUES ('host.disk', 'note', 'x', 'ada');
        INSERT INTO ops.actions (action, target, operator, reason) VALUES ('prune', '', 'ada', 'full');
        INSERT INTO ops.scheduled_runs VALUES ('morning', now());
        INSERT INTO ops.log_patterns VALUES ('redis', 'pattern', now(), now());
        """,
    "0009_jobs": """
        INSERT INTO jobs.jobs (kind, payload, request_id) VALUES ('of_another_version', '{}', 'x')
        """,
    "0013_chat": """
        WITH begun AS (
            INSERT INTO websocket.conversations (kind, name) VALUES ('group', 'two') RETURNING id
        ),
        joined AS (
            INSERT INTO websocket.participants (conversation_id, account_id, state)
            SELECT begun.id, accounts.id, 'joined' FROM begun, auth.accounts
        )
        INSERT INTO websocket.messages (conversation_id, seq, sender_id, client_id, text, sent_at)
        SELECT begun.id, 1, accounts.id, 'x', 'hello', now() FROM begun, auth.accounts LIMIT 1;
        INSERT INTO websocket.message_edits
        SELECT conversation_id, seq, now(), 'helo' FROM websocket.messages;
        INSERT INTO websocket.reactions (conversation_id, seq, account_id, emoji)
        SELECT conversation_id, seq, sender_id, '👍' FROM websocket.messages;
        INSERT INTO websocket.privacy (account_id) SELECT id FROM auth.accounts
        """,
    "0017_sessions": """
        INSERT INTO auth.used_refresh_tokens SELECT sha256(id::text::bytea), id FROM auth.sessions;
        UPDATE auth.sessions SET ended_at = now();
        """,
    "0018_passwords": """
        INSERT INTO auth.mailed_tokens (token_hash, account_id, purpose, expires_at)
        SELECT sha256(id::text::bytea), id, 'password_reset', now() FROM auth.accounts;
        """,
    "0015_audit": "INSERT INTO auth.audit (account_id, action) SELECT id, 'signed_in' FROM auth.accounts",
    "0024_posts": """
        INSERT INTO feed.reposts (post_id, member_id) SELECT p.id, m.id FROM feed.posts p, feed.members m;
        INSERT INTO feed.bookmarks (post_id, member_id) SELECT p.id, m.id FROM feed.posts p, feed.members m;
        INSERT INTO feed.post_mentions SELECT p.id, m.id FROM feed.posts p, feed.members m;
        INSERT INTO feed.post_edits (post_id, text) SELECT id, 'before' FROM feed.posts;
        """,
    "0027_tags": """
        INSERT INTO feed.rankings DEFAULT VALUES;
        INSERT INTO feed.ranked_posts SELECT r.id, 1, p.id FROM feed.rankings r, feed.posts p;
        INSERT INTO feed.trending_tags VALUES (NULL, 1, 'tag', 'Tag', 1, 1);
        """,
    "0028_polls_and_drafts": """
        INSERT INTO feed.polls SELECT id, '{yes,no}', '{1,0}', 1, now(), false FROM feed.posts;
        INSERT INTO feed.poll_votes SELECT p.post_id, m.id, '{0}' FROM feed.polls p, feed.members m;
        INSERT INTO feed.drafts (member_id, post) SELECT id, '{"text": "later"}' FROM feed.members;
        """,
    "0019_second_factors": """
        INSERT INTO auth.totp_keys (account_id, sealed_key) SELECT id, sha256('key') FROM auth.accounts;
        INSERT INTO auth.recovery_codes SELECT id, sha256('code') FROM auth.accounts;
        INSERT INTO auth.passkeys (account_id, credential_id, public_key, sign_count, transports, name)
        SELECT id, id::text::bytea, '', 0, '{}', 'Phone' FROM auth.accounts;
        INSERT INTO auth.passkey_challenges SELECT sha256('x'), id, 'authentication', now()
        FROM auth.accounts LIMIT 1
        """,
    "0016_registrations": """
        INSERT INTO auth.registrations
            (university_id, email, username, display_name, password_hash, expires_at)
        SELECT id, 'new@example.edu', 'new', 'New', 'x', now() FROM auth.universities;
        INSERT INTO auth.registration_links SELECT sha256('token'), id FROM auth.registrations;
        INSERT INTO auth.address_rules (university_id, position, kind, pattern)
        SELECT id, 0, 'refuse', 'x@example.edu' FROM auth.universities
        """,
    "0020_single_sign_on": """
        INSERT INTO auth.identity_providers (name, title, university_id, issuer, client_id, sealed_secret,
                                             scopes, verified_claim, second_factors)
        SELECT 'campus', 'Campus', id, 'https://login.example.edu', 'chitlaq', '', '{openid}', '', '{}'
        FROM auth.universities;
        INSERT INTO auth.claim_rules
        SELECT id, 1, 'role', 'groups', 'staff', 'admin' FROM auth.identity_providers;
        INSERT INTO auth.linked_identities (provider_id, subject, account_id)
        SELECT p.id, a.username, a.id FROM auth.identity_providers p, auth.accounts a;
        INSERT INTO auth.provider_sessions
        SELECT s.id, p.id, '' FROM auth.identity_providers p, auth.sessions s
        """,
    "0023_departures": """
        INSERT INTO auth.exports (account_id, contributors, expires_at)
        SELECT id, '{chitlaq_auth}', now() FROM auth.accounts;
        INSERT INTO auth.export_parts SELECT id, 'chitlaq_auth' FROM auth.exports;
        INSERT INTO auth.export_files SELECT id, 'auth/account', '', 0, '[]' FROM auth.exports;
        INSERT INTO auth.export_chunks SELECT id, 0, 'PK' FROM auth.exports;
        INSERT INTO auth.departures (account_id, erase_at) SELECT id, now() FROM auth.accounts;
        INSERT INTO auth.retired_usernames VALUES (sha256('gone'))
        """,
    "0025_members_and_graph": """
        INSERT INTO feed.follow_requests (requester_id, requested_id)
        SELECT a.id, b.id FROM feed.members a, feed.members b WHERE a.id > b.id;
        INSERT INTO feed.mutes (member_id, muted_id)
        SELECT a.id, b.id FROM feed.members a, feed.members b WHERE a.id > b.id;
        INSERT INTO feed.muted_words (member_id, word) SELECT id, 'Exam' FROM feed.members;
        INSERT INTO feed.muted_tags (member_id, tag) SELECT id, 'exam' FROM feed.members;
        INSERT INTO feed.muted_threads SELECT m.id, p.id FROM feed.members m, feed.posts p;
        """,
    "0031_notifications": """
        INSERT INTO websocket.notified_accounts (account_id, latest) SELECT id, now() FROM auth.accounts;
        INSERT INTO websocket.notifications (recipient_id, kind, subject_id, position, count)
        SELECT account_id, 'follow', account_id, latest, 1 FROM websocket.notified_accounts;
        INSERT INTO websocket.notification_causes
        SELECT subject_id, kind, uuidv7(), recipient_id, id, position FROM websocket.notifications;
        INSERT INTO websocket.shrunk_notifications SELECT recipient_id, id FROM websocket.notifications
        """,
    "0032_notification_channels": """
        INSERT INTO websocket.notification_settings (account_id) SELECT id FROM auth.accounts;
        INSERT INTO websocket.push_subscriptions (session_id, account_id, endpoint, public_key, secret)
        SELECT id, account_id, 'https://push.example.com/' || id, '\\x04' || sha256('x') || sha256('y'),
               substr(sha256('secret'), 1, 16) FROM auth.sessions;
        """,
    "0033_announcements": """
        INSERT INTO websocket.announcements (author_id, text, expires_at, audience)
        SELECT id, 'The library closes early.', now() + interval '7 days', 1 FROM auth.accounts LIMIT 1;
        INSERT INTO websocket.dismissed_announcements (account_id, announcement_id)
        SELECT author_id, id FROM websocket.announcements
        """,
    "0034_member_search": """
        INSERT INTO search.history (account_id, folded, text) SELECT id, 'ada', 'Ada' FROM auth.accounts;
        INSERT INTO search.privacy (account_id) SELECT id FROM auth.accounts;
        INSERT INTO search.reindexing (indexed_to) VALUES (uuidv7())
        """,
    "0036_pictures_in_chat": """
        INSERT INTO websocket.message_media
        SELECT conversation_id, seq, 0, (SELECT id FROM feed.media LIMIT 1) FROM websocket.messages LIMIT 1
        """,
    "0040_heartbeats": "INSERT INTO health.heartbeats (process) VALUES (7);",
    "0040_message_search": """
        INSERT INTO websocket.indexed_messages (conversation_id, seq)
        SELECT id, 1 FROM websocket.conversations LIMIT 1;
        INSERT INTO search.text_reindexing (kind, id, seq) VALUES ('posts', uuidv7(), 0)
        """,
    "0041_pictures_of_groups": """
        INSERT INTO websocket.conversation_media
        SELECT c.id, m.id FROM websocket.conversations c, feed.media m LIMIT 1
        """,
    "0046_reports": """
        INSERT INTO feed.reports (reporter_id, kind, member_id, reason)
        SELECT a.id, 'member', b.id, 'spam' FROM feed.members a, feed.members b WHERE a.id > b.id
        """,
}
"""What an installation stored in the tables that a migration made, before the next one came."""

TABLES = """
SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
WHERE schemaname !~ '^(pg_|information_schema$|public$)'
"""


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[str]:
    """An empty database on the stack's server; its URL, for ``DATABASE_URL``."""
    await stack.sql("CREATE DATABASE forwards OWNER chitlaq")
    password = (stack.home / "secrets" / "postgres-postgres").read_text().strip()
    yield f"postgresql://postgres:{password}@127.0.0.1:{stack.ports['postgres']}/forwards"
    await stack.sql("DROP DATABASE forwards WITH (FORCE)")


def apply_first(url: str, count: int) -> None:
    """Prepare a database as an older version, with fewer migrations, left it."""
    backend = get_backend(url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        backend.apply_migrations(backend.to_apply(read_migrations(str(FOLDER))[:count]))
    finally:
        backend.connection.close()


async def rows(connection: asyncpg.Connection[Any]) -> dict[str, int]:
    tables = [row["name"] for row in await connection.fetch(TABLES)]
    return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


async def test_each_migration_applies_to_what_was_stored_before_it(
    stack: Stack, database: str
) -> None:
    """Whatever the last migration is: no row of a remaining table is lost, and none was empty."""
    connection = await asyncpg.connect(database)
    try:
        for count, name in enumerate(NAMES, 1):
            before = await rows(connection)
            await asyncio.to_thread(apply_first, stack.dsn("chitlaq", "forwards"), count)
            after = await rows(connection)
            lost = [table for table, stored in before.items() if after.get(table, stored) < stored]
            assert lost == [], name
            await connection.execute(STORED.get(name, "SELECT"))
            empty = [table for table, stored in (await rows(connection)).items() if stored == 0]
            assert empty == [], f"say in STORED what is in the tables of {name}"
        found = await connection.fetch(
            "SELECT kind, request_id, attempts, reason FROM jobs.jobs ORDER BY kind"
        )
        assert [tuple(row) for row in found] == [
            ("deliver_post", "of the post", 0, None),
            ("index_activity", "0" * 32, 0, None),
            ("of_another_version", "x", 0, None),
            ("send_mail", "of the mail", 3, "come back later"),
            ("tag_posts", "0" * 32, 0, None),
        ]
    finally:
        await connection.close()


async def test_account_that_was_never_verified_becomes_a_registration(
    stack: Stack, database: str
) -> None:
    """Its link still works, and it holds its address and name no longer."""
    older = NAMES.index("0016_registrations")
    await asyncio.to_thread(apply_first, stack.dsn("chitlaq", "forwards"), older)
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            """
            INSERT INTO auth.accounts
                (university_id, email, username, display_name, password_hash, verified_at)
            SELECT id, who || '@example.edu', who, who, 'hash', at
            FROM auth.universities, (VALUES ('waiting', NULL), ('verified', now())) AS a (who, at);
            INSERT INTO auth.mail_tokens SELECT sha256(username::bytea), id, now() + interval '1 hour'
            FROM auth.accounts
            """
        )
        await asyncio.to_thread(apply_first, stack.dsn("chitlaq", "forwards"), older + 1)
        found = await connection.fetch(
            "SELECT r.email, r.password_hash, l.token_hash = sha256(r.username::bytea) AS works, a.username"
            " FROM auth.registrations r JOIN auth.registration_links l ON l.registration_id = r.id"
            " LEFT JOIN auth.accounts a ON a.id = r.account_id WHERE r.expires_at > now() ORDER BY 1"
        )
        assert [tuple(row) for row in found] == [
            ("verified@example.edu", "hash", True, "verified"),
            ("waiting@example.edu", "hash", True, None),
        ]
        assert await connection.fetchval("SELECT count(*) FROM auth.accounts") == 1
        counts = await connection.fetch("SELECT * FROM auth.account_counts ORDER BY state")
        assert [tuple(row) for row in counts] == [("unverified", 1), ("verified", 1)]
    finally:
        await connection.close()


async def test_synthetic_members_can_post_whichever_version_made_them(
    stack: Stack, database: str
) -> None:
    older = NAMES.index("0064_posts_of_synthetic_members")
    made = (
        "INSERT INTO auth.accounts (email, username, display_name, password_hash, verified_at, is_synthetic)"
        " VALUES ($1::text || '@chitlaq.invalid', 'synthetic_' || $1::text, 'x', 'none', now(), true)"
    )
    connection = await asyncpg.connect(database)
    try:
        await asyncio.to_thread(apply_first, stack.dsn("chitlaq", "forwards"), older)
        await connection.execute(made, "before")
        await asyncio.to_thread(apply_first, stack.dsn("chitlaq", "forwards"), older + 1)
        await connection.execute(made, "since")
        found = await connection.fetch("SELECT username FROM feed.members ORDER BY username")
        assert [row[0] for row in found] == ["synthetic_before", "synthetic_since"]
    finally:
        await connection.close()


@pytest.mark.parametrize("first", [0, len(NAMES) // 2, len(NAMES) - 1])
async def test_one_of_several_processes_applies_what_is_new_and_the_others_wait(
    stack: Stack, database: str, first: int
) -> None:
    if first:
        await asyncio.to_thread(apply_first, stack.dsn("chitlaq", "forwards"), first)
    environment = {"DATABASE_URL": database}
    answers = await asyncio.gather(
        *(asyncio.to_thread(stack.command, "migrate", env=environment) for _ in range(3))
    )
    assert all(one.returncode == 0 for one in answers), [one.stderr for one in answers]
    applied = [name for one in answers for name in re.findall(r"applied (\S+)", one.stdout)]
    assert applied == NAMES[first:]


@pytest.mark.parametrize(
    ("works_from", "is_used"),
    [(None, False), ("0", True), (chitlaq.__version__, True), ("999.0.0", False)],
    ids=["unknown", "adds only", "this version", "a later version"],
)
async def test_database_of_a_newer_version_is_used_if_that_took_nothing_away(
    stack: Stack, database: str, works_from: str | None, is_used: bool
) -> None:
    environment = {"DATABASE_URL": database}
    assert (await asyncio.to_thread(stack.command, "migrate", env=environment)).returncode == 0
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
            " VALUES ('from-the-future', '9999_later', now())"
        )
        if works_from is not None:
            await connection.execute(
                "INSERT INTO chitlaq_migration_versions VALUES ('from-the-future', '999.1.0', $1)",
                works_from,
            )
    finally:
        await connection.close()
    for words in (("migrate",), ("migrate", "--check")):
        answer = await asyncio.to_thread(stack.command, *words, env=environment)
        assert answer.returncode == (0 if is_used else 1), answer.stderr
        assert is_used or "was used by a newer version of ChitLaq" in answer.stderr


async def test_migration_gives_way_to_who_reads_what_it_replaces(
    stack: Stack, database: str
) -> None:
    """Members who come after it do not queue behind it, and it is applied once the table is free."""
    last = "0056_expected_pictures"
    await asyncio.to_thread(apply_first, stack.dsn("chitlaq", "forwards"), NAMES.index(last))
    holding, member = await asyncpg.connect(database), await asyncpg.connect(database)
    try:
        transaction = holding.transaction()
        await transaction.start()
        await holding.execute("SELECT FROM feed.media_objects")
        migrating = asyncio.create_task(
            asyncio.to_thread(stack.command, "migrate", env={"DATABASE_URL": database})
        )
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"

        async def has_given_way() -> bool:
            return bool(await member.fetchval(waiting))

        await eventually(has_given_way)
        await member.fetch("SELECT FROM feed.media_objects", timeout=20)
        assert not migrating.done()
        await transaction.rollback()
        answer = await migrating
        assert answer.returncode == 0, answer.stderr
        assert f"applied {last}" in answer.stdout
    finally:
        await holding.close()
        await member.close()


async def test_unreachable_server_is_one_sentence(stack: Stack) -> None:
    environment = {"DATABASE_URL": "postgresql://postgres:x@127.0.0.1:1/chitlaq"}
    answer = await asyncio.to_thread(stack.command, "migrate", "--provision", env=environment)
    assert answer.returncode == 1
    assert answer.stderr.startswith("chitlaq: PostgreSQL is not reachable")
    assert len(answer.stderr.splitlines()) == 1
