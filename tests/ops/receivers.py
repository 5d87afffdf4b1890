"""Real receivers of pages on this machine: a web service and a mail server, which can also misbehave."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.conftest import free_ports


@dataclass
class WebService:
    """Accepts notifications of Apprise's ``json://`` at any path; the path decides how it answers."""

    port: int = 0
    came: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    """Status by the first word of the path; 0 hangs."""
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, name: str = "ada") -> str:
        return f"json://127.0.0.1:{self.port}/{name}/t0ken-{name}"

    def told(self) -> list[str]:
        return [word for word, _ in self.came]

    def texts(self, name: str = "ada") -> list[str]:
        return [said["message"] for word, said in self.came if word == name]

    def subjects(self, name: str = "ada") -> list[str]:
        return [said["title"] for word, said in self.came if word == name]


@contextmanager
def web_service() -> Iterator[WebService]:
    service = WebService()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            name = self.path.split("/")[1]
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            service.came.append((name, body))
            status = service.statuses.get(name, 200)
            if not status:
                service.released.wait(60)
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        service.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MailServer:
    port: int
    mails: list[tuple[str, str, str]] = field(default_factory=list)
    """Recipient, subject and text of each."""
    answers: dict[str, str] = field(default_factory=dict)
    """What is said to mails of an address, instead of taking them."""

    holds_back: bool = False
    """Has the mail, and does not say so."""

    def told(self) -> list[str]:
        return [address.partition("@")[0] for address, _, _ in self.mails]

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=policy.default)
        text = message.get_body(("plain",))
        assert text is not None
        for address in envelope.rcpt_tos:
            self.mails.append((address, str(message["Subject"]).strip(), text.get_content()))
        while self.holds_back:
            await asyncio.sleep(0.01)
        return self.answers.get(envelope.rcpt_tos[0], "250 taken")


@contextmanager
def mail_server() -> Iterator[MailServer]:
    (port,) = free_ports(1)
    server = MailServer(port)
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
