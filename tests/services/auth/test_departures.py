"""Leaving: a copy of everything, and nothing left afterwards."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import re
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from chitlaq import inventory
from chitlaq.core.data import member_data, named_queries
from chitlaq.core.data.member_data import Contribution
from chitlaq.services.auth.departures.contribution import CONTRIBUTION
from chitlaq.services.feed.departures import departures as feed
from chitlaq.services.search.departures import departures as search
from chitlaq.services.websocket.departures import departures as websocket
from tests.conftest import PASSWORD, Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]


async def leave(member: Member, **body: Any) -> httpx.Response:
    return await member.client.request(
        "DELETE", "/api/auth/account", json=body, headers=member.headers
    )


async def sign_in(member: Member) -> dict[str, Any]:
    body = {"login": member.username, "password": PASSWORD}
    answer = await member.client.post("/api/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    signed_in: dict[str, Any] = answer.json()
    member.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
    return signed_in


async def exported(member: Member) -> zipfile.ZipFile:
    """Ask for an export, wait until it is ready, and fetch it."""
    assert (await member.post("/api/auth/export")).status_code == 202

    async def ready() -> str | None:
        (one,) = (await member.get("/api/auth/export")).json()["items"]
        return one["id"] if one["ready_at"] else None

    export_id = await eventually(ready)
    answer = await member.get(f"/api/auth/export/{export_id}")
    assert answer.headers["content-type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(answer.content))


def read(archive: zipfile.ZipFile, name: str) -> Any:
    return json.loads(archive.read(f"{name}.json"))


async def talk(one: Member, other: Member, text: str) -> str:
    """Let two write to each other; return their conversation."""
    begun = await one.post("/api/conversations", {"kind": "direct", "members": [other.username]})
    conversation_id: str = begun.json()["id"]
    await say(one, conversation_id, text)
    return conversation_id


async def say(member: Member, conversation_id: str, text: str) -> None:
    body = {"text": text, "client_id": str(uuid4())}
    answer = await member.post(f"/api/conversations/{conversation_id}/messages", body)
    assert answer.status_code == 201, answer.text


async def test_export_has_everything_of_a_member_and_only_for_them(
    stack: Stack, join: Join
) -> None:
    ada, eve = await join(), await join()
    post = await ada.write("what ada wrote #tag")
    await eve.put(f"/api/users/{ada.username}/follow")
    await ada.put(f"/api/posts/{(await eve.write('of eve'))['id']}/like")
    conversation_id = await talk(ada, eve, "<b>hello eve")

    await stack.sql(
        "INSERT INTO mail.messages (to_address, subject, text, html, request_id, created_at)"
        " VALUES ($1, 'to somebody before', '', '', '', now() - interval '2 days')",
        ada.email,
    )

    archive = await exported(ada)

    assert archive.testzip() is None
    assert read(archive, "auth/account")[0]["email"] == ada.email
    assert [one["id"] for one in read(archive, "feed/posts")] == [post["id"]]
    assert [one["username"] for one in read(archive, "feed/followers")] == [eve.username]
    assert len(read(archive, "feed/likes")) == 1
    (message,) = read(archive, f"websocket/messages/{conversation_id}/000000001")
    assert message["text"] == "<b>hello eve"
    index = archive.read("index.html").decode()
    assert all(name in index for name in archive.namelist() if name != "index.html")
    assert b"&lt;b&gt;hello eve" in archive.read(
        f"websocket/messages/{conversation_id}/000000001.html"
    )
    everything = b"".join(map(archive.read, archive.namelist()))
    assert eve.email.encode() not in everything
    assert b"to somebody before" not in everything
    (row,) = await stack.sql("SELECT id FROM auth.exports WHERE account_id = $1", ada.id)
    assert (await eve.get(f"/api/auth/export/{row['id']}")).status_code == 404
    assert (await ada.client.get(f"/api/auth/export/{row['id']}")).status_code == 401
    again = await ada.post("/api/auth/export")
    assert again.status_code == 429
    assert int(again.headers["Retry-After"]) > 80_000
    subjects = await stack.sql("SELECT subject FROM mail.messages WHERE to_address = $1", ada.email)
    assert "Your ChitLaq data is ready" in [one["subject"] for one in subjects]
    await stack.sql("UPDATE auth.exports SET expires_at = now() WHERE id = $1", row["id"])
    assert (await ada.get(f"/api/auth/export/{row['id']}")).status_code == 404


async def test_of_two_exports_at_once_one_is_made(stack: Stack, join: Join) -> None:
    ada = await join()
    answers = await asyncio.gather(*(ada.post("/api/auth/export") for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [202, 429, 429]


async def test_who_leaves_is_signed_out_and_invisible_at_once_and_may_stay(
    stack: Stack, join: Join
) -> None:
    ada, eve = await join(), await join()
    post = await ada.write("soon gone")
    await eve.put(f"/api/users/{ada.username}/follow")
    conversation_id = await talk(ada, eve, "bye")
    assert (await leave(ada, password="not the password")).status_code == 422
    assert (await leave(ada, password=PASSWORD)).status_code == 202

    async def is_signed_out() -> bool:
        return (await ada.get("/api/users/me")).status_code == 401

    await eventually(is_signed_out)
    seen = [
        await eve.get(f"/api/posts/{post['id']}"),
        await eve.get(f"/api/users/{ada.username}"),
    ]
    assert [answer.status_code for answer in seen] == [404, 404]
    assert (await eve.get(f"/api/search/users?q={ada.username}")).json()["items"] == []
    (message,) = (await eve.get(f"/api/conversations/{conversation_id}/messages")).json()["items"]
    assert message["sender"] is None

    signed_in = await sign_in(ada)
    assert signed_in["erase_at"]
    refused = await ada.get("/api/feed/home")
    assert refused.status_code == 403
    assert "/api/auth/account/keep" in refused.json()["detail"]
    assert (await ada.post("/api/auth/account/keep")).status_code == 204
    assert "erase_at" not in await sign_in(ada)
    assert (await eve.get(f"/api/posts/{post['id']}")).status_code == 200
    assert (await ada.get("/api/feed/home")).status_code == 200
    entries = (await ada.get("/api/auth/audit")).json()["items"]
    assert {"deletion_requested", "account_kept"} <= {entry["action"] for entry in entries}


async def test_operator_deletes_an_account_when_asked_and_its_owner_may_keep_it(
    stack: Stack, join: Join
) -> None:
    ada = await join()
    answer = await asyncio.to_thread(stack.command, "users", "delete", ada.username)
    assert "Nothing has changed." in answer.stderr
    assert (await ada.get("/api/auth/export")).status_code == 200
    answer = await asyncio.to_thread(stack.command, "users", "delete", ada.username, "--yes")
    assert "is hidden, and erased at" in answer.stdout, answer.stderr

    async def is_signed_out() -> bool:
        return (await ada.get("/api/users/me")).status_code == 401

    await eventually(is_signed_out)
    assert (await sign_in(ada))["erase_at"]
    entries = (await ada.get("/api/auth/audit")).json()["items"]
    (entry,) = [one for one in entries if one["action"] == "deletion_requested"]
    assert entry["operator"]
    assert (await ada.post("/api/auth/account/keep")).status_code == 204


FIND_KEY = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local bytes = key:gsub('.', function(c) return string.format('%02x', c:byte()) end)
  local ttl = redis.call('TTL', key)
  local is_kept = ttl < 0 or ttl > 120
  if is_kept and (key:find(ARGV[1], 1, true) or bytes:find(ARGV[2], 1, true)) then return bytes end
end
return ''
"""
"""A key with a word, or the bytes of an id, in its name. What counts requests is gone within two minutes."""


