"""Who is asking: access tokens (JWT, RFC 7519; Ed25519) made by auth-service, verified everywhere."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import edge, problems

ISSUER = "chitlaq"
ALGORITHM = "Ed25519"
REMEMBERED_TOKENS = 10_000
UNKNOWN_KEY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """The account and session that a valid token names, and when it ends (Unix seconds)."""

    account_id: UUID
    session_id: UUID
    expires_at: int


def account_id(viewer: Identity | None) -> UUID | None:
    """The caller's account, or None if the caller is not signed in."""
    return viewer.account_id if viewer else None


class Verifier:
    """Verifies tokens against the published keys, and caches valid ones.

    Verifying a signature takes 100 µs and a token comes hundreds of times, so each is verified once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[str, OKPKey] = {}
        self._keys_read_at = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._known: OrderedDict[str, Identity] = OrderedDict()

    async def verify(self, token: str) -> Identity:
        """Return the identity in a token.

        Raises:
            Problem: 401 for a token that is malformed, forged or expired.
        """
        token = edge.unsealed(token)
        identity = self._known.get(token)
        if identity is None:
            identity = await self._check(token)
            self._known[token] = identity
            if len(self._known) > REMEMBERED_TOKENS:
                self._known.popitem(last=False)
        if identity.expires_at <= time.time():
            self._known.pop(token, None)
            raise problems.not_signed_in("The access token has expired: refresh it.")
        return identity

    async def _check(self, token: str) -> Identity:
        try:
            key = await self._key(_key_id(token))
            claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
            if claims["iss"] != ISSUER:
                raise ValueError("foreign issuer")
            return Identity(UUID(claims["sub"]), UUID(claims["sid"]), int(claims["exp"]))
        except (JoseError, ValueError, KeyError, TypeError):
            raise problems.not_signed_in("The access token is not valid: sign in again.") from None

    async def _key(self, key_id: str) -> OKPKey:
        """Return a published key; reload the keys for an unknown id, but not for each forged token."""
        if key_id not in self._keys:
            is_due = time.monotonic() - self._keys_read_at > UNKNOWN_KEY_SECONDS
            if self._reading is None and is_due:
                self._reading = asyncio.create_task(self._read_keys())
            if self._reading is not None:
                # Shared: who gives up waiting ends it for nobody else.
                await asyncio.shield(self._reading)
        return self._keys[key_id]

    async def _read_keys(self) -> None:
        try:
            rows = await self._database.rows("public_keys")
            self._keys = {
                row["id"]: OKPKey.import_key(msgspec.json.decode(row["public_jwk"])) for row in rows
            }
            self._keys_read_at = time.monotonic()
        finally:
            self._reading = None


class _Header(msgspec.Struct):
    kid: str


def _key_id(token: str) -> str:
    import binascii
    from base64 import urlsafe_b64decode

    head = token.partition(".")[0]
    try:
        return msgspec.json.decode(
            urlsafe_b64decode(head + "=" * (-len(head) % 4)), type=_Header
        ).kid
    except (msgspec.DecodeError, binascii.Error) as error:
        raise ValueError("no key id") from error
