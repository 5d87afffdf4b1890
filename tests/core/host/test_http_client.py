"""A response is complete and in time, or an error gives the reason."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chitlaq.core.host import http_client
from chitlaq.core.host.http_client import NoAnswerError
from tests.certificates import self_signed

SECONDS = 20.0
OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def server(
    *parts: bytes,
    socket: Path | None = None,
    tls: ssl.SSLContext | None = None,
    pause_seconds: float = 0,
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that sends these parts to every request; yields its URL and the requests."""
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        requests.append(head + await reader.readexactly(length))
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_seconds)
        except ConnectionError:
            pass
        writer.close()

    if socket is not None:
        listening = await asyncio.start_unix_server(answer, str(socket))
        url = "http://localhost"
    else:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        port = listening.sockets[0].getsockname()[1]
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    async with listening:
        yield url, requests


@pytest.mark.parametrize(
    "parts",
    [
        (OK + b"Content-Length: 5\r\n\r\n", b"hello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (OK + b"\r\n", b"hel", b"lo"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello",),
        (b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 5\r\n\r\nhello"),
    ],
)
async def test_response_is_read_however_its_end_is_marked(parts: tuple[bytes, ...]) -> None:
    async with server(*parts) as (url, _):
        answer = await http_client.get(f"{url}/a", timeout_seconds=SECONDS)
    assert (answer.status, answer.body, answer.text) == (200, b"hello", "hello")


async def test_any_status_and_headers_are_returned() -> None:
    async with server(b"HTTP/1.1 503 Down\r\nX-Request-Id: 7\r\nContent-Length: 0\r\n\r\n") as (
        url,
        _,
    ):
        answer = await http_client.get(url, timeout_seconds=SECONDS)
    assert answer.status == 503
    assert answer.headers["x-request-id"] == "7"


async def test_unix_socket_works_like_a_port(tmp_path: Path) -> None:
    socket = tmp_path / "s"
    async with server(OK + b"Content-Length: 2\r\n\r\nhi", socket=socket) as (url, requests):
        answer = await http_client.get(
            f"{url}/health?deep=1", socket=socket, timeout_seconds=SECONDS
        )
    assert answer.text == "hi"
    assert requests[0].startswith(b"GET /health?deep=1 HTTP/1.1\r\nHost: localhost\r\n")


async def test_parameters_are_encoded_and_a_password_is_not_in_the_host() -> None:
    async with server(OK + b"Content-Length: 0\r\n\r\n") as (url, requests):
        address = url.replace("http://", "http://me:p%40ss@")
        await http_client.get(
            f"{address}/q", parameters={"query": "up == 1 & {a}"}, timeout_seconds=SECONDS
        )
        host = url.removeprefix("http://").encode()
    assert requests[0].startswith(b"GET /q?query=up+%3D%3D+1+%26+%7Ba%7D HTTP/1.1\r\n")
    assert b"\r\nHost: " + host + b"\r\n" in requests[0]
    assert b"\r\nAuthorization: Basic bWU6cEBzcw==\r\n" in requests[0]


async def test_body_and_headers_are_sent() -> None:
    async with server(OK + b"Content-Length: 0\r\n\r\n") as (url, requests):
        await http_client.request(
            "POST", url, headers={"X-One": "1"}, body=b"{}", timeout_seconds=SECONDS
        )
    assert requests[0].startswith(b"POST / HTTP/1.1\r\n")
    assert b"\r\nX-One: 1\r\n" in requests[0]
    assert requests[0].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"+PONG\r\n",),
        (OK + b"Content-Length: 9\r\n\r\n", b"half"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",),
        (OK,),
        (OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n",),
    ],
)
async def test_incomplete_response_is_an_error(parts: tuple[bytes, ...]) -> None:
    async with server(*parts) as (url, _):
        with pytest.raises(NoAnswerError, match=rf"^no answer from {url}/x \(.+\)$"):
            await http_client.get(f"{url}/x?secret=1", timeout_seconds=SECONDS)


async def test_timeout_covers_a_response_that_comes_byte_by_byte() -> None:
    async with server(OK, *[b"X: 1\r\n"] * 100_000, pause_seconds=0.05) as (url, _):
        with pytest.raises(NoAnswerError, match=r"within 0.5 s$"):
            async with asyncio.timeout(SECONDS / 2):
                await http_client.get(url, timeout_seconds=0.5)


async def test_endless_response_is_an_error() -> None:
    async with server(OK + b"\r\n", *[b"x" * 65_536] * 100) as (url, _):
        with pytest.raises(NoAnswerError, match="more than 1,000,000 bytes"):
            await http_client.request("GET", url, timeout_seconds=SECONDS, max_bytes=1_000_000)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:10.1.2.3]", "10.1.2.3"]
)
async def test_private_address_is_connected_to_by_nobody_who_wants_a_public_one(host: str) -> None:
    async with server(OK + b"\r\n") as (url, seen):
        target = url.replace("127.0.0.1", host)
        with pytest.raises(NoAnswerError, match="is a private address"):
            await http_client.request("GET", target, timeout_seconds=SECONDS, only_public=True)
    assert not seen


async def test_refused_connection_is_reported_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(NoAnswerError, match=r"^no answer from http://127.0.0.1:1/a \(.*refused"):
        await http_client.get("http://me:secret@127.0.0.1:1/a", timeout_seconds=SECONDS)
    with pytest.raises(NoAnswerError, match="no answer from /no/socket"):
        await http_client.get(
            "http://localhost/", socket=Path("/no/socket"), timeout_seconds=SECONDS
        )


async def test_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with server(OK + b"Content-Length: 0\r\n\r\n") as (url, _):
        assert (await http_client.get(url, timeout_seconds=SECONDS)).status == 200


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for 127.0.0.1, and the server's side of it."""
    public, private = self_signed(tmp_path / "here.pem", days=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


async def test_tls_server_must_be_trusted_by_the_machine(
    tls: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, context = tls
    http_client._trusted.cache_clear()
    async with server(OK + b"Content-Length: 2\r\n\r\nhi", tls=context) as (url, _):
        with pytest.raises(NoAnswerError, match="CERTIFICATE_VERIFY_FAILED"):
            await http_client.get(url, timeout_seconds=SECONDS)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        http_client._trusted.cache_clear()
        assert (await http_client.get(url, timeout_seconds=SECONDS)).text == "hi"
    http_client._trusted.cache_clear()


def test_http_client_loads_no_large_library() -> None:
    script = "import sys; from chitlaq.core.host import http_client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"httpx", "urllib.request", "http.client", "certifi"} & set(loaded.stdout.split())


@pytest.mark.parametrize(
    "url",
    ["", "localhost:9090", "http://", "http://[", "http://h:x/", "http://h:99999/", "file:///x"],
)
async def test_what_is_no_url_of_http_is_asked_of_nobody(url: str) -> None:
    with pytest.raises(NoAnswerError, match="URL"):
        await http_client.get(url, timeout_seconds=SECONDS)
