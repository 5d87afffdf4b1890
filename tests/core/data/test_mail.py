"""Mail is sent by SMTP if a server is configured, retried if refused, and its text then deleted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiosmtpd.controller import Controller

from chitlaq.core.data import mail, postgres
from chitlaq.core.data.mail import Mail, TooManyMailsError, safe_name
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.settings import Smtp
from tests.conftest import PASSWORD, Stack, eventually, free_ports


class Mailbox:
    """A real SMTP server that temporarily refuses the first mail to each address."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.recipients: set[str] = set()
        self.messages: list[EmailMessage] = []
        self.raw: list[bytes] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        (address,) = envelope.rcpt_tos
        self.recipients.add(address)
        if address not in self.refused:
            self.refused.add(address)
            return f"451 {address} and {address.title()}: come back later"
        self.raw.append(envelope.content)
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


@contextmanager
def sending(stack: Stack, smtp_port: int) -> Iterator[None]:
    """A second auth-service beside the stack's own, which has the SMTP server in its settings."""
    (auth_port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "serve", "auth-service", "--worker", "9"],
        env=stack.environment
        | {
            "CHITLAQ_PORTS_AUTH": str(auth_port),
            "CHITLAQ_SMTP_HOST": "127.0.0.1",
            "CHITLAQ_SMTP_PORT": str(smtp_port),
            "CHITLAQ_SMTP_START_TLS": "false",
        },
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


