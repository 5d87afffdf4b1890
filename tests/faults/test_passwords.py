"""A mail server or PostgreSQL is away while passwords are chosen: nothing is lost, and nobody waits."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from aiosmtpd.controller import Controller

from tests.conftest import PASSWORD, Member, Stack, eventually, free_ports, register
from tests.core.data.test_mail import sending
from tests.services.auth.mailed import forget, mails, reset, sign_in

Join = Callable[[], Awaitable[Member]]

FRESH = "another word entirely"


class Mailbox:
    """A real SMTP server that takes everything."""

    def __init__(self) -> None:
        self.recipients: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.recipients += envelope.rcpt_tos
        return "250 taken"


async def test_mail_server_that_is_down_for_an_hour_loses_no_link_and_keeps_nobody_waiting(
    stack: Stack, client: httpx.AsyncClient, name: Callable[[], str]
) -> None:
    member = await register(stack, client, name())
    of_member = (
        "payload->>'message_id' IN (SELECT id::text FROM mail.messages WHERE to_address = $1)"
    )
    (port,) = free_ports(1)
    with sending(stack, port):
        token = await forget(stack, client, member.email)

        async def has_failed() -> bool:
            jobs = await stack.sql(
                f"SELECT attempts FROM jobs.jobs WHERE {of_member}", member.email
            )
            return len(jobs) == 2 and all(job["attempts"] > 0 for job in jobs)

        await eventually(has_failed)
        hour = "interval '1 hour'"
        await stack.sql(
            f"UPDATE auth.mailed_tokens SET expires_at = expires_at - {hour} WHERE account_id = $1::uuid",
            member.id,
        )
        box = Mailbox()
        controller = Controller(box, hostname="127.0.0.1", port=port)
        controller.start()
        try:
            await stack.sql(
                f"UPDATE jobs.jobs SET due_at = due_at - {hour} WHERE {of_member}", member.email
            )
            await eventually(lambda: box.recipients.count(member.email) == 2)
            assert (await reset(client, token, FRESH)).status_code == 422, "it came too late"
            page = await client.get("/reset", params={"token": token})
            assert 'href="/reset"' in page.text, "and says what to do"
            await client.post("/api/auth/password/forgot", json={"email": member.email})
            await eventually(lambda: box.recipients.count(member.email) == 3)
        finally:
            controller.stop()


async def test_password_is_chosen_once_though_postgresql_is_killed(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    member = await join()
    token = await forget(stack, client, member.email)
    asked = await client.post("/api/auth/password/forgot", json={"email": member.email})
    assert asked.status_code == 202
    os.kill((await asyncio.to_thread(stack.ps))["postgres"]["pid"], signal.SIGKILL)
    statuses: list[int] = []

    async def is_decided() -> bool:
        statuses.append((await reset(client, token, FRESH)).status_code)
        return statuses[-1] != 503

    await eventually(is_decided)
    # 422 after an answer that got lost: the token was used.
    assert statuses[-1] == 204 or (statuses[-1] == 422 and len(statuses) > 1)

    async def is_in() -> bool:
        return (await sign_in(client, member.username, FRESH)).status_code == 200

    await eventually(is_in)
    assert (await sign_in(client, member.username, PASSWORD)).status_code == 401

    async def subjects() -> list[str]:
        return [subject for subject, _ in await mails(stack, member.email)]

    async def is_mailed() -> bool:
        return (await subjects()).count("Choose a new ChitLaq password") == 2

    await eventually(is_mailed)
    assert (await subjects()).count("Your ChitLaq password was changed") == 1
