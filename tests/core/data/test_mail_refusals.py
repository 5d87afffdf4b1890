"""A mail server may refuse, hang or talk nonsense at any step: a mail is neither lost nor sent for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

import pytest

from chitlaq.core.data import mail, postgres
from chitlaq.core.data.jobs import Job
from chitlaq.core.data.mail import Mail, MailRefusedError, SendMail
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.secret_values import Secret
from chitlaq.core.installation.settings import Smtp
from tests.conftest import Stack, eventually

PASSWORD = "secret of the mail server"
STEPS = {
    "connect": b"220 ready\r\n",
    "EHLO": b"250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
    "AUTH": b"235 welcome\r\n",
    "MAIL": b"250 go on\r\n",
    "RCPT": b"250 go on\r\n",
    "DATA": b"354 go on\r\n",
    ".": b"250 taken\r\n",
    "QUIT": b"221 bye\r\n",
}
"""What a server answers that takes a mail."""

ANSWERS: dict[str, bytes | None] = {
    "later": b"451-WHO and WHO,\r\n451 WHO is busy\r\n",
    "never": b"550 \x1b[2J <WHO> unknown\r\n",
    "unavailable": b"421 closing\r\n",
    "garbage": b"\xff\xfe\x00\x9b garbage <WHO>\r\n",
    "not UTF-8": b"550 \xff\xed\xb3\xbf\r\n",
    "long line": b"250 " + b"x" * 1_000_000 + b"\r\n",
    "no end": b"250-x\r\n" * 100_000,
    "closed": b"",
    "silence": None,
}
"""What one answers that does not; WHO is the recipient. None: it says nothing."""


class Server:
    """An SMTP server that answers one step in a way of its own, and counts the mails that it takes."""

    def __init__(self, step: str, answer: bytes | None, *, pause_seconds: float = 0.0) -> None:
        self._step, self._answer, self._pause = step, answer, pause_seconds
        self.taken = 0
        self.said: list[str] = []

    async def _answered(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, step: str
    ) -> None:
        answer = self._answer if step == self._step else STEPS.get(step, b"500 what?\r\n")
        if step == self._step:
            await asyncio.sleep(self._pause)
        if answer is None:
            await reader.read()
        elif not answer:
            raise ConnectionError
        else:
            writer.write(answer)
            await writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await self._answered(reader, writer, "connect")
            while line := await reader.readline():
                step = line[:4].decode(errors="replace").strip()
                self.said.append(step)
                step = "EHLO" if step == "HELO" else step
                if step == "DATA" == self._step:
                    await self._answered(reader, writer, step)
                    continue
                if step == "DATA":
                    await self._answered(reader, writer, step)
                    await reader.readuntil(b"\r\n.\r\n")
                    self.taken += 1
                    step = "."
                await self._answered(reader, writer, step)
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with asyncio.timeout(30):
            yield server.sockets[0].getsockname()[1]
        server.close()


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[Database]:
    pool = Database(
        stack.dsn("chitlaq_auth"), "test", postgres.load_queries("chitlaq.core.data", "test")
    )
    yield pool
    await pool.close()


@dataclass
class Attempts:
    """A mail that waits, attempted as by a worker that has claimed its job."""

    stack: Stack
    database: Database
    address: str
    message_id: UUID
    job_id: UUID

    async def send(self, port: int, *, start_tls: bool = False) -> None:
        smtp = Smtp("127.0.0.1", port, "user", Secret(PASSWORD), start_tls=start_tls)
        job = Job(self.database, self.job_id, 1, 1, "-")
        await mail.sender(self.database, smtp).work(job, SendMail(self.message_id))

    async def is_sent(self) -> bool:
        (row,) = await self.stack.sql(
            "SELECT sent_at, text FROM mail.messages WHERE id = $1", self.message_id
        )
        assert (row["text"] == "") is bool(row["sent_at"])
        return bool(row["sent_at"])


@pytest.fixture
async def waiting(
    stack: Stack, database: Database, name: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Attempts]:
    monkeypatch.setattr(mail, "STEP_SECONDS", 0.5)
    written = Mail(f"{name()}@example.edu", "subject", "text", "<p>text</p>", [])
    async with database.transaction() as session:
        await mail.put_for_operator(session, written)
    (row,) = await stack.sql(
        "UPDATE jobs.jobs j SET state = 'running', attempts = 1, due_at = now() + interval '1 day'"
        " FROM mail.messages m WHERE m.id = (j.payload->>'message_id')::uuid AND m.to_address = $1"
        " RETURNING j.id, m.id AS message",
        written.to_address,
    )
    yield Attempts(stack, database, written.to_address, row["message"], row["id"])
    await stack.sql("DELETE FROM jobs.jobs WHERE id = $1", row["id"])


@pytest.mark.parametrize("answer", ANSWERS)
async def test_mail_that_a_server_refuses_waits_with_a_reason_that_names_nobody(
    waiting: Attempts, answer: str
) -> None:
    """Attacks each step before the server has the mail."""
    local_part = waiting.address.partition("@")[0]
    raw = ANSWERS[answer]
    for step in [step for step in STEPS if step != "QUIT"]:
        if step in {"DATA", "."} and raw is None:
            continue  # It has minutes there.
        said = raw
        for hidden in (waiting.address, waiting.address.upper(), local_part):
            said = said and said.replace(b"WHO", hidden.encode(), 1)
        server = Server(step, said)
        async with server.running() as port:
            with pytest.raises(MailRefusedError) as refused:
                await waiting.send(port)
        reason = str(refused.value)
        assert local_part not in reason.lower(), step
        assert len(reason) < 300, step
        assert "\n" not in reason, step
        if answer == "later":
            assert "451 the recipient and the recipient, the recipient is busy" in reason, step
        assert not await waiting.is_sent(), step
    async with Server("", b"").running() as port:
        await waiting.send(port)
    assert await waiting.is_sent()


@pytest.mark.parametrize("answer", ANSWERS)
async def test_mail_that_a_server_has_is_not_sent_again_whatever_follows(
    waiting: Attempts, answer: str
) -> None:
    server = Server("QUIT", ANSWERS[answer])
    async with server.running() as port:
        await waiting.send(port)
    assert await waiting.is_sent()
    assert server.taken == 1


async def test_server_may_examine_a_mail_longer_than_any_other_step_takes(
    waiting: Attempts,
) -> None:
    """It delivers what it has, and whoever gave up meanwhile would send it again."""
    server = Server(".", STEPS["."], pause_seconds=3 * mail.STEP_SECONDS)
    async with server.running() as port:
        await waiting.send(port)
    assert await waiting.is_sent()
    assert server.taken == 1
    assert mail.SEND_MAIL.timeout_seconds > mail.VERDICT_SECONDS >= 600


async def test_attempt_that_is_cancelled_waits_for_no_server(
    waiting: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a process that stops, or an attempt that is out of time, would wait for the answer to QUIT."""
    for name in ("STEP_SECONDS", "QUIT_SECONDS"):
        monkeypatch.setattr(mail, name, 60.0)
    server = Server("RCPT", None)
    async with server.running() as port:
        attempt = asyncio.create_task(waiting.send(port))
        await eventually(lambda: "RCPT" in server.said)
        attempt.cancel()
        done, _ = await asyncio.wait({attempt}, timeout=20)
    assert done
    assert not await waiting.is_sent()


@pytest.mark.parametrize("answer", [*ANSWERS, "220 of a server without TLS"])
async def test_no_password_is_sent_before_starttls_has_succeeded(
    waiting: Attempts, answer: str
) -> None:
    server = Server("STAR", ANSWERS.get(answer, b"220 go on\r\n"))
    async with server.running() as port:
        with pytest.raises(MailRefusedError):
            await waiting.send(port, start_tls=True)
    assert "AUTH" not in server.said
    assert server.taken == 0
