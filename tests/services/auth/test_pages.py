"""Joining, signing in and the mailbox as pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from chitlaq.core.http.cookies import ACCESS, DEVICE, REFRESH
from tests.conftest import PASSWORD, Member, Stack
from tests.services.gateway.raw_http import ask

Join = Callable[[], Awaitable[Member]]

OURS = {"Sec-Fetch-Site": "same-origin"}
FOREIGN = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


@pytest.fixture
async def web(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.issuer, timeout=20) as client:
        yield client


async def test_signing_in_goes_on_where_somebody_wanted_to_and_never_elsewhere(
    web: httpx.AsyncClient, join: Join
) -> None:
    member = await join()
    form = {"login": member.username, "password": PASSWORD}
    for wanted, reached in (
        ("/explore", "/explore"),
        ("//evil.example/", "/home"),
        ("https://evil.example/", "/home"),
        ("/\\evil.example", "/home"),
    ):
        answer = await web.post("/login", data={**form, "return_to": wanted}, headers=OURS)
        assert (answer.status_code, answer.headers["Location"]) == (303, reached)
        set_by = {one.partition("=")[0] for one in answer.headers.get_list("set-cookie")}
        assert set_by == {ACCESS, REFRESH, DEVICE}
    wrong = await web.post("/login", data={**form, "password": "x"}, headers=OURS)
    assert wrong.status_code == 401
    assert f'value="{member.username}"' in wrong.text
    for path in ("/login", "/logout", "/join"):
        refused = await web.post(path, data=form, headers=FOREIGN)
        assert refused.status_code == 403, path
        assert "set-cookie" not in refused.headers


async def test_join_page_says_what_is_wrong_with_which_field(web: httpx.AsyncClient) -> None:
    form = {"email": "eve@elsewhere.example", "username": "a", "display_name": "E", "password": "x"}
    answer = await web.post("/join", data=form, headers=OURS)
    assert answer.status_code == 422
    assert 'id="username-refused"' in answer.text
    assert 'value="eve@elsewhere.example"' in answer.text


async def test_mailbox_opens_on_this_machine_alone(stack: Stack) -> None:
    """Its links make whoever opens them any member."""
    port = stack.ports["edge"]
    for host in ("localhost", "127.0.0.1"):
        assert (await ask(port, "/dev/mail", host=f"{host}:{port}")).status == 200
    for refused in (
        await ask(port, "/dev/mail", host=f"evil.example:{port}"),
        await ask(port, "/dev/mail", source="127.0.0.7"),
        await ask(port, "/dev/mail", "X-Forwarded-For: 192.0.2.1"),
        await ask(port, "/dev/mail", "Forwarded: for=192.0.2.1"),
    ):
        # Of another name, plain HTTP leads to HTTPS before anybody looks.
        assert refused.status in {301, 404}
        assert "token" not in refused.body
