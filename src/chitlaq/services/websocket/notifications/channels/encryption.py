"""What a push service gets: content that only the browser can read, and who sent it.

Message encryption for Web Push (RFC 8291, with the coding of RFC 8188) and voluntary identification of the
server (VAPID, RFC 8292), with the primitives of ``cryptography``.
"""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.jwk import ECKey

CURVE = ec.SECP256R1()
RECORD_BYTES = 4096
TOKEN_SECONDS = 12 * 3600
LAST_RECORD = b"\x02"


def public_key(point: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key at an uncompressed point.

    Raises:
        ValueError: it is none of the curve.
    """
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)


def encrypted(
    content: bytes,
    browser: bytes,
    secret: bytes,
    *,
    salt: bytes | None = None,
    own: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """Return a content as one record that a browser can decrypt.

    Args:
        content: a few bytes.
        browser: its public key, uncompressed.
        secret: that it shares with us.
        salt: 16 bytes; by default new ones.
        own: the key for this content; by default a new one.
    """
    salt = salt or os.urandom(16)
    own = own or ec.generate_private_key(CURVE)
    own_point = point(own)
    shared = own.exchange(ec.ECDH(), public_key(browser))
    material = _derived(secret, shared, b"WebPush: info\0" + browser + own_point, 32)
    key = _derived(salt, material, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(salt, material, b"Content-Encoding: nonce\0", 12)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(own_point)]) + own_point
    return header + AESGCM(key).encrypt(nonce, content + LAST_RECORD, None)


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public half of a key, uncompressed."""
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def in_base64(raw: bytes) -> str:
    """Return bytes as browsers write them: for URLs, unpadded."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def of_base64(text: str) -> bytes:
    """Return the bytes that a browser wrote, padded or not.

    Raises:
        ValueError: it is no such text.
    """
    raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if in_base64(raw) != text.rstrip("="):
        raise ValueError("must be base64url")
    return raw


class Identification:
    """Who we are to push services, by a key that browsers know from their subscription on.

    Args:
        pem: the private key.
        contact: a URL of ``https`` or ``mailto``.
    """

    def __init__(self, pem: str, contact: str) -> None:
        key = serialization.load_pem_private_key(pem.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.public_key = in_base64(point(key))
        self._key = ECKey.import_key(pem)
        self._contact = contact

    def header(self, endpoint: str) -> str:
        """Return the header ``Authorization`` of a request to an endpoint."""
        parts = urlsplit(endpoint)
        claims = {
            "aud": f"{parts.scheme}://{parts.netloc}",
            "exp": int(time.time()) + TOKEN_SECONDS,
            "sub": self._contact,
        }
        token = jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, self._key)
        return f"vapid t={token}, k={self.public_key}"


def _derived(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)
