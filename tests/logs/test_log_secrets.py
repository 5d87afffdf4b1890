"""No secret, token, password or text of a member ever reaches a log, whatever happens to it."""

from __future__ import annotations

import asyncio
import gzip
import json
import secrets

import asyncpg
import httpx
from websockets.asyncio.client import connect

from tests.conftest import Stack, eventually


def everything_logged(stack: Stack) -> bytes:
    """All bytes of all logs, rotated ones too."""
    read = []
    for path in sorted(stack.home.joinpath("logs").iterdir()):
        content = path.read_bytes()
        read.append(gzip.decompress(content) if path.suffix == ".gz" else content)
    return b"".join(read)


def plant(kind: str) -> str:
    return f"planted-{kind}-{secrets.token_hex(8)}"


async def write_slowly(
    stack: Stack, client: httpx.AsyncClient, text: str, headers: dict[str, str]
) -> None:
    """Let a post wait for a lock until PostgreSQL calls its statement slow, and logs it."""
    connection = await asyncpg.connect(stack.dsn())
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE feed.posts IN ACCESS EXCLUSIVE MODE")
            post = asyncio.create_task(
                client.post("/api/posts", json={"text": text}, headers=headers)
            )
            await eventually(
                lambda: connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND usename = 'chitlaq_feed' AND clock_timestamp() - query_start > '0.6 s'"
                )
            )
        assert (await post).status_code == 201
    finally:
        await connection.close()


async def test_nothing_planted_is_ever_logged(stack: Stack, client: httpx.AsyncClient) -> None:
    password, wrong, text, slow, searched, bearer, broken, changed, key = (
        plant(kind)
        for kind in (
            "password", "wrong", "text", "slow", "search", "bearer", "broken", "changed", "key"
        )
    )  # fmt: skip
    planted = {password, wrong, text, slow, searched, bearer, broken, changed, key}
    username = f"quiet_{secrets.token_hex(4)}"
    email = f"{username}@example.edu"
    account = {
        "email": email, "username": username, "display_name": "Quiet", "password": password
    }  # fmt: skip
    assert (await client.post("/api/auth/register", json=account)).status_code == 201
    token = stack.mail_token(email)
    planted.add(token)
    assert (await client.get(f"/verify?token={token}")).status_code == 200
    assert (await client.post("/api/auth/verify", json={"token": token})).status_code == 200
    login = {"login": username, "password": password}
    session = (await client.post("/api/auth/login", json=login)).json()
    planted |= {session["access_token"], session["refresh_token"]}
    signed_in = {"Authorization": f"Bearer {session['access_token']}"}

    refused = await client.post("/api/auth/login", json=login | {"password": wrong})
    assert refused.status_code == 401
    malformed = '{"login": "x", "password": "' + broken + '", '
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/api/auth/login", content=malformed, headers=headers)
    assert answer.status_code == 400
    twice = account | {"password": changed}
    assert (await client.post("/api/auth/register", json=twice)).status_code == 201
    forged = {"Authorization": f"Bearer {bearer}"}
    assert (await client.get("/api/feed/home", headers=forged)).status_code == 401

    post = await client.post(
        "/api/posts", json={"text": text}, headers=signed_in | {"Idempotency-Key": key}
    )
    assert post.status_code == 201
    # A text that PostgreSQL rejects would be in its log, with the statement's parameters.
    unreadable = await client.post("/api/posts", json={"text": text + "\0"}, headers=signed_in)
    assert unreadable.status_code == 422
    too_long = await client.post("/api/posts", json={"text": text * 500}, headers=signed_in)
    assert too_long.status_code == 422
    await write_slowly(stack, client, slow, signed_in)
    assert (
        await client.get("/api/search/users", params={"q": searched}, headers=signed_in)
    ).status_code == 200
    async with connect(f"ws://127.0.0.1:{stack.ports['gateway']}/ws") as socket:
        await socket.send(json.dumps({"type": "auth", "token": session["access_token"]}))
        await socket.recv()
        await socket.send(json.dumps({"type": "nonsense", "text": text}))
        await socket.recv()
    refreshed = await client.post(
        "/api/auth/refresh", json={"refresh_token": session["refresh_token"]}
    )
    planted |= {refreshed.json()["access_token"], refreshed.json()["refresh_token"]}

    # nginx warns of large bodies, and has whole requests in that.
    key_of_link, page = plant("link"), plant("page")
    planted |= {key_of_link, page}
    for path in ("/unsubscribe", "/api/auth/verify"):
        await client.post(
            f"{path}?token={key_of_link}&q=x",
            content=b"x" * 100_000,
            headers={"Referer": f"http://localhost/verify?token={page}"},
        )
    await eventually(lambda: b"POST /unsubscribe?******** HTTP" in everything_logged(stack))

    last = await client.post("/api/auth/login", json=login | {"password": wrong})
    identifier = last.headers["x-request-id"].encode()
    await eventually(lambda: everything_logged(stack).count(identifier) >= 2)
    await eventually(lambda: b"duration: " in everything_logged(stack))
    logged = everything_logged(stack)
    named = [line for line in logged.splitlines() if username.encode() in line]
    assert all(b"login attempt" in line for line in named), "a name is where fail2ban looks"
    assert f"{username}@".encode() not in logged, "nor are addresses"
    for value in planted:
        assert value.encode() not in logged, f"{value[:18]}… was logged"
    for file in stack.home.joinpath("secrets").iterdir():
        for line in file.read_bytes().splitlines():
            if len(line) > 20 and not line.startswith(b"-----"):
                assert line not in logged, f"the secret {file.name} was logged"
