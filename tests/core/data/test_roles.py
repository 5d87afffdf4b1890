"""What each PostgreSQL role may do: exactly what is listed here, in every schema of the application."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch

import pytest

from chitlaq.core.data.postgres import OWNER
from chitlaq.core.installation.secrets import BACKUP, POSTGRES_ROLES, SUPERUSER
from tests.conftest import Stack

READ, ADD, USE, OWN = "r", "a", "rawd", "rawdD"
"""SELECT, INSERT, UPDATE, DELETE and TRUNCATE, by PostgreSQL's own letters."""
IDENTITY = {"auth.public_keys": READ, "auth.revocations": READ, "auth.university_names": READ}

GRANTED: Mapping[str, Mapping[str, str]] = {
    SUPERUSER: {"*": OWN},
    OWNER: {"*": OWN},
    BACKUP: {},
    "chitlaq_auth": {
        "auth.audit": "ra",
        "auth.*": USE,
        "feed.member_cards": READ,
        "health.heartbeats": USE,
        "jobs.jobs": USE,
        "mail.messages": USE,
    },
    "chitlaq_feed": {
        **IDENTITY,
        "auth.disabled_accounts": READ,
        "feed.*": USE,
        "health.heartbeats": USE,
        "jobs.jobs": USE,
        "websocket.group_members": READ,
        "websocket.media_readers": READ,
        "websocket.message_audiences": READ,
    },
    "chitlaq_search": {
        **IDENTITY,
        "feed.block_pairs": READ,
        "feed.follow_pairs": READ,
        "feed.listed_members": READ,
        "health.heartbeats": USE,
        "jobs.jobs": USE,
        "search.*": USE,
        "websocket.named_groups": READ,
    },
    "chitlaq_websocket": {
        **IDENTITY,
        "auth.live_sessions": READ,
        "auth.synthetic_accounts": READ,
        "feed.block_pairs": READ,
        "feed.follow_pairs": READ,
        "feed.member_cards": READ,
        "feed.member_ids": READ,
        "feed.mute_pairs": READ,
        "health.heartbeats": USE,
        "jobs.jobs": USE,
        "websocket.*": USE,
    },
    "chitlaq_gateway": IDENTITY,
    "chitlaq_ops": {
        "auth.account_counts": READ,
        "auth.active_members": READ,
        "auth.public_keys": READ,
        "auth.revocations": READ,
        "feed.delivery_backlog": READ,
        "feed.growth": READ,
        "feed.media_objects": READ,
        "feed.media_totals": READ,
        "feed.ranking_age": READ,
        "jobs.backlog": READ,
        "jobs.jobs": ADD,
        "mail.backlog": READ,
        "mail.messages": ADD,
        "ops.*": USE,
        "websocket.announcement_backlog": READ,
        "websocket.digest_backlog": READ,
        "websocket.message_count": READ,
    },
}
PARTS = ["auth.add_export_file", "auth.complete_erasure_part", "auth.complete_export_part"]
BORROWED = {
    "chitlaq_auth": [
        *PARTS,
        "feed.create_member",
        "feed.hide_member",
        "feed.move_member",
        "websocket.synthetic_conversation",
    ],
    "chitlaq_feed": [*PARTS, "websocket.set_message_audience"],
    "chitlaq_search": [
        *PARTS,
        "feed.parts_of_posts",
        "feed.posts_found",
        # Two: the version before this one calls one of them.
        "feed.tags_beginning",
        "feed.tags_beginning",
        "search.active_on",
        "websocket.conversations_named",
        "websocket.index_messages",
        "websocket.messages_found",
        "websocket.parts_of_messages",
    ],
    "chitlaq_ops": [
        "feed.counter_faults",
        "feed.findable_username",
        "feed.latest_public_posts",
        "feed.sampled_media",
        "search.index_faults",
        "websocket.numbering_faults",
    ],
    "chitlaq_websocket": [
        *PARTS,
        "feed.addressed",
        "feed.audience",
        "feed.cards_of",
        "feed.causes",
        "feed.deleted_posts",
        "feed.excerpts",
        "feed.news_for",
        "feed.poll_audience",
        "feed.use_media",
    ],
}
"""Functions that run with their owner's privileges, and who may call them."""

OURS = "n.nspname !~ '^(pg_|information_schema$|public$)'"
RELATIONS = f"""
SELECT format('%s.%s', n.nspname, c.relname) AS relation,
       coalesce(string_agg(letter, '' ORDER BY place) FILTER (
           WHERE has_schema_privilege($1, n.oid, 'USAGE')
             AND (has_table_privilege($1, c.oid, privilege)
                  OR place <= 3 AND has_any_column_privilege($1, c.oid, privilege))), '') AS granted
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'],
        ARRAY['r', 'a', 'w', 'd', 'D']) WITH ORDINALITY AS p (privilege, letter, place)
WHERE c.relkind IN ('r', 'v', 'm', 'p') AND {OURS}
GROUP BY 1
"""
FUNCTIONS = f"""
SELECT format('%s.%s', n.nspname, p.proname) AS name
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosecdef AND {OURS} AND has_function_privilege($1, p.oid, 'EXECUTE')
ORDER BY 1
"""
SCHEMAS = f"SELECT FROM pg_namespace n WHERE {OURS} AND has_schema_privilege($1, n.oid, 'CREATE')"
ATTRIBUTES = """
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS is_special,
       array(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid) AS member_of
FROM pg_roles r
WHERE rolname = $1
"""


def test_every_role_says_what_it_may_do() -> None:
    assert set(GRANTED) == set(POSTGRES_ROLES)


@pytest.mark.parametrize("role", POSTGRES_ROLES)
async def test_role_reaches_what_is_listed_and_nothing_else(stack: Stack, role: str) -> None:
    found = {row["relation"]: row["granted"] for row in await stack.sql(RELATIONS, role)}
    expected = {
        relation: next((may for of, may in GRANTED[role].items() if fnmatch(relation, of)), "")
        for relation in found
    }
    assert found == expected
    for of in GRANTED[role]:
        assert any(fnmatch(relation, of) for relation in found), f"there is no {of}"


@pytest.mark.parametrize("role", sorted(set(POSTGRES_ROLES) - {SUPERUSER, OWNER}))
async def test_role_gains_nothing_beside_its_tables(stack: Stack, role: str) -> None:
    """By no schema, function, attribute or other role."""
    assert await stack.sql(SCHEMAS, role) == []
    called = [row["name"] for row in await stack.sql(FUNCTIONS, role)]
    assert called == BORROWED.get(role, [])
    ((is_special, member_of),) = await stack.sql(ATTRIBUTES, role)
    assert not is_special
    assert member_of == (["pg_monitor"] if role == "chitlaq_ops" else [])
