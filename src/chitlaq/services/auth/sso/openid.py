"""OpenID Connect as its client: what a provider publishes, where it signs people in, what it says of them.

Authlib composes requests and judges ID tokens, joserfc verifies them, and our own HTTP client sends: with
limits of time and size, and to a private address only if it is the one that the operator named.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from joserfc.jwk import KeySet

from chitlaq.core.host import http_client
from chitlaq.core.host.http_client import Response

T = TypeVar("T")

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 1_000_000
LEEWAY_SECONDS = 60
"""Clocks of providers may be so wrong."""
METADATA_SECONDS = 600.0
KEYS_SECONDS = 3600.0
RETRY_SECONDS = 2.0
"""So long what was not there is not asked for again: an answer after a fault, a key after a rotation."""

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""Signatures by public keys alone: neither ``none`` nor what the client's own secret could make."""


class ProviderError(Exception):
    """What a provider sent is not what it must send; the message says what."""


class CodeRefusedError(ProviderError):
    """The provider knows no such code: it was used, or is too old."""


@dataclass(frozen=True, slots=True)
class Client:
    """We, as a provider knows us."""

    issuer: str
    client_id: str
    secret: str
    redirect_uri: str
    scopes: tuple[str, ...]


class Metadata(msgspec.Struct, frozen=True):
    """What we read of a provider's configuration (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(msgspec.Struct):
    id_token: str
    access_token: str = ""


class _Keys(msgspec.Struct):
    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a provider says of who has signed in, and the ID token in which it does."""

    claims: Mapping[str, Any]
    id_token: str


class OpenIdProviders:
    """What providers publish, kept by this process."""

    def __init__(self) -> None:
        self._metadata: dict[str, _Kept[Metadata]] = {}
        self._keys: dict[str, _Kept[KeySet]] = {}

    async def metadata(self, issuer: str, max_age: float = METADATA_SECONDS) -> Metadata:
        """Return a provider's configuration.

        Raises:
            NoAnswerError: it does not answer.
            ProviderError: it answers something else.
        """
        kept = self._metadata.setdefault(issuer, _Kept(partial(_discover, issuer)))
        return await kept.value(max_age)

    async def keys(self, metadata: Metadata, max_age: float = KEYS_SECONDS) -> KeySet:
        """Return the public keys of a provider; errors as of `metadata`."""
        kept = self._keys.setdefault(metadata.jwks_uri, _Kept(partial(_read_keys, metadata)))
        return await kept.value(max_age)

    async def finish(self, client: Client, code: str, code_verifier: str, nonce: str) -> SignedIn:
        """Exchange a code for what the provider says of who has signed in.

        Raises:
            NoAnswerError: it does not answer.
            CodeRefusedError: it does not take the code.
            ProviderError: what it answers cannot be trusted.
        """
        metadata = await self.metadata(client.issuer)
        tokens = await _exchange(client, metadata, code, code_verifier)
        claims = await self._verified(client, metadata, tokens, nonce)
        if metadata.userinfo_endpoint and tokens.access_token and "email" not in claims:
            claims = {**await _userinfo(client, metadata, tokens.access_token, claims), **claims}
        return SignedIn(claims, tokens.id_token)

    async def _verified(
        self, client: Client, metadata: Metadata, tokens: _Tokens, nonce: str
    ) -> dict[str, Any]:
        """Return the claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import (
            BadSignatureError,
            InvalidKeyIdError,
            JoseError,
            MissingKeyError,
        )

        try:
            try:
                keys = await self.keys(metadata)
                token = jwt.decode(tokens.id_token, keys, algorithms=list(ALGORITHMS))
            except (InvalidKeyIdError, MissingKeyError, BadSignatureError):
                # Its keys may have been rotated, even under the same id.
                keys = await self.keys(metadata, RETRY_SECONDS)
                token = jwt.decode(tokens.id_token, keys, algorithms=list(ALGORITHMS))
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": metadata.issuer},
                    "aud": {"essential": True, "value": client.client_id},
                },
                params={
                    "nonce": nonce,
                    "client_id": client.client_id,
                    "access_token": tokens.access_token,
                },
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ProviderError(f"its ID token is not valid: {error}") from error
        return dict(claims)


def is_answer_of(metadata: Metadata, issuer: str | None) -> bool:
    """Whether an answer is of this provider, which names itself if it says that it does (RFC 9207, 2.4)."""
    if issuer is None:
        return not metadata.authorization_response_iss_parameter_supported
    return issuer == metadata.issuer


def authorization_url(
    client: Client,
    metadata: Metadata,
    state: str,
    nonce: str,
    code_verifier: str,
    *,
    is_proof: bool = False,
) -> str:
    """Return the address at which a provider signs somebody in, and sends them back with a code.

    Args:
        client: we, as it knows us.
        metadata: the provider's.
        state: comes back with the answer.
        nonce: comes back in the ID token.
        code_verifier: whose hash is sent.
        is_proof: the provider asks again who they are, also whom it has signed in before.
    """
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
    from authlib.oauth2.rfc7636 import create_s256_code_challenge

    url: str = prepare_grant_uri(
        metadata.authorization_endpoint,
        client.client_id,
        "code",
        redirect_uri=client.redirect_uri,
        scope=list(client.scopes),
        state=state,
        nonce=nonce,
        code_challenge=create_s256_code_challenge(code_verifier),
        code_challenge_method="S256",
        # The provider then also has to say when they proved it: a browser may leave out what it is sent with.
        **({"prompt": "login", "max_age": "0"} if is_proof else {}),
    )
    return url


def logout_url(client: Client, metadata: Metadata, id_token: str | None, back: str) -> str | None:
    """Return the address that ends a session at a provider (RP-Initiated Logout 1.0), if it has one.

    Without the ID token of the session, the provider asks whether to.
    """
    from authlib.common.urls import add_params_to_uri

    if metadata.end_session_endpoint is None:
        return None
    url: str = add_params_to_uri(
        metadata.end_session_endpoint,
        [
            *([("id_token_hint", id_token)] if id_token else []),
            ("client_id", client.client_id),
            ("post_logout_redirect_uri", back),
        ],
    )
    return url


def checked_issuer(text: str) -> str:
    """Return the URL of an issuer.

    Raises:
        ValueError: it is none; the message says why.
    """
    _require_url(text, is_http_allowed=True)
    parts = urlsplit(text)
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must have no user, query or fragment")
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise ValueError("must begin with https://")
    return text


class _Kept(Generic[T]):
    """What is published elsewhere: read once for all who wait for it."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._task: asyncio.Task[T] | None = None
        self._asked_at = 0.0

    async def value(self, max_age: float) -> T:
        """Return it as it was so many seconds ago, or read it."""
        age = time.monotonic() - self._asked_at
        task = self._task
        if task is not None and task.done() and (task.cancelled() or task.exception()):
            max_age = min(max_age, RETRY_SECONDS)
        if task is None or age > max_age:
            self._asked_at = time.monotonic()
            task = self._task = asyncio.ensure_future(self._read())
        return await asyncio.shield(task)


