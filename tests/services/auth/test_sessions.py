"""Sessions: families of refresh tokens, their lifetimes, and their end everywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import websockets

from tests.conftest import Member, Stack, eventually

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
    from tests.conftest import PASSWORD

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
