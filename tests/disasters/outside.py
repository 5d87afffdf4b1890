"""Disasters of what the services stand on outside: the mail server, the certificate, the disk."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from aiosmtpd.controller import Controller

from tests.certificates import chained
from tests.conftest import PASSWORD, Stack
from tests.ops.checks.conftest import status_of


class MailServer:
    """The server of a stack's mails, on the port of its settings; it takes them until told otherwise."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._running: Controller | socket.socket | None = None
        self.refuses = False

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Sequence[str]
    ) -> str:
        if self.refuses:
            return f"550 {address}: no such user here"
        envelope.rcpt_tos.append(address)
        return "250 go on"

    async def handle_DATA(self, *_: Any) -> str:  # noqa: N802
        return "250 taken"

    def take(self) -> None:
        self.close()
        self._running = Controller(self, hostname="127.0.0.1", port=self._port)
        self._running.start()

    def be_silent(self) -> None:
        """Accept connections, and say nothing."""
        self.close()
        self._running = socket.create_server(("127.0.0.1", self._port), backlog=100)

    def close(self) -> None:
        if isinstance(self._running, Controller):
            self._running.stop()
        elif self._running is not None:
            self._running.close()
        self._running = None


@cache
def mail_server(port: str) -> MailServer:
    """The one on a port."""
    return MailServer(int(port))


def settings(folder: Path, tls_port: int, smtp_port: int) -> dict[str, str]:
    """What a stack needs for these: a mail server, and a certificate of an operator's own in a folder."""
    return {
        "CHITLAQ_SMTP_HOST": "127.0.0.1",
        "CHITLAQ_SMTP_PORT": str(smtp_port),
        "CHITLAQ_SMTP_START_TLS": "false",
        "CHITLAQ_TLS_CERTIFICATE": str(folder / "tls.pem"),
        "CHITLAQ_TLS_KEY": str(folder / "tls.key"),
        "CHITLAQ_MONITORING_CERTIFICATES": f"localhost:{tls_port}",
    }


def write_certificate(stack: Stack, *days: float, host: str = "localhost") -> None:
    path = Path(stack.environment["CHITLAQ_TLS_CERTIFICATE"])
    pems, _ = chained(path, *days, host=host)
    path.write_text("".join(pems))


@asynccontextmanager
async def mail_server_away(stack: Stack) -> AsyncIterator[None]:
    server = mail_server(stack.environment["CHITLAQ_SMTP_PORT"])
    await asyncio.to_thread(server.close)
    try:
        yield
    finally:
        await asyncio.to_thread(server.take)


@asynccontextmanager
async def mail_server_silent(stack: Stack) -> AsyncIterator[None]:
    server = mail_server(stack.environment["CHITLAQ_SMTP_PORT"])
    await asyncio.to_thread(server.be_silent)
    try:
        yield
    finally:
        await asyncio.to_thread(server.take)


@asynccontextmanager
async def mails_refused(stack: Stack) -> AsyncIterator[None]:
    """The mail server answers, and knows none of those who register."""
    server = mail_server(stack.environment["CHITLAQ_SMTP_PORT"])
    server.refuses = True
    await stack.add_university("Example University", "example.edu")
    try:
        async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
            for _ in range(4):
                name = f"m{secrets.token_hex(6)}"
                body = {"email": f"{name}@example.edu", "password": PASSWORD, "username": name}
                answer = await client.post("/api/auth/register", json=body | {"display_name": name})
                assert answer.status_code == 201, answer.text
        yield
    finally:
        server.refuses = False


@asynccontextmanager
async def certificate(stack: Stack, *days: float, host: str = "localhost") -> AsyncIterator[None]:
    """nginx has another one, whose chain ends in so many days."""
    write_certificate(stack, *days, host=host)
    await _read_by_nginx(stack)
    try:
        yield
    finally:
        write_certificate(stack, 60, 60)
        await _read_by_nginx(stack)


async def _read_by_nginx(stack: Stack) -> None:
    done = await asyncio.to_thread(stack.command, "restart", "nginx")
    assert done.returncode == 0, done.stdout + done.stderr


@asynccontextmanager
async def edge_configuration_lost(stack: Stack) -> AsyncIterator[None]:
    """Something else is where nginx's configuration belongs, and nginx ends."""
    path = stack.home / "nginx" / "nginx.conf"
    assert path.is_file()
    path.unlink()
    (path / "lost").mkdir(parents=True)
    pid = (await asyncio.to_thread(status_of, stack, "nginx")).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    try:
        yield
    finally:
        shutil.rmtree(path)


@asynccontextmanager
async def disk_slow(stack: Stack) -> AsyncIterator[None]:
    """The disk of the home takes four writes a second; it is a disk of its own."""
    device = stack.home.stat().st_dev
    limit = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device")
    name = f"{os.major(device)}:{os.minor(device)}"
    limit.write_text(f"{name} 4\n")
    try:
        yield
    finally:
        limit.write_text(f"{name} 0\n")