async def _discover(issuer: str) -> Metadata:
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    found = _decoded(await _asked(issuer, "GET", url), Metadata, "configuration")
    if found.issuer != issuer:
        raise ProviderError(f"its configuration is of another issuer, {found.issuer}")
    is_http_allowed = urlsplit(issuer).scheme == "http"
    for name in (
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "end_session_endpoint",
    ):
        value = getattr(found, name)
        if value is not None:
            try:
                _require_url(value, is_http_allowed=is_http_allowed)
            except ValueError as error:
                raise ProviderError(f"its {name} {error}") from None
    return found


async def _read_keys(metadata: Metadata) -> KeySet:
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    found = _decoded(await _asked(metadata.issuer, "GET", metadata.jwks_uri), _Keys, "key set")
    keys = []
    for one in found.keys:
        # Those of a kind that we do not know are left out; others may do.
        with suppress(JoseError, ValueError, TypeError, KeyError):
            if one.get("kty") in {"RSA", "EC", "OKP"} and one.get("use", "sig") == "sig":
                keys.append(JWKRegistry.import_key(one))
    if not keys:
        raise ProviderError("its key set has no key that signs")
    return KeySet(keys)


async def _exchange(client: Client, metadata: Metadata, code: str, code_verifier: str) -> _Tokens:
    from authlib.oauth2.auth import ClientAuth
    from authlib.oauth2.rfc6749.parameters import prepare_token_request

    body = prepare_token_request(
        "authorization_code",
        redirect_uri=client.redirect_uri,
        code=code,
        code_verifier=code_verifier,
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
        # As RFC 6749, 2.3.1 has it.
        auth = ClientAuth(quote(client.client_id, ""), quote(client.secret, ""))
    else:
        auth = ClientAuth(client.client_id, client.secret, "client_secret_post")
    url, headers, body = auth.prepare("POST", metadata.token_endpoint, headers, body)
    answer = await _asked(client.issuer, "POST", url, headers, body.encode())
    if answer.status == 400 and b"invalid_grant" in answer.body:
        raise CodeRefusedError("it does not take the code")
    return _decoded(answer, _Tokens, "answer to a code")


async def _userinfo(
    client: Client, metadata: Metadata, access_token: str, claims: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a provider does not say in the ID token (OpenID Connect Core 1.0, 5.3)."""
    headers = {"Authorization": f"Bearer {access_token}"}
    answer = await _asked(client.issuer, "GET", str(metadata.userinfo_endpoint), headers)
    found = _decoded(answer, dict[str, Any], "answer about a user")
    if found.get("sub") != claims["sub"]:
        raise ProviderError("its answer about a user is about another")
    return found


async def _asked(
    issuer: str, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Response:
    """Ask a provider; a private address only if it is the issuer's own, which the operator named."""
    return await http_client.request(
        method,
        url,
        timeout_seconds=TIMEOUT_SECONDS,
        headers={"Accept": "application/json", **(headers or {})},
        body=body,
        max_bytes=MAX_BYTES,
        only_public=urlsplit(url).hostname != urlsplit(issuer).hostname,
    )


def _decoded(answer: Response, kind: type[T], what: str) -> T:
    if answer.status != 200:
        raise ProviderError(f"its {what} has the status {answer.status}")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProviderError(f"its {what} cannot be read: {error}") from None


def _require_url(text: str, *, is_http_allowed: bool) -> None:
    try:
        parts = urlsplit(text)
        is_url = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be a URL")
    if parts.scheme != "https" and not (is_http_allowed and parts.scheme == "http"):
        raise ValueError("must begin with https://")
