"""Who is asking: access tokens (JWT, RFC 7519; Ed25519) made by auth-service, verified everywhere."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.http import edge, problems
from chitlaq.core.telemetry import logs

ALGORITHM = "Ed25519"
REMEMBERED_TOKENS = 10_000
# Between the reads that unknown keys cause: a key may sign at once, and be unknown here until the next look.
UNKNOWN_KEY_SECONDS = 0.5
READ_SECONDS = 1.0
LEAVING = "leaving"
ENROLLING = "enrolling"
REVOKED_SECONDS = 86_400
"""How long what was revoked is remembered: the settings let no access token live longer."""

RESTRICTED: dict[str, tuple[str, str]] = {
    LEAVING: (
        "account-leaving",
        "Your account is to be deleted, as you asked: to use it, keep it with POST /api/auth/account/keep.",
    ),
    ENROLLING: (
        "second-factor-missing",
        (
            "Everybody needs a second factor here, and your account has none: set one up at"
            " /settings/security, or with POST /api/auth/totp/enroll, and then refresh your tokens."
        ),
    ),
}
"""What a token is refused for by each service but auth-service: the problem's kind and detail."""

T = TypeVar("T")

log = logs.get("identity")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a valid token says.

    Args:
        account_id: who asks.
        session_id: with which sign-in.
        issued_at: Unix seconds by PostgreSQL's clock, with fractions.
        expires_at: Unix seconds.
        key_id: the key that signed it.
        roles: as in `core.http.roles`; none in a token of a synthetic member. `LEAVING` alone in those of
            an account that is to be erased, `ENROLLING` alone where one must set up a second factor first:
            these are good for auth-service only.
    """

    account_id: UUID
    session_id: UUID
    issued_at: float
    expires_at: int
    key_id: str
    roles: frozenset[str] = frozenset()


def account_id(viewer: Identity | None) -> UUID | None:
    """The caller's account, or None if the caller is not signed in."""
    return viewer.account_id if viewer else None


def audience(issuer: str) -> str:
    """Whom the tokens of an installation are for: its API."""
    return f"{issuer}/api"


