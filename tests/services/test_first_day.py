"""A member's first day, end to end through the gateway, as in the runbook and the design."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import httpx
import websockets

from tests.conftest import PASSWORD, Member, Stack

Join = Callable[[], Awaitable[Member]]


async def test_first_day_from_registration_to_being_found(
    stack: Stack, client: httpx.AsyncClient, name: Callable[[], str], join: Join
) -> None:
    follower = await join()
    username = name()
    email = f"{username}@cs.example.edu"  # a part of the university's domain

    answer = await client.post(
        "/api/auth/register",
        json={
            "email": email,
            "password": PASSWORD,
            "username": username,
            "display_name": "Zoë Ümit",
        },
    )
    assert answer.status_code == 201
    assert answer.json()["verification"] == "sent"
    assert answer.json()["user"]["username"] == username

    answer = await client.post("/api/auth/login", json={"login": email, "password": PASSWORD})
    assert answer.status_code == 401
    assert "not confirmed" in answer.json()["detail"]

    token = stack.mail_token(email)
    assert (await client.post("/api/auth/verify", json={"token": token})).status_code == 200
    again = await client.post("/api/auth/verify", json={"token": token})
    assert again.status_code == 200, "a link that is opened twice says the same twice"

    answer = await client.post("/api/auth/login", json={"login": email, "password": PASSWORD})
    assert answer.status_code == 200
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 900
    author = Member(body["user"]["id"], username, email, body["access_token"], client)

    assert (await follower.put(f"/api/users/{username}/follow")).status_code == 204
    assert (await follower.put(f"/api/users/{username}/follow")).status_code == 204
    assert (await follower.home()) == []

    async with websockets.connect(f"ws://127.0.0.1:{stack.ports['gateway']}/ws") as socket:
        await socket.send(json.dumps({"type": "auth", "token": follower.token}))
        assert json.loads(await socket.recv())["type"] == "signed_in"

        post = await author.write("Hello #ChitLaq, this is my first day")
        event = json.loads(await socket.recv())

    assert event["type"] == "post"
    assert event["post"]["id"] == post["id"]
    assert event["post"]["author"]["username"] == username

    (item,) = await follower.home()
    assert item == post | {"liked": False}
    assert set(item) >= {
        "id", "author", "text", "visibility", "created_at", "edited_at", "likes", "replies",
        "reposts", "liked",
    }  # fmt: skip

    for text in (username, "Zoë", "zoe umit", "ÜMIT"):
        found = await client.get("/api/search/users", params={"q": text})
        assert username in [one["username"] for one in found.json()["items"]], text


async def test_foreign_address_is_refused_with_the_reason(client: httpx.AsyncClient) -> None:
    body = {"email": "a@gmail.com", "password": PASSWORD, "username": "nobody", "display_name": "A"}
    answer = await client.post("/api/auth/register", json=body)
    assert answer.status_code == 422
    assert (
        "gmail.com is not the domain of a registered university" in answer.json()["errors"]["email"]
    )


async def test_sessions_can_be_refreshed_and_ended_but_not_stolen(stack: Stack, join: Join) -> None:
    member = await join()
    status = (await member.get("/api/auth/status")).json()
    assert status["authenticated"] is True
    assert status["user"]["username"] == member.username

    client = member.client
    first = {"refresh_token": member.refresh_token}
    fresh = (await client.post("/api/auth/refresh", json=first)).json()
    assert fresh["refresh_token"] != member.refresh_token
    await stack.sql(
        "UPDATE auth.sessions SET last_used_at = now() - interval '2 minutes' WHERE account_id = $1",
        member.id,
    )
    assert (await client.post("/api/auth/refresh", json=first)).status_code == 401
    stolen = await client.post("/api/auth/refresh", json={"refresh_token": fresh["refresh_token"]})
    assert stolen.status_code == 401, "a token that is used twice ends the session for both"
    status = (await member.get("/api/auth/status")).json()
    assert status["authenticated"] is False


async def test_logout_ends_the_session(join: Join) -> None:
    member = await join()
    assert (await member.post("/api/auth/logout")).status_code == 204
    body = {"refresh_token": member.refresh_token}
    assert (await member.client.post("/api/auth/refresh", json=body)).status_code == 401


async def test_status_without_a_token_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/auth/status")
    assert answer.status_code == 200
    assert answer.json()["authenticated"] is False


async def test_login_attempts_are_limited_by_account(join: Join) -> None:
    member = await join()
    statuses = []
    for _ in range(12):
        body = {"login": member.username, "password": "wrong wrong"}
        statuses.append((await member.client.post("/api/auth/login", json=body)).status_code)
    assert set(statuses) <= {401, 429}
    assert statuses.count(429) >= 1


async def test_same_idempotency_key_makes_one_post(join: Join) -> None:
    member = await join()
    headers = {"Idempotency-Key": "once"}
    first = await member.post("/api/posts", {"text": "said once"}, **headers)
    second = await member.post("/api/posts", {"text": "said once"}, **headers)
    other = await member.post("/api/posts", {"text": "something else"}, **headers)
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    assert other.status_code == 409
    assert len(await member.home()) == 1


async def test_post_can_be_edited_liked_replied_to_and_deleted(join: Join) -> None:
    author, reader = await join(), await join()
    post = await author.write("first words #one")
    path = f"/api/posts/{post['id']}"
    assert (await reader.put(f"{path}/like")).status_code == 204
    assert (await reader.put(f"{path}/like")).status_code == 204
    reply = await reader.write("an answer", reply_to=post["id"])
    seen = (await reader.get(path)).json()
    assert (seen["likes"], seen["liked"], seen["replies"]) == (1, True, 1)
    assert [one["id"] for one in (await author.get(f"{path}/replies")).json()["items"]] == [
        reply["id"]
    ]
    assert (await reader.delete(f"{path}/like")).status_code == 204
    assert (await reader.patch(path, {"text": "not mine"})).status_code == 404
    changed = (await author.patch(path, {"text": "other words #two"})).json()
    assert changed["text"] == "other words #two"
    assert changed["edited_at"] is not None
    assert changed["likes"] == 0
    tagged = (await reader.get("/api/feed/tags/two")).json()["items"]
    assert post["id"] in [one["id"] for one in tagged]
    assert (await author.delete(path)).status_code == 204
    assert (await author.get(path)).status_code == 404


async def test_lists_are_paged_without_gaps_or_repeats(join: Join) -> None:
    author, reader = await join(), await join()
    await reader.put(f"/api/users/{author.username}/follow")
    written = [(await author.write(f"number {number}"))["id"] for number in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await reader.get("/api/feed/home", params=params)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        if len(seen) == 3:
            await author.write("meanwhile")
    assert seen == written[::-1]
    second = await reader.home(page=2, limit=3)
    assert [item["id"] for item in second] == written[::-1][2:5]


async def test_anonymous_reader_sees_public_posts_only(
    client: httpx.AsyncClient, join: Join
) -> None:
    author = await join()
    public = await author.write("for all")
    await author.write("for my followers", visibility="followers")
    items = (await client.get("/api/feed/home", params={"page": 1, "limit": 5})).json()["items"]
    assert items[0]["id"] == public["id"]
    assert all(item["visibility"] == "public" for item in items)
