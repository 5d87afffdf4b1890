"""What must be read again, at rest and in cookies: encrypted, since whoever has it can use it.

The key lies among the secrets of the installation and not in the database, so a copy of the database alone
gives nothing. A backup of the configuration has the key, encrypted to the recipients of backups.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from uuid import UUID

NONCE_BYTES = 12


class UnreadableError(Exception):
    """It was sealed with another secret, for something else, or not at all."""


class Sealer:
    """Encrypts with AES-256-GCM, bound to whom it is about: what is copied to another's row cannot be read.

    Args:
        secret: of the installation, with 192 random bits.
        purpose: what is sealed; nothing that is sealed for one purpose can be opened for another.
    """

    def __init__(self, secret: str, purpose: str) -> None:
        self._key = hmac.digest(secret.encode(), purpose.encode(), hashlib.sha256)

    def sealed(self, text: str, subject: UUID) -> bytes:
        """Return a text so that only this installation can read it."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, text.encode(), subject.bytes)

    def opened(self, sealed: bytes, subject: UUID) -> str:
        """Return what was sealed.

        Raises:
            UnreadableError: it cannot be read with this secret, for this purpose and subject.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, encrypted = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return AESGCM(self._key).decrypt(nonce, encrypted, subject.bytes).decode()
        except (InvalidTag, ValueError):
            raise UnreadableError from None