class Verifier:
    """Verifies tokens against the published keys, and against what was revoked.

    Verifying a signature takes 100 µs and a token comes hundreds of times, so each is verified once. What is
    revoked is read every second. PostgreSQL is asked and not Valkey, so nothing that was published can get
    lost. While PostgreSQL is down, nothing can be revoked, and what was read last holds.

    Args:
        database: with the views that auth-service publishes.
        issuer: the installation's URL; tokens of another are refused, whatever key signed them.
    """

    def __init__(self, database: Database, issuer: str) -> None:
        self._database = database
        self._issuer = issuer
        self._keys: dict[str, OKPKey] = {}
        self._jwks: dict[str, str] = {}
        self._revoked: dict[UUID, float] = {}
        self._open_transaction = 0
        self._read_at = -math.inf
        self._reading: asyncio.Task[None] | None = None
        self._known: OrderedDict[str, Identity] = OrderedDict()
        self.revoked: Callable[[], None] = lambda: None
        """Called after something was revoked; set by who keeps identities for long."""
        self.accepts_restricted = False
        """Whether tokens of `RESTRICTED` are good here; set by auth-service, which can lift it."""

    async def watch_forever(self) -> None:
        """Read what is revoked, while the process runs."""
        is_read = True
        while True:
            try:
                await self.read()
            except PostgresUnavailableError as error:
                if is_read:
                    log.warning("what is revoked is not seen", error=str(error))
                is_read = False
            else:
                is_read = True
            await asyncio.sleep(READ_SECONDS)

    async def verify(self, token: str) -> Identity:
        """Return the identity in a token.

        Raises:
            Problem: 401 for a token that is malformed, forged, expired or revoked; 403 for one of
                `RESTRICTED`.
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
        if self.is_revoked(identity):
            self._known.pop(token, None)
            raise problems.not_signed_in(
                "The access token is no longer valid: refresh it, or sign in again."
            )
        if not self.accepts_restricted and (why := identity.roles & RESTRICTED.keys()):
            kind, detail = RESTRICTED[min(why)]
            raise problems.Problem(HTTPStatus.FORBIDDEN, detail, kind=kind)
        return identity

    def is_revoked(self, identity: Identity) -> bool:
        """Whether the session has ended, the account's tokens were revoked, or the key was removed."""
        return (
            identity.session_id in self._revoked
            or self._revoked.get(identity.account_id, 0.0) > identity.issued_at
            or identity.key_id not in self._keys
        )

    async def _check(self, token: str) -> Identity:
        try:
            key_id = _part(token, 0, _Header).kid
            key = await self._key(key_id)
            claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
            if (claims["iss"], claims["aud"]) != (self._issuer, audience(self._issuer)):
                raise ValueError("a token of another installation")
            return Identity(
                UUID(claims["sub"]),
                UUID(claims["sid"]),
                float(claims["iat"]),
                int(claims["exp"]),
                key_id,
                # The version before this one issued tokens without roles.
                frozenset(map(str, claims.get("roles", ()))),
            )
        except (JoseError, ValueError, KeyError, TypeError):
            raise problems.not_signed_in("The access token is not valid: sign in again.") from None

    async def _key(self, key_id: str) -> OKPKey:
        """Return a published key; an unknown one waits for a look at the keys that begins after it came.

        Forged tokens wait for the same look, so they cause two a second at most.
        """
        came_at = time.monotonic()
        while key_id not in self._keys and self._read_at < came_at:
            await asyncio.sleep(max(self._read_at + UNKNOWN_KEY_SECONDS - time.monotonic(), 0))
            await self.read()
        return self._keys[key_id]

    async def read(self) -> None:
        """Read the keys and what is revoked, once for all who wait for it.

        Who gives up waiting ends it for nobody else.

        Raises:
            PostgresUnavailableError: what was read before holds.
        """
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_views())
        await asyncio.shield(self._reading)

    async def _read_views(self) -> None:
        began_at = time.monotonic()
        try:
            rows = await self._database.rows("keys_and_revocations", str(self._open_transaction))
        finally:
            self._reading = None
        self._read_at = began_at
        keys = [row for row in rows if row["key_id"] is not None]
        news = {row["revoked"]: row["revoked_at"] for row in rows if row["key_id"] is None}
        for row in keys:
            reached = int(row["open_transaction"])
            # Less than before: a server that was restored, and counts from another number.
            self._open_transaction = reached if reached >= self._open_transaction else 0
        jwks = {row["key_id"]: row["public_jwk"] for row in keys}
        has_lost_keys = bool(self._jwks.keys() - jwks.keys())
        if jwks != self._jwks:
            self._jwks = jwks
            self._keys = {
                key_id: OKPKey.import_key(msgspec.json.decode(jwk)) for key_id, jwk in jwks.items()
            }
        is_news = any(self._revoked.get(one) != at for one, at in news.items())
        if is_news:
            self._revoked |= news
            oldest = max(self._revoked.values()) - REVOKED_SECONDS
            self._revoked = {one: at for one, at in self._revoked.items() if at >= oldest}
        if is_news or has_lost_keys:
            self.revoked()


def claimed_session(token: str) -> UUID | None:
    """The session that a token names, expired or not. Nothing is verified: anybody can write such a token."""
    try:
        return _part(token, 1, _Claims).sid
    except ValueError:
        return None


class _Header(msgspec.Struct):
    kid: str


class _Claims(msgspec.Struct):
    sid: UUID


def _part(token: str, number: int, kind: type[T]) -> T:
    """Decode a part of a token: its header, or its claims.

    Raises:
        ValueError: it has none, or it is something else.
    """
    from base64 import urlsafe_b64decode

    encoded = token.split(".")[number : number + 1]
    if not encoded:
        raise ValueError("too few parts")
    text = urlsafe_b64decode(encoded[0] + "=" * (-len(encoded[0]) % 4))
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
