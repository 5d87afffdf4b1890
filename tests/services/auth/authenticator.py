"""A passkey in software: what a browser and an authenticator do together (WebAuthn, Level 3)."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, HAS_KEY = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One key pair for one account of a site.

    Args:
        origin: of the page that asks.
        is_verifying: whether it verifies its user.
    """

    origin: str
    is_verifying: bool = True
    sign_count: int = 0
    user_handle: bytes = b""
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer what ``navigator.credentials.create`` is given."""
        self.user_handle = decoded(options["user"]["id"])
        numbers = self._key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        key = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})  # COSE: EC2, ES256, P-256
        attested = bytes(16) + struct.pack(">H", 32) + self.credential_id + key
        data = self._data(options["rp"]["id"], HAS_KEY) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            clientDataJSON=self._client_data("webauthn.create", options),
            attestationObject=encoded(attestation),
            transports=["internal"],
        )

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer what ``navigator.credentials.get`` is given."""
        self.sign_count += 1
        data = self._data(options["rpId"])
        client_data = self._client_data("webauthn.get", options)
        signed = data + hashlib.sha256(decoded(client_data)).digest()
        return self._answer(
            clientDataJSON=client_data,
            authenticatorData=encoded(data),
            signature=encoded(self._key.sign(signed, ec.ECDSA(SHA256()))),
            userHandle=encoded(self.user_handle),
        )

    def _data(self, rp_id: str, more: int = 0) -> bytes:
        flags = PRESENT | more | (VERIFIED if self.is_verifying else 0)
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.sign_count)

    def _client_data(self, kind: str, options: dict[str, Any]) -> str:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return encoded(json.dumps(said | {"crossOrigin": False}).encode())

    def _answer(self, **response: object) -> dict[str, Any]:
        name = encoded(self.credential_id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }


def encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
