"""Sessions: families of refresh tokens, their lifetimes, and their end everywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest
import websockets

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.services.auth.sessions import devices, sessions
from tests.conftest import PASSWORD, Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]


async def refreshed(member: Member, token: str) -> httpx.Response:
    return await member.client.post("/api/auth/refresh", json={"refresh_token": token})


async def next_token(member: Member, token: str) -> str:
    answer = await refreshed(member, token)
    assert answer.status_code == 200, answer.text
    fresh: str = answer.json()["refresh_token"]
    return fresh


async def actions(member: Member, token: str) -> list[str]:
    answer = await member.client.get(
        "/api/auth/audit", headers={"Authorization": f"Bearer {token}"}
    )
    return [entry["action"] for entry in answer.json()["items"]]


async def sign_in(member: Member) -> dict[str, Any]:
    body = {"login": member.username, "password": PASSWORD}
    answer = await member.client.post("/api/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    signed_in: dict[str, Any] = answer.json()
    return signed_in


async def test_tabs_that_refresh_at_once_get_the_same_token_and_stay_signed_in(join: Join) -> None:
    member = await join()
    answers = await asyncio.gather(*(refreshed(member, member.refresh_token) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    (fresh,) = {answer.json()["refresh_token"] for answer in answers}
    assert fresh != member.refresh_token
    await next_token(member, fresh)


async def test_token_comes_again_after_a_lost_answer_only_for_a_while(
    stack: Stack, join: Join
) -> None:
    member = await join()
    fresh = await next_token(member, member.refresh_token)
    assert await next_token(member, member.refresh_token) == fresh
    await stack.sql(
        "UPDATE auth.sessions SET last_used_at = now() - interval '11 s' WHERE account_id = $1",
        member.id,
    )
    assert (await refreshed(member, member.refresh_token)).status_code == 401
    assert (await refreshed(member, fresh)).status_code == 401


@pytest.mark.parametrize("generations", [2, 5])
async def test_older_token_ends_what_a_thief_has_refreshed_and_its_owner_is_told(
    stack: Stack, join: Join, generations: int
) -> None:
    member = await join()
    token = member.refresh_token
    for _ in range(generations):
        token = await next_token(member, token)
    assert (await refreshed(member, member.refresh_token)).status_code == 401
    assert (await refreshed(member, token)).status_code == 401
    again = await sign_in(member)
    assert "token_reused" in await actions(member, again["access_token"])
    assert "was signed out" in stack.json("mail", "show", "--to", member.email)["subject"]


async def test_unknown_token_ends_nothing(join: Join) -> None:
    member = await join()
    assert (await refreshed(member, member.refresh_token[:-1] + "_")).status_code == 401
    await next_token(member, member.refresh_token)


@pytest.mark.parametrize(
    "moved",
    [
        "expires_at = now()",
        "created_at = now() - interval '90 days'",
        "ended_at = now()",
    ],
)
async def test_session_that_is_over_is_not_refreshed(stack: Stack, join: Join, moved: str) -> None:
    member = await join()
    await stack.sql(f"UPDATE auth.sessions SET {moved} WHERE account_id = $1", member.id)
    assert (await refreshed(member, member.refresh_token)).status_code == 401


async def test_use_extends_a_session_but_not_beyond_its_longest_life(
    stack: Stack, join: Join
) -> None:
    member = await join()
    left = "SELECT extract(day FROM expires_at - now())::int AS days FROM auth.sessions WHERE account_id = $1"
    await stack.sql(
        "UPDATE auth.sessions SET expires_at = now() + interval '1 day' WHERE account_id = $1",
        member.id,
    )
    token = await next_token(member, member.refresh_token)
    assert (await stack.sql(left, member.id))[0]["days"] in {29, 30}
    await stack.sql(
        "UPDATE auth.sessions SET created_at = now() - interval '80 days' WHERE account_id = $1",
        member.id,
    )
    await next_token(member, token)
    assert (await stack.sql(left, member.id))[0]["days"] in {9, 10}


async def test_access_token_does_not_outlive_its_session(stack: Stack, join: Join) -> None:
    member = await join()
    await stack.sql(
        "UPDATE auth.sessions SET created_at = now() - interval '90 days' + interval '1 minute'"
        " WHERE account_id = $1",
        member.id,
    )
    answer = await refreshed(member, member.refresh_token)
    assert 0 < answer.json()["expires_in"] <= 60


EVERYWHERE = (
    "/api/auth/sessions",
    "/api/users/me",
    "/api/feed/home",
    "/api/search/users?q=somebody",
    "/api/conversations",
)


async def test_session_that_ended_stops_working_at_every_service(join: Join) -> None:
    member = await join()
    for path in EVERYWHERE:
        assert (await member.get(path)).status_code == 200, path
    assert (await member.post("/api/auth/logout")).status_code == 204
    for path in EVERYWHERE:

        async def is_refused(path: str = path) -> bool:
            return (await member.get(path)).status_code == 401

        await eventually(is_refused, 5)
    assert (await member.post("/api/posts", {"text": "from beyond"})).status_code == 401


async def test_sockets_of_a_session_that_ended_are_closed_and_others_stay(
    stack: Stack, join: Join
) -> None:
    member = await join()
    other = await sign_in(member)
    url = f"ws://127.0.0.1:{stack.ports['gateway']}/ws"
    async with websockets.connect(url) as ended, websockets.connect(url) as kept:
        for socket, token in ((ended, member.token), (kept, other["access_token"])):
            await socket.send(json.dumps({"type": "auth", "token": token}))
            assert json.loads(await socket.recv())["type"] == "signed_in"
        assert (await member.post("/api/auth/logout")).status_code == 204
        async with asyncio.timeout(30):
            await ended.wait_closed()
        assert ended.close_code == 1008
        await kept.send(json.dumps({"type": "ping"}))
        assert json.loads(await kept.recv())["type"] == "pong"


async def test_list_of_devices_begins_with_the_one_that_asks_however_many_there_are(
    stack: Stack, join: Join
) -> None:
    member = await join()
    await stack.sql(
        "INSERT INTO auth.sessions (account_id, refresh_hash, user_agent, address, expires_at)"
        " SELECT $1, sha256(uuidv4()::text::bytea), $2, '192.0.2.7', now() + interval '1 day'"
        " FROM generate_series(1, 150)",
        member.id,
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    )
    seen: list[dict[str, Any]] = []
    cursor = None
    while cursor or not seen:
        params = {"limit": 60} | ({"cursor": cursor} if cursor else {})
        page = (await member.get("/api/auth/sessions", params=params)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    assert len({one["id"] for one in seen}) == len(seen) == 151
    assert [one["current"] for one in seen] == [True] + [False] * 150
    assert seen[0]["device"] == "python-httpx"
    assert {(one["device"], one["address"]) for one in seen[1:]} == {
        ("Firefox on Linux", "192.0.2.7")
    }


async def test_member_ends_one_device_or_all_others(join: Join) -> None:
    member = await join()
    first, second, third = [await sign_in(member) for _ in range(3)]
    asking = {"Authorization": f"Bearer {first['access_token']}"}
    client = member.client

    async def devices() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (
            await client.get("/api/auth/sessions", headers=asking)
        ).json()["items"]
        return items

    current, newest, *_ = await devices()
    ended = f"/api/auth/sessions/{newest['id']}"
    assert (await client.delete(ended, headers=asking)).status_code == 204
    assert (await client.delete(ended, headers=asking)).status_code == 404
    assert (await refreshed(member, third["refresh_token"])).status_code == 401
    assert (await client.delete("/api/auth/sessions", headers=asking)).status_code == 204
    assert [one["id"] for one in await devices()] == [current["id"]]
    for token in (member.refresh_token, second["refresh_token"]):
        assert (await refreshed(member, token)).status_code == 401
    assert (await refreshed(member, first["refresh_token"])).status_code == 200
    found = await actions(member, first["access_token"])
    assert found[:2] == ["sessions_ended", "session_ended"]


async def test_session_that_has_just_ended_ends_no_other(stack: Stack, join: Join) -> None:
    """Before any process has read that it is over."""
    member = await join()
    other = await sign_in(member)
    (row,) = await stack.sql(
        "SELECT id FROM auth.sessions WHERE account_id = $1 ORDER BY id DESC LIMIT 1", member.id
    )
    await stack.sql(
        "UPDATE auth.sessions SET ended_at = now() WHERE account_id = $1 AND id <> $2",
        member.id,
        row["id"],
    )
    for path in (f"/api/auth/sessions/{row['id']}", "/api/auth/sessions"):
        assert (await member.delete(path)).status_code == 401
    assert (await refreshed(member, other["refresh_token"])).status_code == 200


async def test_of_two_sessions_that_end_each_other_one_stays(join: Join) -> None:
    member = await join()
    for _ in range(3):
        pair = [await sign_in(member) for _ in range(2)]
        asking = [{"Authorization": f"Bearer {one['access_token']}"} for one in pair]
        found = [
            (await member.client.get("/api/auth/sessions", headers=one)).json()["items"][0]["id"]
            for one in asking
        ]
        answers = await asyncio.gather(
            *(
                member.client.delete(f"/api/auth/sessions/{other}", headers=one)
                for one, other in zip(asking, reversed(found), strict=True)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [204, 401]


async def test_token_that_is_refreshed_while_the_account_s_are_revoked_is_good(
    stack: Stack, join: Join
) -> None:
    """Whatever it says of the account, it says as it is after that; older ones are refused."""
    member = await join()
    revoking = await asyncpg.connect(stack.dsn("chitlaq_auth"))
    try:
        async with revoking.transaction():
            await revoking.execute(
                "SELECT FROM auth.accounts WHERE id = $1 FOR NO KEY UPDATE", member.id
            )
            refreshing = asyncio.create_task(refreshed(member, member.refresh_token))
            await eventually(lambda: waits_for_a_lock(stack))
            await revoking.execute("SELECT auth.revoke($1)", member.id)
        answer = await refreshing
    finally:
        await revoking.close()

    async def is_refused() -> bool:
        return (await member.get("/api/users/me")).status_code == 401

    await eventually(is_refused)
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await member.client.get("/api/users/me", headers=headers)).status_code == 200


async def waits_for_a_lock(stack: Stack) -> bool:
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%lock_session%'"
    return bool(await stack.sql(waiting))


async def test_sessions_of_others_can_not_be_ended(join: Join) -> None:
    ada, ben = await join(), await join()
    (found,) = (await ada.get("/api/auth/sessions")).json()["items"]
    assert (await ben.delete(f"/api/auth/sessions/{found['id']}")).status_code == 404
    assert (await refreshed(ada, ada.refresh_token)).status_code == 200


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Windows"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18 Safari/605", "Safari on Mac"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) FxiOS/140 Safari", "Firefox on iPhone"),
        ("Mozilla/5.0 (Android 15) SamsungBrowser/28 Chrome/130 Safari", "Samsung Internet on Android"),
        ("Mozilla/5.0 (X11; CrOS x86_64) Chrome/140 Safari", "Chrome on ChromeOS"),
        ("Mozilla/5.0 (compatible)", "Unknown device"),
        ("curl/8.5.0", "curl"),
        ("\u202eevil", "Unknown device"),
        ("", "Unknown device"),
    ],
)  # fmt: skip
def test_device_is_named_by_what_it_says(user_agent: str, device: str) -> None:
    assert devices.described(user_agent).name == device


async def test_list_says_which_country_an_address_was_given_to(stack: Stack, join: Join) -> None:
    member = await join()
    for address, country in (("2001:700::1", "NO"), ("193.140.1.1", "TR"), ("10.0.0.1", None)):
        await stack.sql(
            "UPDATE auth.sessions SET address = $2::text::inet WHERE account_id = $1::uuid",
            member.id,
            address,
        )
        listed = await member.client.get("/api/auth/sessions", headers=member.headers)
        assert {one["country"] for one in listed.json()["items"]} == {country}, address


async def test_what_is_over_is_forgotten_and_nothing_else(stack: Stack, join: Join) -> None:
    member = await join()
    token = await next_token(member, member.refresh_token)
    over, lately = await sign_in(member), await sign_in(member)
    for one in (over, lately):
        headers = {"Authorization": f"Bearer {one['access_token']}"}
        await member.client.post("/api/auth/logout", headers=headers)
    ids = "SELECT id FROM auth.sessions WHERE account_id = $1 ORDER BY id"
    kept, forgotten, counted = [row["id"] for row in await stack.sql(ids, member.id)]
    await stack.sql(
        "UPDATE auth.sessions SET last_used_at = now() - interval '40 days' WHERE id = ANY($1)",
        [kept, forgotten],
    )
    await stack.sql(
        "UPDATE auth.revoked SET revoked_at = now() - interval '2 days' WHERE id = $1", forgotten
    )
    queries = postgres.load_queries("chitlaq.services.auth.sessions", "test")
    database = Database(stack.dsn("chitlaq_auth"), "test", queries)
    forgetting = asyncio.create_task(sessions.forget_forever(database))

    async def is_forgotten() -> bool:
        left = [row["id"] for row in await stack.sql(ids, member.id)]
        revoked = await stack.sql("SELECT id FROM auth.revoked WHERE id = $1", forgotten)
        return left == [kept, counted] and not revoked

    try:
        await eventually(is_forgotten)
    finally:
        forgetting.cancel()
        await database.close()
    assert (await refreshed(member, token)).status_code == 200
