"""A forgotten password is chosen anew by who has the address, and a change ends what the old one began."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.conftest import PASSWORD, Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]
Name = Callable[[], str]

FRESH = "another word entirely"
OTHER = "a third one of mine"


@pytest.fixture
async def member(join: Join) -> Member:
    return await join()


async def sign_in(client: httpx.AsyncClient, login: str, password: str) -> httpx.Response:
    return await client.post("/api/auth/login", json={"login": login, "password": password})


async def mails(stack: Stack, address: str) -> list[tuple[str, str]]:
    """Subject and token of each mail to an address, oldest first."""
    rows = await stack.sql(
        "SELECT subject, links FROM mail.messages WHERE to_address = $1 ORDER BY id",
        address.lower(),
    )
    return [(row["subject"], "".join(row["links"]).partition("?token=")[2]) for row in rows]


async def forget(stack: Stack, client: httpx.AsyncClient, address: str) -> str:
    """Say that one has forgotten a password; return the mailed token."""
    before = len(await mails(stack, address))
    answer = await client.post("/api/auth/password/forgot", json={"email": address})
    assert answer.status_code == 202, answer.text

    async def arrived() -> bool:
        return len(await mails(stack, address)) > before

    await eventually(arrived)
    return (await mails(stack, address))[-1][1]


async def reset(client: httpx.AsyncClient, token: str, password: str) -> httpx.Response:
    body = {"token": token, "password": password}
    return await client.post("/api/auth/password/reset", json=body)


async def audited(member: Member) -> list[str]:
    answer = await member.get("/api/auth/audit")
    return [item["action"] for item in answer.json()["items"]]


async def has_ended(member: Member) -> bool:
    return (await member.get("/api/users/me")).status_code == 401


async def test_forgotten_password_is_chosen_once_and_ends_every_session(
    stack: Stack, client: httpx.AsyncClient, member: Member
) -> None:
    older = await forget(stack, client, member.email.upper())
    token = await forget(stack, client, member.email)
    assert (await reset(client, token, FRESH)).status_code == 204
    for used in (token, older):
        again = await reset(client, used, OTHER)
        assert again.status_code == 422
        assert set(again.json()["errors"]) == {"token"}
    assert (await sign_in(client, member.username, PASSWORD)).status_code == 401
    assert (await sign_in(client, member.username, FRESH)).status_code == 200
    await eventually(lambda: has_ended(member))
    subjects = [subject for subject, _ in await mails(stack, member.email)]
    assert subjects[1:] == ["Choose a new ChitLaq password"] * 2 + [
        "Your ChitLaq password was changed"
    ]


async def test_of_two_resets_at_once_one_counts(
    stack: Stack, client: httpx.AsyncClient, member: Member
) -> None:
    """Attacks the single use of a token, and of two tokens of one account."""
    tokens = [await forget(stack, client, member.email) for _ in range(2)]
    chosen = [FRESH, OTHER, FRESH, OTHER]
    answers = await asyncio.gather(
        *(reset(client, token, one) for token, one in zip(tokens * 2, chosen, strict=True))
    )
    assert sorted(one.status_code for one in answers) == [204, 422, 422, 422]
    winner = next(
        one for one, answer in zip(chosen, answers, strict=True) if answer.status_code == 204
    )
    for password in (FRESH, OTHER):
        answer = await sign_in(client, member.username, password)
        assert (answer.status_code == 200) == (password == winner)


async def test_answer_for_an_unknown_address_is_the_same(
    stack: Stack, client: httpx.AsyncClient, member: Member, name: Name
) -> None:
    unknown = f"{name()}@example.edu"
    answers = [
        await client.post("/api/auth/password/forgot", json={"email": email})
        for email in (member.email, unknown)
    ]
    assert [one.status_code for one in answers] == [202] * 2
    assert answers[0].text == answers[1].text
    assert await mails(stack, unknown) == []