async def traces(stack: Stack, *words: str) -> list[str]:
    """Where one of these words is, in all tables but the bare ids of what was revoked; and in Valkey."""
    tables = await stack.sql(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname !~ '^(pg_|information_schema$|public$)'"
    )
    found = []
    for table in (row["name"] for row in tables):
        if table == "auth.revoked":
            continue
        rows = await stack.sql(
            f"SELECT t::text AS text FROM {table} t WHERE t::text ILIKE ANY ($1::text[])",
            [f"%{word}%" for word in words],
        )
        found += [f"{table}: {row['text'][:300]}" for row in rows]
    for word in words:
        key = stack.redis("eval", FIND_KEY, "0", word, word.replace("-", ""))
        found += [f"Valkey: {key}"] if key else []
    return found


async def test_erased_account_leaves_no_trace_and_others_keep_what_is_theirs(
    stack: Stack, join: Join
) -> None:
    ada, eve = await join(), await join()
    word = f"secret{uuid4().hex}"
    root = await eve.write("of eve")
    answer = await ada.write(word, reply_to=root["id"])
    below = await eve.write("eve answers", reply_to=answer["id"])
    await ada.write(f"{word} without an answer")
    await ada.put(f"/api/posts/{root['id']}/like")
    for one, other in ((ada, eve), (eve, ada)):
        await one.put(f"/api/users/{other.username}/follow")
    await talk(ada, eve, word)
    group = await eve.post(
        "/api/conversations",
        {"kind": "group", "name": "friends", "members": [ada.username]},
    )
    group_id = group.json()["id"]
    await say(ada, group_id, word)
    await say(eve, group_id, "of eve")
    await ada.put("/api/users/me/muted-words", {"words": [{"word": word}]})
    await ada.put("/api/users/me/muted-tags", {"tags": [{"tag": word}]})
    await ada.put(f"/api/posts/{root['id']}/mute")
    private = await join()
    await private.patch("/api/users/me", {"is_private": True})
    await ada.put(f"/api/users/{private.username}/follow")
    for one, other in ((ada, private), (private, ada)):
        await one.put(f"/api/users/{other.username}/mute")
    assert (await ada.get("/api/feed/home")).status_code == 200
    archive = await exported(ada)
    assert [one["username"] for one in read(archive, "feed/follow-requests")] == [private.username]
    muted = {one["muted"] for one in read(archive, "feed/mutes")}
    assert muted == {word, private.username, root["id"]}
    before = await traces(stack, ada.id, word)
    assert {"feed.posts", "websocket.messages", "Valkey"} <= {one.split(":")[0] for one in before}

    assert (await leave(ada, password=PASSWORD)).status_code == 202
    await stack.sql("UPDATE auth.departures SET erase_at = now() WHERE account_id = $1", ada.id)

    async def is_gone() -> bool:
        return not await stack.sql("SELECT FROM auth.accounts WHERE id = $1", ada.id)

    await eventually(is_gone)
    assert await traces(stack, ada.id, word, ada.email, ada.username) == []

    seen = (await eve.get(f"/api/posts/{root['id']}")).json()
    assert (seen["likes"], seen["replies"]) == (0, 0)
    assert (await eve.get(f"/api/posts/{below['id']}")).json()["reply_to"] == answer["id"]
    me = (await eve.get("/api/users/me")).json()
    assert (me["followers"], me["following"], me["posts"]) == (0, 0, 2)
    messages = (await eve.get(f"/api/conversations/{group_id}/messages")).json()["items"]
    assert [one["text"] for one in messages if one["event"] is None and one["sender"]] == ["of eve"]
    assert [one["seq"] for one in messages] == list(range(1, len(messages) + 1))

    body = {
        "email": ada.email,
        "password": PASSWORD,
        "username": ada.username,
        "display_name": "A stranger",
    }
    assert (await ada.client.post("/api/auth/register", json=body)).status_code == 201
    token = stack.mail_token(ada.email)
    refused = await ada.client.post("/api/auth/verify", json={"token": token})
    assert refused.status_code == 422
    assert "username" in refused.json()["errors"]


