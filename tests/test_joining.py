"""Members whom the tests make themselves are as those who registered."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx

from tests.conftest import Member, Stack, become_member, register

# What is over once an address was confirmed, and is deleted soon.
OF_REGISTERING = {"auth.registrations", "auth.registration_links", "mail.messages"}
CHANGES = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\dT[\d:.+]+|\\\\x[0-9a-f]{64}|\$argon2id\S+"
    r"|(?<=\"tokens\": )\[[^]]*\]|(?<=\"keys\": )\[[^]]*\]|(?<=\"whole\": )-?\d+|(?<=\"username\": )-?\d+"
    r"|(?<=\"id\": )\d+|(?<=\"username_skeleton\": )\"\w+\""
)


async def kept_of(stack: Stack, member: Member) -> list[str]:
    """Every row that names a member, by their id or their name, without what differs for each."""
    tables = await stack.sql(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY name"
    )
    found = []
    for name in (row["name"] for row in tables if row["name"] not in OF_REGISTERING):
        rows = await stack.sql(
            f"SELECT to_jsonb(t)::text AS row FROM {name} t"
            f" WHERE to_jsonb(t)::text LIKE '%' || $1 || '%' OR to_jsonb(t)::text LIKE '%' || $2 || '%'",
            member.id,
            member.username,
        )
        for row in rows:
            text = row["row"].replace(member.username, "NAME")
            found.append(f"{name} {CHANGES.sub('…', text)}")
    return sorted(found)


async def test_member_of_the_tests_is_as_one_who_registered(
    stack: Stack, client: httpx.AsyncClient, name: Callable[[], str]
) -> None:
    registered = await register(stack, client, name())
    made = await become_member(stack, client, name())
    kept = await kept_of(stack, registered)
    assert {"auth.accounts", "auth.sessions", "auth.audit", "feed.members"} <= {
        one.partition(" ")[0] for one in kept
    }
    assert await kept_of(stack, made) == kept
    for who in (registered, made):
        answer = await client.get("/api/auth/status", headers=who.headers)
        assert answer.json()["user"]["username"] == who.username
        answer = await client.post("/api/auth/refresh", json={"refresh_token": who.refresh_token})
        assert answer.status_code == 200, answer.text
