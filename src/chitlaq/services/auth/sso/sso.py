"""Sign in at an identity provider: send a browser there, and take it back signed in."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from litestar.datastructures import Cookie

from chitlaq.core.host.http_client import NoAnswerError
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import metrics
from chitlaq.services.auth.accounts.accounts import token_hash
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sealing import UnreadableError
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.sessions.schemas import SignedIn
from chitlaq.services.auth.sso import claims, linking, openid, providers
from chitlaq.services.auth.sso.openid import CodeRefusedError, ProviderError
from chitlaq.services.auth.sso.providers import Provider
from chitlaq.services.auth.state import AuthState

COOKIE = "__Secure-chitlaq-sso"
COOKIE_PATH = "/api/auth/sso"
LIFETIME_SECONDS = 600
LONGEST_PATH = 500

log = logs.get("sso")


class Attempt(msgspec.Struct, frozen=True):
    """What a browser that was sent to a provider brings back in its cookie, which only we can read."""

    state: str
    nonce: str
    code_verifier: str
    return_to: str
    begun_at: float


async def begin(state: AuthState, name: str, return_to: str) -> tuple[str, Cookie]:
    """Return where a provider signs somebody in, and the cookie that binds the attempt to their browser.

    Raises:
        Problem: 404 for an unknown provider, 422 for a path that leads elsewhere, 502 or 503 if the
            provider does not answer as it must.
    """
    path = checked_path(return_to)
    provider = await providers.one(state, name)
    try:
        metadata = await state.sso.openid.metadata(provider.client.issuer)
    except (NoAnswerError, ProviderError) as error:
        raise _unusable(provider, error) from None
    attempt = Attempt(
        secrets.token_urlsafe(32),
        secrets.token_urlsafe(32),
        secrets.token_urlsafe(48),
        path,
        time.time(),
    )
    url = openid.authorization_url(
        provider.client, metadata, attempt.state, attempt.nonce, attempt.code_verifier
    )
    sealed = state.sso.attempts.sealed(msgspec.json.encode(attempt).decode(), provider.id)
    return url, _cookie(urlsafe_b64encode(sealed).decode(), LIFETIME_SECONDS)


async def finish(
    state: AuthState, name: str, answer: Mapping[str, str], cookie: str | None, origin: Origin
) -> tuple[SignedIn, str]:
    """Sign somebody in whom a provider has sent back; return the path to go on at.

    Args:
        state: the service's.
        name: of the provider.
        answer: the query that it has added to our address (RFC 6749, 4.1.2).
        cookie: what `begin` gave the browser.
        origin: from where.

    Raises:
        Problem: 400 for an attempt that is not this browser's or over, 403 for somebody who may not sign in,
            404 for an unknown provider, 502 or 503 if the provider does not answer as it must.
    """
    provider = await providers.one(state, name)
    try:
        found = await _finish(state, provider, answer, cookie, origin)
    except Problem as problem:
        metrics.AUTH_ATTEMPTS.labels("failure").inc()
        status = int(problem.status)
        log.info("login failed", address=origin.address, provider=name, status=status)
        raise
    metrics.AUTH_ATTEMPTS.labels("success").inc()
    return found


async def _finish(
    state: AuthState,
    provider: Provider,
    answer: Mapping[str, str],
    cookie: str | None,
    origin: Origin,
) -> tuple[SignedIn, str]:
    attempt = _attempt(state, provider, cookie, answer.get("state", ""))
    try:
        if answer.get("iss", provider.client.issuer) != provider.client.issuer:
            raise ProviderError("the answer is of another issuer")
        if "code" not in answer:
            raise _refused(provider, answer.get("error", ""))
        found = await state.sso.openid.finish(
            provider.client, answer["code"], attempt.code_verifier, attempt.nonce
        )
        who = claims.person(
            found.claims, provider.rules, provider.verified_claim, provider.second_factors
        )
    except CodeRefusedError:
        raise _begin_again() from None
    except (NoAnswerError, ProviderError, ValueError) as error:
        raise _unusable(provider, error) from None
    methods = ("sso", "mfa") if who.has_second_factor else ("sso",)
    async with state.database.transaction() as session:
        account_id = await linking.account_of(state, session, provider, who, origin)
        signed_in = await sessions.begin(state, session, account_id, origin, methods)
        refresh_hash = token_hash(str(signed_in.refresh_token))
        session_id = await session.value("session_of_token", refresh_hash)
        sealed = state.sso.id_tokens.sealed(found.id_token, session_id)
        await session.execute("insert_provider_session", session_id, provider.id, sealed)
    log.info("logged in", account_id=account_id, address=origin.address, provider=provider.name)
    return signed_in, attempt.return_to


async def log_out(state: AuthState, who: Identity, origin: Origin) -> str:
    """End a session; return where the browser goes next, which ends the provider's session as well.

    Raises:
        Problem: 401 if the session has ended.
    """
    location = await _provider_logout(state, who)
    await sessions.end(state.database, who, who.session_id, origin)
    return location or "/"


async def _provider_logout(state: AuthState, who: Identity) -> str | None:
    row = await state.database.row("provider_session", who.session_id)
    if row is None:
        return None
    try:
        provider = await providers.one(state, row["name"], is_open=False)
        metadata = await state.sso.openid.metadata(provider.client.issuer)
        id_token = state.sso.id_tokens.opened(row["sealed_id_token"], who.session_id)
    except (Problem, NoAnswerError, ProviderError, UnreadableError) as error:
        log.warning("not signed out at the provider", provider=row["name"], error=str(error))
        return None
    return openid.logout_url(provider.client, metadata, id_token, f"{state.settings.base_url}/")


def checked_path(text: str) -> str:
    """Return a path of this installation to go on at.

    Raises:
        Problem: 422 for anything that a browser could take for another site.
    """
    parts = urlsplit(text)
    if (
        not re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", text)
        or len(text) > LONGEST_PATH
        or parts.scheme
        or parts.netloc
    ):
        raise problems.invalid(
            {
                "return_to": f"must be a path of this site, such as /home, of up to {LONGEST_PATH} characters"
            }
        )
    return text


def forgotten() -> Cookie:
    """Return what makes a browser forget its attempt."""
    return _cookie("", 0)


def _attempt(state: AuthState, provider: Provider, cookie: str | None, given: str) -> Attempt:
    try:
        sealed = urlsafe_b64decode((cookie or "").encode())
        attempt = msgspec.json.decode(state.sso.attempts.opened(sealed, provider.id), type=Attempt)
    except (ValueError, UnreadableError, msgspec.DecodeError):
        raise _begin_again() from None
    is_ours = hmac.compare_digest(attempt.state.encode(), given.encode())
    if not is_ours or not 0 <= time.time() - attempt.begun_at < LIFETIME_SECONDS:
        raise _begin_again()
    return attempt


def _cookie(value: str, lifetime_seconds: int) -> Cookie:
    # Lax: it must come along when the provider sends the browser back.
    return Cookie(
        COOKIE,
        path=COOKIE_PATH,
        value=value,
        max_age=lifetime_seconds,
        secure=True,
        httponly=True,
        samesite="lax",
    )


def _begin_again() -> Problem:
    return problems.malformed(
        "This sign-in was begun in another browser or over ten minutes ago, or is finished: begin again."
    )


def _refused(provider: Provider, error: str) -> Problem:
    log.info("identity provider declined", provider=provider.name, error=error[:100])
    return problems.forbidden(
        f"{provider.title} has not signed you in: you, or your university, did not agree. Begin again,"
        " or sign in otherwise."
    )


def _unusable(provider: Provider, error: Exception) -> Problem:
    """What a provider's fault looks like; the log says what it is."""
    log.error("identity provider failed", provider=provider.name, error=str(error))
    if isinstance(error, NoAnswerError):
        return problems.unavailable(
            f"{provider.title} does not answer at this moment: try again later, or sign in otherwise."
        )
    return Problem(
        HTTPStatus.BAD_GATEWAY,
        f"{provider.title} has answered what cannot be trusted, so you are not signed in: begin again; if it"
        " stays so, tell whoever runs ChitLaq at your university.",
    )