async def test_mails_to_former_addresses_are_erased_unless_somebody_else_has_them(
    stack: Stack, join: Join, name: Callable[[], str]
) -> None:
    ada = await join()
    addresses = [ada.email]
    for _ in range(2):
        body = {"email": f"{name()}@example.edu", "password": PASSWORD}
        assert (await ada.post("/api/auth/email/change", body)).status_code == 202
        confirmation = {"token": stack.mail_token(body["email"])}
        assert (await ada.post("/api/auth/email/confirm", confirmation)).status_code == 204
        addresses.append(body["email"])
    # What was mailed long ago leads nowhere any more.
    await stack.sql("DELETE FROM auth.mailed_tokens WHERE account_id = $1", ada.id)
    eve = await join()
    await stack.sql("UPDATE auth.accounts SET email = $2 WHERE id = $1", eve.id, addresses[1])
    await sign_in(ada)
    assert (await leave(ada, password=PASSWORD)).status_code == 202
    await stack.sql("UPDATE auth.departures SET erase_at = now() WHERE account_id = $1", ada.id)

    async def is_gone() -> bool:
        return not await stack.sql("SELECT FROM auth.accounts WHERE id = $1", ada.id)

    await eventually(is_gone)
    left = await stack.sql(
        "SELECT DISTINCT to_address FROM mail.messages WHERE to_address = ANY ($1)", addresses
    )
    assert [one["to_address"] for one in left] == [addresses[1]]


CONTRIBUTIONS = {
    "auth": CONTRIBUTION,
    "feed": feed.contribution(None, None, None),  # type: ignore[arg-type]
    "search": search.CONTRIBUTION,
    "websocket": websocket.contribution(None, None, None, None),  # type: ignore[arg-type]
}


def tables_read(component: inventory.Component, contribution: Contribution) -> set[str]:
    """The tables that a service's export reads."""
    package = f"{component.package}.departures"
    importlib.import_module(package)
    texts = [query.sql for query in named_queries.load(package) if query.name.startswith("export_")]
    assert {one.query for one in contribution.exported} <= {
        query.name for query in named_queries.load(package)
    }
    return set(re.findall(rf"\b{component.setting}\.\w+", " ".join(texts)))


@pytest.mark.parametrize("component", inventory.SERVICES, ids=lambda one: one.name)
async def test_every_table_about_members_is_exported_or_said_not_to_be(
    stack: Stack, component: inventory.Component
) -> None:
    rows = await stack.sql(
        "SELECT DISTINCT conrelid::regclass::text AS name FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid IN ('auth.accounts'::regclass, 'feed.members'::regclass)"
        " AND connamespace = to_regnamespace($1)",
        component.setting,
    )
    tables = {row["name"] for row in rows}
    assert component.keeps_member_data == bool(tables), (
        "a service with tables about members sets `keeps_member_data` in the inventory and contributes"
    )
    contribution = CONTRIBUTIONS.get(component.setting)
    assert component.keeps_member_data == (contribution is not None)
    if contribution is not None:
        assert contribution.role in member_data.contributors()
        covered = tables_read(component, contribution) | contribution.not_exported.keys()
        assert tables - covered == set()
