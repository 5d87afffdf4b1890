"""What is mailed to the owners of accounts, and what they do with it."""

from __future__ import annotations

import httpx

from tests.conftest import Member, Stack, eventually


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


async def sign_in(client: httpx.AsyncClient, login: str, password: str) -> httpx.Response:
    return await client.post("/api/auth/login", json={"login": login, "password": password})


async def other_session(member: Member, password: str) -> dict[str, str]:
    """Sign in on another device; return the header that says so."""
    answer = await sign_in(member.client, member.username, password)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def ended(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Wait until a session has ended at another service."""

    async def is_refused() -> bool:
        return (await client.get("/api/users/me", headers=headers)).status_code == 401

    await eventually(is_refused)


async def audited(member: Member) -> list[str]:
    """What the audit log says of a member, newest first."""
    answer = await member.get("/api/auth/audit")
    assert answer.status_code == 200, answer.text
    return [item["action"] for item in answer.json()["items"]]
