"""An authority that is slow, or stops answering, in the middle of an order.

Attacks the promises that the certificate in use stays, that nothing of a failed order is left, and that the
next order succeeds with the same account.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Acme, Ports, Settings
from chitlaq.stack.acme import orders, renewal
from tests import acme_authority
from tests.acme_authority import NAME, Authority
from tests.certificates import chained, self_signed
from tests.conftest import free_ports
from tests.stack.acme.test_renewal import now

pytestmark = pytest.mark.long

STAGES = ("/sign-me-up", "/order-plz", "/chalZ/", "/finalize-order/", "/certZ/")
"""Pebble's paths, in the order in which they are asked for."""
MOST_SECONDS = 30


class Between:
    """A relay before an authority.

    Attributes:
        url: of the authority's directory, through it.
        silent_at: requests of paths that begin so get no answer.
        pause_seconds: how long every other answer takes.
        is_never_done: whether orders stay in the making for ever.
    """

    def __init__(self, authority: Authority, url: str) -> None:
        self.authority = authority
        self.url = url
        self.silent_at = ""
        self.pause_seconds = 0.0
        self.is_never_done = False
        self.ended = threading.Event()


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        between: Between = self.server.between  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if between.silent_at and self.path.startswith(between.silent_at):
            between.ended.wait(30)
            self.close_connection = True
            return
        time.sleep(between.pause_seconds)
        # The authority writes its URLs for the host by which it is asked.
        answer = httpx.request(
            self.command,
            f"https://localhost:{urlsplit(between.authority.directory).port}{self.path}",
            content=body,
            headers=dict(self.headers),
            verify=ssl.create_default_context(cafile=between.authority.root),
        )
        content = answer.content
        if between.is_never_done and self.path.startswith(("/finalize-order/", "/my-order/")):
            content = content.replace(b'"valid"', b'"processing"')
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_HEAD = _answer  # noqa: N815 - so the library has it

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def relayed(authority: Authority, folder: Path) -> Iterator[tuple[Between, Path]]:
    """Yield a relay, and the root of its own HTTPS."""
    certificate, key = self_signed(folder / "relay.pem", days=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Relay)
    between = Between(authority, f"https://localhost:{server.server_port}/dir")
    server.between = between  # type: ignore[attr-defined]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield between, certificate
    finally:
        between.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def test_order_that_stops_in_the_middle_leaves_nothing_and_the_next_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "ANSWER_SECONDS", 1)
    home = Home(tmp_path / "h")
    home.certificates.mkdir(parents=True)
    with (
        acme_authority.running(tmp_path / "ca", 1) as authority,
        relayed(authority, tmp_path) as (between, root),
    ):
        hook = authority.dns_hook()
        edge, gateway = free_ports(2)
        settings = Settings(
            public_url=f"https://{NAME}",
            ports=Ports(edge=edge, gateway=gateway),
            acme=Acme(directory=between.url, root=str(root), dns_hook=str(hook)),
        )
        pem, key = chained(tmp_path / "old.pem", 20, host=NAME)
        home.acme_certificate.write_text(pem[0] + key.read_text())
        old = home.acme_certificate.read_bytes()

        def refused(said: str) -> None:
            began = time.monotonic()
            with pytest.raises(OperatorError, match=said):
                renewal.renew(home, settings, now())
            assert time.monotonic() - began < MOST_SECONDS
            assert home.acme_certificate.read_bytes() == old
            # The log is begun by the first record.
            log = authority.folder / "hook.log"
            hooked = log.read_text() if log.exists() else ""
            assert hooked.count("present") == hooked.count("cleanup")

        for between.silent_at in STAGES:
            refused("no answer")
        between.silent_at = ""
        assert renewal.plan(home, settings, now()).failures == len(STAGES)
        # It answers always, and is never done.
        between.is_never_done = True
        with monkeypatch.context() as patience:
            patience.setattr(orders, "ORDER_SECONDS", 1)
            refused("not done within 1 s")
        between.is_never_done = False
        # Slow, but for no answer too slow.
        between.pause_seconds = 0.1
        renewal.renew(home, settings, now())
        assert home.acme_certificate.read_bytes() != old
        assert renewal.plan(home, settings, now()).failures == 0
        assert len(list(home.acme.glob("account-*.pem"))) == 1