async def test_mail_is_retried_sent_and_its_text_deleted(
    stack: Stack, client: httpx.AsyncClient, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    email = "postal@example.edu"
    await client.post(
        "/api/auth/register",
        json={"email": email, "password": PASSWORD, "username": "postal", "display_name": "Pöstal"},
    )
    with sending(stack, port):
        (row,) = await stack.sql("SELECT id, links FROM mail.messages WHERE to_address = $1", email)
        of_mail = "WHERE kind = 'send_mail' AND payload->>'message_id' = $1"

        async def failed() -> bool:
            (job,) = await stack.sql(f"SELECT * FROM jobs.jobs {of_mail}", str(row["id"]))
            said = "the recipient and the recipient: come back later"
            return job["attempts"] == 1 and said in (job["reason"] or "")

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


async def test_mail_that_would_go_to_somebody_else_is_counted_and_passed_by(
    stack: Stack, client: httpx.AsyncClient, mailbox: tuple[Mailbox, int]
) -> None:
    """Attacks the promise that a mail goes to whom it names, whoever has written its row."""
    box, port = mailbox
    tricks = [
        "=?utf-8?q?mallory=40evil.com=3ex?=foo@example.edu",
        "=?utf-8?q?=ff?=@example.edu",
        "foo@example.edu, mallory@evil.com",
        '"foo"@example.edu',
    ]
    for address in tricks:
        await stack.sql(
            "WITH m AS (INSERT INTO mail.messages (to_address, subject, text, html, request_id)"
            " VALUES ($1, 'x', 'x', 'x', '-') RETURNING id)"
            " INSERT INTO jobs.jobs (kind, payload, request_id, due_at)"
            " SELECT 'send_mail', jsonb_build_object('message_id', id), '-', 'epoch' FROM m",
            address,
        )
    email = "behind-the-tricks@example.edu"
    body = {"email": email, "password": PASSWORD, "username": "behind", "display_name": "B"}
    assert (await client.post("/api/auth/register", json=body)).status_code == 201
    box.refused.add(email)
    with sending(stack, port):
        await eventually(lambda: [m for m in box.messages if m["To"] == email])

        async def counted() -> bool:
            found = await stack.sql(
                "SELECT j.attempts, j.reason FROM jobs.jobs j JOIN mail.messages m"
                " ON m.id = (j.payload->>'message_id')::uuid WHERE m.to_address = ANY ($1)",
                tricks,
            )
            return len(found) == len(tricks) and all(
                row["attempts"] and row["reason"] for row in found
            )

        await eventually(counted)
    # A server may take the quotes away.
    strangers = ("=?", '"', "foo")
    assert not [one for one in box.recipients if one.startswith(strangers) or "evil" in one]
    await stack.sql("DELETE FROM jobs.jobs WHERE due_at < now() + interval '1 day'")


async def test_text_of_a_mail_that_is_given_up_is_deleted(
    stack: Stack, client: httpx.AsyncClient, name: Callable[[], str]
) -> None:
    """Attacks the promise that no link outlives the job that would have sent it."""
    kept, given_up = f"{name()}@example.edu", f"{name()}@example.edu"
    for email in (kept, given_up):
        body = {"email": email, "password": PASSWORD, "username": name(), "display_name": "N"}
        assert (await client.post("/api/auth/register", json=body)).status_code == 201
    (job,) = await stack.sql(
        "SELECT j.id FROM jobs.jobs j JOIN mail.messages m ON m.id = (j.payload->>'message_id')::uuid"
        " WHERE m.to_address = $1",
        given_up,
    )
    answer = await asyncio.to_thread(stack.command, "jobs", "discard", str(job["id"]), "--yes")
    assert answer.stdout.endswith("1 job deleted.\n"), answer.stderr
    mails = await stack.sql(
        "SELECT to_address, text = '' AND html = '' AND links = '{}' AS is_empty FROM mail.messages"
        " WHERE to_address = ANY ($1)",
        [kept, given_up],
    )
    assert dict(mails) == {kept: False, given_up: True}


async def test_mails_that_are_written_at_the_same_moment_are_counted_together(
    stack: Stack, name: Callable[[], str]
) -> None:
    """Attacks the limit of a mailbox: neither transaction sees what the other has not committed."""
    queries = postgres.load_queries("chitlaq.core.data", "test")
    database = Database(stack.dsn("chitlaq_auth"), "test", queries)
    written = Mail(f"{name()}@example.edu", "subject", "text", "<p>text</p>", [])

    async def put() -> None:
        async with database.transaction() as session:
            await mail.put(session, written, most_per_hour=1)

    async with database.transaction() as session:
        await mail.put(session, written, most_per_hour=1)
        second = asyncio.create_task(put())
        waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

        async def is_held_up() -> bool:
            return second.done() or bool(await stack.sql(waiting))

        await eventually(is_held_up)
    with pytest.raises(TooManyMailsError):
        await second
    await database.close()


async def test_one_address_gets_few_mails_whoever_asks_for_them(
    stack: Stack, client: httpx.AsyncClient, name: Callable[[], str]
) -> None:
    """Attacks the limit with many requests at once, other spellings, both routes, and no Valkey."""
    username = name()
    stack.redis("client", "pause", "3000", "all")
    spellings = [f"{username}{tag}@example.edu" for tag in ("", "+a", "+b", "+c+d")]

    async def register(number: int) -> httpx.Response:
        email = spellings[number % len(spellings)].upper()
        body = {"email": email, "password": PASSWORD, "username": name(), "display_name": "N"}
        return await client.post("/api/auth/register", json=body)

    answers = await asyncio.gather(*map(register, range(24)))
    refused = [one for one in answers if one.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) > 3000
    for _ in range(3):
        answer = await client.post("/api/auth/verify/resend", json={"email": spellings[0]})
        assert answer.status_code in {202, 429}
    mails = await stack.sql("SELECT FROM mail.messages WHERE to_address = ANY ($1)", spellings)
    assert len(mails) == 5
    other = {"email": f"{name()}@example.edu", "password": PASSWORD, "username": name()}
    answer = await client.post("/api/auth/register", json=other | {"display_name": "Other"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "name",
    [
        "Ada Lovelace",
        "Zoë Ümit",
        "J. R. O'Neill-Smith",
        "प्रिया शर्मा",
        "王小明",
        "María José del Río",
    ],
)
def test_name_that_looks_like_one_is_in_a_mail(name: str) -> None:
    assert safe_name(f"  {name} ") == name


@pytest.mark.parametrize(
    "name",
    [
        "Ada\n\nYour account is locked: https://evil.com",
        "evil.com",
        "www.evil.com",
        "https://evil.com",
        "mallory@evil.com",
        "call 0800 123456",
        "<b>Ada</b>",
        "[Ada](https://evil.com)",
        "\u202eadA",
        "please confirm your password at once with your bank",
        "x" * 60,
        "evil。com",
        "",
    ],
)
def test_name_that_could_mislead_is_left_out_of_a_mail(name: str) -> None:
    assert safe_name(name) == ""


async def test_name_of_several_lines_is_refused(client: httpx.AsyncClient) -> None:
    for bad in (
        "Ada\nLovelace",
        "Ada\r",
        "Ada\x1b]0;x\x07",
        "Ada\u202e",
        "Ada\u2028x",
        "Ada\x9b31m",
    ):
        body = {"email": "lines@example.edu", "password": PASSWORD, "username": "lines"}
        answer = await client.post("/api/auth/register", json=body | {"display_name": bad})
        assert answer.status_code == 422, answer.text
        assert set(answer.json()["errors"]) == {"display_name"}


async def test_mail_names_where_one_click_ends_it(mailbox: tuple[Mailbox, int]) -> None:
    """RFC 8058, 3.1: both headers, and the URL as it is, however long it is."""
    box, port = mailbox
    box.refused.add("reader@example.edu")
    end = "https://chat.example.edu/status/unsubscribe?token=" + "aB3-_" * 40
    sent = Mail("reader@example.edu", "Çözüldü", "text", "<p>page", [], end)
    smtp = Smtp(host="127.0.0.1", port=port, start_tls=False)
    await mail.send_at_once(smtp, sent, uuid4(), datetime.now(UTC), 30)
    (raw,) = box.raw
    lines = raw.split(b"\r\n")
    assert f"List-Unsubscribe: <{end}>".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    assert max(map(len, lines)) <= 998
    assert box.messages[0]["Subject"] == "Çözüldü"


@pytest.mark.parametrize(
    "url",
    ["mailto:x@example.edu", "https://a\r\nBcc: b", "https://a b", "https://a>", "https://é",
     f"https://{'a' * 950}"],
)  # fmt: skip
def test_address_that_ends_a_subscription_is_one_url(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Mail("reader@example.edu", "x", "x", "x", [], url)
