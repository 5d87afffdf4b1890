"""A heartbeat goes out only while alerts arrive; one that is missing is told by whoever expects it."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from chitlaq.core import tasks
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import Secret
from chitlaq.core.installation.settings import Operations, Settings
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.watchdog import heartbeat_sender, heartbeat_server, heartbeats
from chitlaq.ops.watchdog.alert_path import AlertPath
from chitlaq.ops.watchdog.heartbeats import Listener
from tests.conftest import Stack, eventually, free_ports, remove_home, start_stack
from tests.ops.receivers import MailServer, mail_server
from tests.ops.watchdog.test_probing import reported


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def other(smtp: MailServer) -> Iterator[Stack]:
    """A second installation that only expects heartbeats."""
    stack = start_stack(
        CHITLAQ_SMTP_HOST="127.0.0.1",
        CHITLAQ_SMTP_PORT=str(smtp.port),
        CHITLAQ_SMTP_START_TLS="false",
        CHITLAQ_OPERATIONS_REPORT_TO="outside@example.edu",
    )
    yield stack
    remove_home(stack.home)


@contextmanager
def serving(stack: Stack, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "heartbeat", "serve", "--port", str(port)],
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def silence(stack: Stack, seconds: int) -> None:
    """Let all heartbeats be expected within this time, for which operators can only say minutes."""
    with OpsDatabase(Home(stack.home)) as database:
        await database._writer.run(
            lambda opened: (
                opened.execute(f"UPDATE heartbeats SET within_seconds = {seconds}").rowcount
            )
        )


async def test_missing_heartbeat_is_told_by_a_second_installation_and_ends_when_it_is_back(
    other: Stack, smtp: MailServer, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    said = other.command(
        "heartbeat", "expect", "campus", "--url", f"http://127.0.0.1:{port}"
    ).stdout
    url = said.rpartition("heartbeat_url = ")[2].strip().strip('"')
    (listed,) = other.json("heartbeat", "list")
    assert listed["last_at"] is None
    await silence(other, 2)
    with serving(other, port):
        # The installation that sends: its heartbeat stops when its alerts stop arriving.
        path = AlertPath()
        path.look(reported("Watchdog", "firing"))
        settings = Settings(operations=Operations(heartbeat_url=Secret(url)))
        with OpsDatabase(Home(tmp_path)) as database:

            async def beat() -> None:
                while True:
                    if path.works:
                        assert await heartbeat_sender.ask(url) in {
                            ("sent", "status 204"), ("failed", "no answer (ConnectionRefusedError)"),
                        }  # fmt: skip
                    await asyncio.sleep(0.2)

            async with tasks.running(
                beat, partial(heartbeat_sender.send_forever, database, settings, path)
            ):

                async def is_heard() -> bool:
                    return bool(other.json("heartbeat", "list")[0]["last_at"])

                await eventually(is_heard)
                assert smtp.mails == []
                path._heard_at = None
                await eventually(lambda: smtp.mails)
                ((address, subject, _),) = smtp.mails
                assert address == "outside@example.edu"
                assert subject.startswith("P0 incident 1: campus has sent no heartbeat for 2 s")
                path.look(reported("Watchdog", "firing"))
                await eventually(lambda: other.json("alerts", "--resolved"))
    assert other.command("heartbeat", "forget", "campus").returncode == 0
    assert "No heartbeat campus" in other.command("heartbeat", "forget", "campus").stderr


async def test_only_the_token_is_a_heartbeat(other: Stack) -> None:
    (port,) = free_ports(1)
    other.command("heartbeat", "expect", "campus")
    with serving(other, port):
        base = f"http://127.0.0.1:{port}"

        async def answers() -> bool:
            return httpx.get(base).status_code == 404

        await eventually(answers)
        for path in (
            "/heartbeat/",
            "/heartbeat/wrong",
            f"/heartbeat/{'x' * 5000}",
            "/heartbeat/%00%ff",
        ):
            assert httpx.get(base + path).status_code == 404
    assert other.json("heartbeat", "list")[0]["last_at"] is None


async def test_heartbeat_that_cannot_be_sent_is_noted_without_its_url(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    path = AlertPath()
    path.look(reported("Watchdog", "firing"))
    settings = Settings(
        operations=Operations(heartbeat_url=Secret(f"http://127.0.0.1:{port}/s3cret"))
    )
    with OpsDatabase(Home(tmp_path)) as database:
        async with tasks.running(partial(heartbeat_sender.send_forever, database, settings, path)):
            (row,) = await eventually(lambda: database.rows("deliveries"))
    assert row["outcome"] == "failed"
    assert "s3cret" not in row["detail"]


async def test_clock_that_was_set_while_it_was_down_raises_nothing_at_the_start(
    tmp_path: Path,
) -> None:
    with OpsDatabase(Home(tmp_path)) as database:
        await heartbeats.expect(database, "campus", timedelta(minutes=5), "ada")
        await database.write(statement("heartbeat_came", heartbeats.hashed("?"), datetime.now(UTC)))
        await database._writer.run(
            lambda opened: (
                opened.execute("UPDATE heartbeats SET last_at = '2001-01-01T00:00:00Z'").rowcount
            )
        )
        assert not await Listener(database).look()


async def test_connections_that_say_nothing_keep_out_no_heartbeat(other: Stack) -> None:
    (port,) = free_ports(1)
    with serving(other, port), ExitStack() as opened:

        async def answers() -> bool:
            return httpx.get(f"http://127.0.0.1:{port}").status_code == 404

        await eventually(answers)
        for _ in range(2 * heartbeat_server.MOST_AT_ONCE):
            silent = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            silent.sendall(b"GET /heartbeat/x HTTP/1.1\r\n")
        # Those that were open are closed, and those that waited behind them.
        await eventually(answers, 3 * heartbeat_server.CONNECTION_SECONDS)
