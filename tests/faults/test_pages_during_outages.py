"""Promise under attack: a page reaches whoever is on call, whatever is down, and within the deadlines."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import psutil
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.stack.supervisor import control
from tests.conftest import Stack, eventually, start_stack, stop_stack
from tests.observers import fetched
from tests.ops.receivers import MailServer, mail_server

PAGES_WITHIN = 60
EVERYTHING_WITHIN = 120

# Observers must have seen everything work before anything may break.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def stack(smtp: MailServer) -> Iterator[Stack]:
    """A stack with observers, a P0 and a mail server."""
    tools = fetched()
    stack = start_stack(
        CHITLAQ_MONITORING_EMBEDDED="true",
        CHITLAQ_MONITORING_SCRAPE_SECONDS="5",
        CHITLAQ_SMTP_HOST="127.0.0.1",
        CHITLAQ_SMTP_PORT=str(smtp.port),
        CHITLAQ_SMTP_START_TLS="false",
    )
    (stack.home / "packages").symlink_to(tools.packages)
    (stack.home / "oncall.toml").write_text(
        '[people.ada]\nchannels = [{ url = "ada@example.edu" }]\n[levels]\non-call = ["ada"]\n'
    )
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


@contextmanager
def stopped(stack: Stack, *components: str) -> Iterator[None]:
    """Kill components, and freeze the supervisor, which would start them again."""
    rows = stack.ps()
    pids = [rows[name]["pid"] for name in components]
    supervisor = control.supervisor_pid(Home(stack.home))
    assert supervisor is not None
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for pid in pids:
            for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
                process.kill()
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


async def observers_watch(stack: Stack) -> None:
    """Wait until Prometheus and Alertmanager work, and the Watchdog has arrived."""

    async def has_arrived() -> bool:
        firing = {one["name"] for one in stack.json("alerts") if one["ended_at"] is None}
        return "Watchdog" in firing

    await eventually(has_arrived, 180)


async def test_postgresql_and_valkey_stopped_page_within_a_minute_of_the_alert(
    stack: Stack, smtp: MailServer
) -> None:
    await observers_watch(stack)
    smtp.mails.clear()
    with stopped(stack, "postgres", "redis"):
        await eventually(lambda: smtp.mails, 240)
        arrived = datetime.now(UTC)
        fired = [
            datetime.fromisoformat(one["started_at"])
            for one in stack.json("alerts", "--active")
            if one["name"] == "DatabaseDown"
        ]
        assert (arrived - min(fired)).total_seconds() < PAGES_WITHIN
        assert "PostgreSQL is not responding" in smtp.mails[0][1]


async def test_everything_stopped_at_once_pages_within_two_minutes(
    stack: Stack, smtp: MailServer
) -> None:
    await observers_watch(stack)
    # Each component must have answered a probe once.
    await eventually(lambda: probed(stack), 60)
    smtp.mails.clear()
    ops = stack.ps()["ops-service"]["pid"]
    began = time.monotonic()
    with stopped(stack, "postgres", "redis", "nginx", "prometheus", "alertmanager"):
        await eventually(lambda: smtp.mails, 240)
        assert time.monotonic() - began < EVERYTHING_WITHIN
        assert psutil.Process(ops).is_running()
        health = httpx.get(f"http://127.0.0.1:{stack.ports['ops']}/live")
        assert health.status_code == 200
        memory = psutil.Process(ops).memory_full_info().pss
        print(f"ops-service: {memory / 1e6:.0f} MB, {time.monotonic() - began:.0f} s")
        (incident,) = stack.json("incidents")
        assert incident["severity"] == "P0"


async def probed(stack: Stack) -> bool:
    with OpsDatabase(Home(stack.home)) as database:
        return len(await database.rows("answered_components")) == 5
