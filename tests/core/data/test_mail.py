"""Mail is sent by SMTP if a server is configured, retried if refused, and its text then deleted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller

from tests.conftest import PASSWORD, Stack, eventually, free_ports


class Mailbox:
    """A real SMTP server that temporarily refuses the first mail to each address."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        (address,) = envelope.rcpt_tos
        if address not in self.refused:
            self.refused.add(address)
            return "451 come back later"
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    mailbox = Mailbox()
    (port,) = free_ports(1)
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailbox, port
    controller.stop()


async def test_mail_is_retried_sent_and_its_text_deleted(
    stack: Stack, client: httpx.AsyncClient, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    email = "postal@example.edu"
    await client.post(
        "/api/auth/register",
        json={"email": email, "password": PASSWORD, "username": "postal", "display_name": "Pöstal"},
    )
    (auth_port,) = free_ports(1)
    # A second auth-service beside the stack's own, which has the SMTP server in its settings.
    sender = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "serve", "auth-service", "--worker", "9"],
        env=stack.environment
        | {
            "CHITLAQ_PORTS_AUTH": str(auth_port),
            "CHITLAQ_SMTP_HOST": "127.0.0.1",
            "CHITLAQ_SMTP_PORT": str(port),
            "CHITLAQ_SMTP_START_TLS": "false",
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        (row,) = await stack.sql("SELECT id, links FROM mail.messages WHERE to_address = $1", email)
        of_mail = "WHERE kind = 'send_mail' AND payload->>'message_id' = $1"

        async def failed() -> bool:
            (job,) = await stack.sql(f"SELECT * FROM jobs.jobs {of_mail}", str(row["id"]))
            return job["attempts"] == 1 and "come back later" in (job["reason"] or "")

        await eventually(failed)
        await stack.sql(f"UPDATE jobs.jobs SET due_at = now() {of_mail}", str(row["id"]))
        (message,) = await eventually(lambda: [m for m in box.messages if m["To"] == email])
        body = message.get_body(("plain",))
        assert body is not None
        assert row["links"][0] in body.get_content()
        assert "Pöstal" in body.get_content()

        async def forgotten() -> bool:
            (row,) = await stack.sql(
                "SELECT sent_at, text, html, links FROM mail.messages WHERE to_address = $1", email
            )
            return bool(row["sent_at"]) and (row["text"], row["html"], row["links"]) == ("", "", [])

        await eventually(forgotten)
    finally:
        sender.terminate()
        await asyncio.to_thread(sender.wait, 30)
