"""PostgreSQL is killed in the middle of registrations: each is whole, with its mail, or was not."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import httpx

from tests.conftest import PASSWORD, Stack, eventually


async def test_registration_is_whole_or_was_not(
    stack: Stack, client: httpx.AsyncClient, name: Callable[[], str]
) -> None:
    answered: dict[str, int] = {}

    async def register_forever() -> None:
        while True:
            username = name()
            email = f"{username}@example.edu"
            body = {"email": email, "password": PASSWORD, "username": username, "display_name": "N"}
            try:
                answer = await client.post("/api/auth/register", json=body)
            except httpx.TransportError:
                continue
            answered[email] = answer.status_code

    def count(status: int) -> int:
        return list(answered.values()).count(status)

    tasks = [asyncio.create_task(register_forever()) for _ in range(4)]
    try:
        await eventually(lambda: count(201) > 3)
        os.kill((await asyncio.to_thread(stack.ps))["postgres"]["pid"], signal.SIGKILL)
        await eventually(lambda: 503 in answered.values())
        before = count(201)
        await eventually(lambda: count(201) > before + 3)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert set(answered.values()) == {201, 503}
    rows = await stack.sql(
        "SELECT r.email, count(l.token_hash) AS links, count(m.id) AS mails FROM auth.registrations r"
        " LEFT JOIN auth.registration_links l ON l.registration_id = r.id"
        " LEFT JOIN mail.messages m ON m.to_address = r.email WHERE r.email = ANY ($1) GROUP BY r.email",
        list(answered),
    )
    assert {(row["links"], row["mails"]) for row in rows} == {(1, 1)}
    acknowledged = {email for email, status in answered.items() if status == 201}
    assert acknowledged <= {row["email"] for row in rows}
    token = await asyncio.to_thread(stack.mail_token, max(acknowledged))
    assert (await client.post("/api/auth/verify", json={"token": token})).status_code == 200
