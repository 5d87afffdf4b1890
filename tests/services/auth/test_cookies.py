"""Sessions of the web application: tokens in cookies, which only our own pages may use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from http.cookies import SimpleCookie

import httpx
import pytest
import websockets

from chitlaq.core.http.cookies import ACCESS, DEVICE, REFRESH
from tests.conftest import PASSWORD, Member, Stack, eventually
from tests.services.gateway.test_edge_limits import FLOOD, behind, statuses

Join = Callable[[], Awaitable[Member]]

OURS = {"Sec-Fetch-Site": "same-origin"}
FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "another host of the site": {"Sec-Fetch-Site": "same-site"},
    "a link": {"Sec-Fetch-Site": "none"},
    "an old browser on another site": {"Origin": "https://evil.example"},
    "a sandboxed page": {"Origin": "null"},
    "who does not say": {},
}


@pytest.fixture
async def web(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.edge, timeout=20) as client:
        yield client


def said(answer: httpx.Response) -> SimpleCookie:
    """The cookies that an answer sets, by name, with their attributes."""
    found = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return found


async def sign_in(web: httpx.AsyncClient, member: Member) -> dict[str, str]:
    """Return the cookies of a new session as a browser sends them."""
    body = {"login": member.username, "password": PASSWORD, "cookies": True}
    answer = await web.post("/api/auth/login", json=body, headers=OURS)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"token_type", "expires_in", "user"}
    return {name: found.value for name, found in said(answer).items()}


def sent(cookies: dict[str, str], *names: str, **headers: str) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={cookies[name]}" for name in names)} | headers


async def test_tokens_are_in_cookies_that_no_script_reads(
    web: httpx.AsyncClient, join: Join
) -> None:
    member = await join()
    body = {"login": member.username, "password": PASSWORD, "cookies": True}
    answer = await web.post("/api/auth/login", json=body, headers=OURS)
    cookies = said(answer)
    assert set(cookies) == {ACCESS, REFRESH, DEVICE}
    for name, path, same_site in (
        (ACCESS, "/", "lax"),
        (REFRESH, "/api/auth", "strict"),
        (DEVICE, "/", "lax"),
    ):
        assert cookies[name]["path"] == path
        assert cookies[name]["samesite"].lower() == same_site
        assert cookies[name]["secure"]
        assert cookies[name]["httponly"]
        assert not cookies[name]["domain"]
        assert cookies[name].value not in answer.text


async def test_our_own_pages_read_and_write_by_cookie(
    web: httpx.AsyncClient, stack: Stack, join: Join
) -> None:
    cookies = await sign_in(web, await join())
    mine = sent(cookies, ACCESS)
    assert (await web.get("/api/users/me", headers=mine)).status_code == 200
    for who in (OURS, {"Origin": stack.edge}, {"Origin": stack.issuer}):
        answer = await web.post("/api/posts", json={"text": "by cookie"}, headers=mine | who)
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("page", FOREIGN)
async def test_other_pages_change_nothing_by_cookie(
    web: httpx.AsyncClient, stack: Stack, join: Join, page: str
) -> None:
    member = await join()
    cookies = await sign_in(web, member)
    headers = sent(cookies, ACCESS, REFRESH, **FOREIGN[page])
    for method, path, body in (
        ("POST", "/api/posts", {"text": "not mine"}),
        ("PATCH", "/api/users/me", {"bio": "not mine"}),
        ("PUT", f"/api/users/{member.username}/block", None),
        ("DELETE", f"/api/auth/sessions/{member.id}", None),
        ("POST", "/api/auth/logout", None),
        ("POST", "/api/auth/refresh", {}),
        (
            "POST",
            "/api/auth/login",
            {"login": member.username, "password": PASSWORD, "cookies": True},
        ),
    ):
        answer = await web.request(method, path, json=body, headers=headers)
        assert answer.status_code == 403, f"{method} {path}: {answer.text}"
    url = f"ws://127.0.0.1:{stack.ports['edge']}/ws"
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url, additional_headers=headers)
    assert refused.value.response.status_code == 403
    assert (await web.get("/api/users/me", headers=sent(cookies, ACCESS))).status_code == 200


async def test_header_wins_over_the_cookie(web: httpx.AsyncClient, join: Join) -> None:
    ada, ben = await join(), await join()
    headers = sent(await sign_in(web, ada), ACCESS) | ben.headers
    assert (await web.get("/api/users/me", headers=headers)).json()["username"] == ben.username
    answer = await web.post("/api/posts", json={"text": "by token"}, headers=headers)
    assert answer.json()["author"]["username"] == ben.username
    assert (
        await web.get("/api/users/me", headers=headers | {"Authorization": "Bearer x"})
    ).status_code == 401


async def test_cookie_is_refreshed_and_forgotten_when_it_is_good_for_nothing(
    web: httpx.AsyncClient, stack: Stack, join: Join
) -> None:
    member = await join()
    cookies = await sign_in(web, member)
    tabs = await asyncio.gather(
        *(
            web.post("/api/auth/refresh", json={}, headers=sent(cookies, ACCESS, REFRESH, **OURS))
            for _ in range(3)
        )
    )
    assert [answer.status_code for answer in tabs] == [200] * 3
    assert len({said(answer)[REFRESH].value for answer in tabs}) == 1
    fresh = {name: found.value for name, found in said(tabs[0]).items()}
    answer = await web.post("/api/auth/logout", headers=sent(fresh, ACCESS, REFRESH, **OURS))
    assert answer.status_code == 204
    for over in (
        answer,
        await web.post("/api/auth/refresh", json={}, headers=sent(fresh, REFRESH, **OURS)),
        await web.post("/api/auth/refresh", json={}, headers=OURS),
    ):
        assert {name: found.value for name, found in said(over).items()} == {
            ACCESS: "",
            REFRESH: "",
        }
        assert {found["max-age"] for found in said(over).values()} == {"0"}

    async def is_signed_out() -> bool:
        return (await web.get("/api/users/me", headers=sent(fresh, ACCESS))).status_code == 401

    await eventually(is_signed_out)


async def test_refresh_token_of_another_session_signs_nobody_in(
    web: httpx.AsyncClient, join: Join
) -> None:
    """A host beside ours can set the cookie of the refresh token, but not that of the access token."""
    member, thief = await join(), await join()
    own, planted = await sign_in(web, member), await sign_in(web, thief)
    mixed = {ACCESS: own[ACCESS], REFRESH: planted[REFRESH]}
    for headers in (
        sent(mixed, ACCESS, REFRESH),
        sent(planted, REFRESH),
        sent(planted | {ACCESS: "e30.e30.e30"}, ACCESS, REFRESH),
    ):
        answer = await web.post("/api/auth/refresh", json={}, headers=headers | OURS)
        assert answer.status_code == 401, answer.text
    for cookies in (own, planted):
        headers = sent(cookies, ACCESS, REFRESH, **OURS)
        assert (await web.post("/api/auth/refresh", json={}, headers=headers)).status_code == 200


async def test_browser_that_signs_in_again_leaves_the_session_that_it_was_in(
    web: httpx.AsyncClient, join: Join
) -> None:
    member, other = await join(), await join()
    first, elsewhere = await sign_in(web, member), await sign_in(web, member)
    for who in (member, other):
        body = {"login": who.username, "password": PASSWORD, "cookies": True}
        headers = sent(first, ACCESS, REFRESH, **OURS)
        answer = await web.post("/api/auth/login", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        left, first = first, {name: found.value for name, found in said(answer).items()}
        headers = sent(left, ACCESS, REFRESH, **OURS)
        assert (await web.post("/api/auth/refresh", json={}, headers=headers)).status_code == 401
    headers = sent(elsewhere, ACCESS, REFRESH, **OURS)
    assert (await web.post("/api/auth/refresh", json={}, headers=headers)).status_code == 200
    listed = (await member.get("/api/auth/sessions")).json()["items"]
    assert len(listed) == 2, "the one that joined, and the other browser"
    log = (await member.get("/api/auth/audit")).json()["items"]
    assert [one["action"] for one in log].count("signed_out") == 2


async def test_socket_is_signed_in_by_cookie_and_closed_when_the_session_ends(
    web: httpx.AsyncClient, stack: Stack, join: Join
) -> None:
    member = await join()
    cookies = await sign_in(web, member)
    url = f"ws://127.0.0.1:{stack.ports['edge']}/ws"
    async with websockets.connect(url, additional_headers=sent(cookies, ACCESS, **OURS)) as socket:
        await socket.send(json.dumps({"type": "ping"}))
        first, second = json.loads(await socket.recv()), json.loads(await socket.recv())
        assert (first["type"], second["type"]) == ("signed_in", "pong")
        assert first["account_id"] == member.id
        assert (
            await web.post("/api/auth/logout", headers=sent(cookies, ACCESS, **OURS))
        ).status_code == 204
        async with asyncio.timeout(30):
            await socket.wait_closed()
    assert socket.close_code == 1008


async def test_edge_limits_cookies_by_account(
    web: httpx.AsyncClient, stack: Stack, join: Join
) -> None:
    mine = sent(await sign_in(web, await join()), ACCESS)
    forged = {"Cookie": mine["Cookie"] + "x"}
    async with behind("127.0.0.27", stack, **mine) as campus:
        assert (await statuses(campus, "/api/feed/home", FLOOD))[200] == FLOOD
    async with behind("127.0.0.28", stack, **forged) as forger:
        assert (await statuses(forger, "/api/feed/explore?limit=1", FLOOD))[429] > 0
