"""A new address is proved before it counts, and the old one can take the account back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import PASSWORD, Member, Stack
from tests.services.auth.mailed import (
    audited,
    ended,
    forget,
    mails,
    other_session,
    reset,
    sign_in,
)

Join = Callable[..., Awaitable[Member]]
Name = Callable[[], str]

ELSEWHERE = "elsewhere.example"
FRESH = "another word entirely"


@pytest.fixture
async def member(stack: Stack, join: Join) -> Member:
    await stack.add_university("Elsewhere College", ELSEWHERE)
    return await join()


@pytest.fixture
def address(name: Name) -> str:
    """One of another university, that nobody has."""
    return f"{name()}@{ELSEWHERE}"


async def ask(member: Member, email: str, password: str = PASSWORD) -> httpx.Response:
    return await member.post("/api/auth/email/change", {"email": email, "password": password})


async def confirm(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/api/auth/email/confirm", json={"token": token})


async def newest_token(stack: Stack, address: str) -> str:
    return (await mails(stack, address))[-1][1]


async def user(member: Member) -> dict[str, Any]:
    found: dict[str, Any] = (await member.get("/api/auth/status")).json()["user"]
    return found


async def may_read(member: Member, post: dict[str, Any]) -> bool:
    return (await member.get(f"/api/posts/{post['id']}")).status_code == 200


async def test_member_moves_with_their_address_and_their_posts_keep_their_readers(
    stack: Stack, client: httpx.AsyncClient, member: Member, address: str, join: Join
) -> None:
    """Attacks posts for a university when their author moves to another one."""
    peer, stranger = await join(), await join(ELSEWHERE)
    before = await member.write("for my university", visibility="university")
    other = await other_session(member, PASSWORD)
    answer = await ask(member, address.upper())
    assert answer.status_code == 202, answer.text
    assert (await user(member))["email"] == member.email, "nothing changes before it is proved"
    token = await newest_token(stack, address)
    for _ in range(2):
        page = await client.get("/confirm-address", params={"token": token})
        assert address in page.text
        assert "<script" not in page.text
    done = await client.post("/confirm-address", data={"token": token})
    assert done.status_code == 200, done.text
    assert "Your new address is confirmed" in done.text
    for again in (
        await client.post("/confirm-address", data={"token": token}),
        await confirm(client, token),
    ):
        assert again.status_code == 422
    await ended(client, other)
    moved = await user(member)
    assert (moved["email"], moved["university"]) == (address, "Elsewhere College")
    after = await member.write("for my new one", visibility="university")
    assert [await may_read(peer, post) for post in (before, after)] == [True, False]
    assert [await may_read(stranger, post) for post in (before, after)] == [False, True]
    assert [await may_read(member, post) for post in (before, after)] == [True, True]
    assert (await sign_in(client, member.email, PASSWORD)).status_code == 401
    assert (await sign_in(client, address, PASSWORD)).status_code == 200
    assert "address_changed" in await audited(member)


async def test_old_address_takes_the_account_back(
    stack: Stack, client: httpx.AsyncClient, member: Member, address: str, name: Name
) -> None:
    """Attacks an owner whose password and session a thief has, who then uses all their links."""
    await ask(member, address)
    assert (await confirm(client, await newest_token(stack, address))).status_code == 204
    subject, back = (await mails(stack, member.email))[-1]
    assert subject == "The address of your ChitLaq account was changed"
    thiefs = await forget(stack, client, address)
    assert (await reset(client, thiefs, "words of the thief")).status_code == 204
    again = await sign_in(client, member.username, "words of the thief")
    thief = {"Authorization": f"Bearer {again.json()['access_token']}"}
    further = f"{name()}@{ELSEWHERE}"
    body = {"email": further, "password": "words of the thief"}
    await client.post("/api/auth/email/change", json=body, headers=thief)
    pending = await newest_token(stack, further)
    page = await client.get("/reset", params={"token": back})
    assert member.email in page.text
    done = await client.post("/reset", data={"token": back, "password": FRESH})
    assert done.status_code == 200, done.text
    await ended(client, thief)
    assert (await confirm(client, pending)).status_code == 422
    assert (await sign_in(client, member.username, "words of the thief")).status_code == 401
    owner = await sign_in(client, member.email, FRESH)
    assert owner.json()["user"]["email"] == member.email
    assert owner.json()["user"]["university"] == "Example University"
    assert (await reset(client, back, FRESH)).status_code == 422


async def test_address_that_is_taken_is_answered_the_same_and_its_owner_is_told(
    stack: Stack, client: httpx.AsyncClient, member: Member, address: str, join: Join
) -> None:
    holder = await join()
    answers = [await ask(member, email) for email in (address, holder.email)]
    assert [one.status_code for one in answers] == [202] * 2
    assert answers[0].text == answers[1].text
    last = (await mails(stack, holder.email))[-1]
    assert last == ("Your address was given for another ChitLaq account", "")


async def test_of_two_members_who_want_one_address_one_gets_it(
    stack: Stack, client: httpx.AsyncClient, member: Member, address: str, join: Join
) -> None:
    other = await join()
    tokens = []
    for one in (member, other):
        assert (await ask(one, address)).status_code == 202
        tokens.append(await newest_token(stack, address))
    answers = await asyncio.gather(*(confirm(client, token) for token in tokens * 2))
    assert sorted(one.status_code for one in answers) == [204, 422, 422, 422]
    emails = [(await user(one))["email"] for one in (member, other)]
    assert sorted(emails).count(address) == 1


async def test_change_that_may_not_be_is_refused_by_field(
    stack: Stack, client: httpx.AsyncClient, member: Member, address: str
) -> None:
    for email, password, field in [
        (address, "not my password", "password"),
        (member.email, PASSWORD, "email"),
        ("somebody@unheard-of.example", PASSWORD, "email"),
        ("no address", PASSWORD, "email"),
    ]:
        refused = await ask(member, email, password)
        assert refused.status_code == 422, refused.text
        assert set(refused.json()["errors"]) == {field}
    assert await mails(stack, address) == []
    assert (await ask(member, address)).status_code == 202
    token = await newest_token(stack, address)
    assert (await reset(client, token, FRESH)).status_code == 422
    await stack.sql(
        "UPDATE auth.mailed_tokens SET expires_at = now() WHERE account_id = $1::uuid", member.id
    )
    assert (await confirm(client, token)).status_code == 422
    assert "does not work any more" in (await client.get("/confirm-address")).text


async def test_new_password_and_new_request_end_an_older_request(
    stack: Stack, client: httpx.AsyncClient, member: Member, address: str
) -> None:
    tokens = []
    for email in (address, f"x.{address}"):
        assert (await ask(member, email)).status_code == 202
        tokens.append(await newest_token(stack, email))
    assert (await confirm(client, tokens[0])).status_code == 422, "there is a newer one"
    assert (
        await reset(client, await forget(stack, client, member.email), FRESH)
    ).status_code == 204
    assert (await confirm(client, tokens[1])).status_code == 422
