"""A push service and browsers, which decrypt what they get as RFC 8291 and RFC 8292 say."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import urandom
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.jwk import ECKey

from chitlaq.services.websocket.notifications.channels import encryption


@dataclass(frozen=True)
class Pushed:
    """One request to the push service."""

    headers: Mapping[str, str]
    body: bytes


@dataclass
class Browser:
    """A subscription to a push service, and what came for it. ``status`` is what the service answers."""

    origin: str
    name: str
    status: int = 201
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    secret: bytes = field(default_factory=lambda: urandom(16))
    got: list[Pushed] = field(default_factory=list)

    @property
    def subscription(self) -> dict[str, Any]:
        """What `PushSubscription.toJSON()` returns."""
        return {
            "endpoint": f"{self.origin}/to/{self.name}",
            "expirationTime": None,
            "keys": {
                "p256dh": encoded(encryption.point(self.key)),
                "auth": encoded(self.secret),
            },
        }

    def read(self, pushed: Pushed, application_key: str) -> Any:
        """Decrypt a push from the server that has this key, after checking what the service would."""
        assert pushed.headers["content-encoding"] == "aes128gcm"
        assert int(pushed.headers["ttl"]) > 0
        found = re.fullmatch(r"vapid t=([^,]+), k=(\S+)", pushed.headers["authorization"])
        assert found
        assert found[2] == application_key
        point = decoded(application_key)
        public: dict[str, str | list[str]] = {
            "kty": "EC",
            "crv": "P-256",
            "x": encoded(point[1:33]),
            "y": encoded(point[33:]),
        }
        claims = jwt.decode(found[1], ECKey.import_key(public), algorithms=["ES256"]).claims
        assert claims["aud"] == self.origin
        assert re.match("mailto:.+@|https://", claims["sub"])
        return json.loads(self.decrypted(pushed.body))

    def decrypted(self, body: bytes) -> bytes:
        salt, size, length = body[:16], body[20], int.from_bytes(body[16:20], "big")
        assert length >= len(body) - 21 - size
        sender, sealed = body[21 : 21 + size], body[21 + size :]
        shared = self.key.exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        )
        own = encryption.point(self.key)
        material = derived(self.secret, shared, b"WebPush: info\0" + own + sender, 32)
        content = AESGCM(derived(salt, material, b"Content-Encoding: aes128gcm\0", 16)).decrypt(
            derived(salt, material, b"Content-Encoding: nonce\0", 12), sealed, None
        )
        text, delimiter, padding = content.rpartition(b"\x02")
        assert delimiter
        assert not padding.strip(b"\0")
        return text


class PushService:
    """Where browsers subscribe; it runs until its block ends."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self._browsers: dict[str, Browser] = {}

    def browser(self, status: int = 201) -> Browser:
        """Return a new browser."""
        name = urandom(8).hex()
        self._browsers[name] = Browser(self.origin, name, status)
        return self._browsers[name]

    def answer(self, path: str, pushed: Pushed) -> int:
        browser = self._browsers[urlsplit(path).path.rpartition("/")[2]]
        browser.got.append(pushed)
        return browser.status


@contextmanager
def running() -> Iterator[PushService]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(service.answer(self.path, Pushed(headers, body)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = PushService(server.server_port)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def derived(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)
