"""Sign in at an identity provider: send a browser there, and take it back signed in."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from litestar.datastructures import Cookie

from chitlaq.core.data.postgres import Session
from chitlaq.core.host.http_client import NoAnswerError
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.problems import Problem
from chitlaq.core.sealing import UnreadableError
from chitlaq.core.telemetry import logs
from chitlaq.services.auth.accounts.accounts import token_hash
from chitlaq.services.auth.attempts.attempts import by_address, note
from chitlaq.services.auth.factors import passkeys, proving
from chitlaq.services.auth.factors.schemas import Assertion
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.sessions.schemas import SignedIn
from chitlaq.services.auth.sso import claims, linking, openid, providers, steps
from chitlaq.services.auth.sso.openid import CodeRefusedError, ProviderError
from chitlaq.services.auth.sso.providers import Provider
from chitlaq.services.auth.sso.steps import AtProvider, AtSecondFactor
from chitlaq.services.auth.state import AuthState

LONGEST_PATH = 500

log = logs.get("sso")


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody whom a provider has signed in.

    Args:
        path: where they go on.
        signed_in: None if they need a second factor here.
        cookie: of the next step, or what makes the browser forget the last one.
    """

    path: str
    signed_in: SignedIn | None
    cookie: Cookie


async def begin(
    state: AuthState, name: str, return_to: str, *, is_proof: bool
) -> tuple[str, Cookie]:
    """Return where a provider signs somebody in, and the cookie that binds the attempt to their browser.

    Args:
        state: the service's.
        name: of the provider.
        return_to: where they go on afterwards.
        is_proof: they shall prove again who they are, also whom the provider knows already.

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
    step = AtProvider(
        return_to=path,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        code_verifier=secrets.token_urlsafe(48),
        is_proof=is_proof,
    )
    url = openid.authorization_url(
        provider.client,
        metadata,
        step.state,
        step.nonce,
        step.code_verifier,
        is_proof=step.is_proof,
    )
    return url, steps.kept(state.sso.at_provider, provider.id, step)


async def finish(
    state: AuthState, name: str, answer: Mapping[str, str], cookie: str | None, origin: Origin
) -> Entered:
    """Sign somebody in whom a provider has sent back, unless they need a second factor here.

    Args:
        state: the service's.
        name: of the provider.
        answer: the query that it has added to our address (RFC 6749, 4.1.2).
        cookie: what `begin` gave the browser.
        origin: from where.

    Raises:
        Problem: 400 for an attempt that is not this browser's or over, 403 for somebody who may not sign in,
            404 for an unknown provider, 429 for too many failures, 502 or 503 if the provider does not
            answer as it must.
    """
    provider = await providers.one(state, name)
    async with _judged(state, provider, origin):
        return await _finish(state, provider, answer, cookie, origin)


async def second_factors(
    state: AuthState, name: str, cookie: str | None
) -> tuple[Sequence[str], Mapping[str, Any]]:
    """Return the second factors of who needs one here, and what a passkey is asked to sign.

    Raises:
        Problem: 400 for a sign-in that is not this browser's or over, 404 for an unknown provider.
    """
    provider = await providers.one(state, name)
    step = steps.opened(state.sso.at_second_factor, provider.id, cookie, AtSecondFactor)
    methods: list[str] = await state.database.value("second_factors", step.account_id)
    asked = await passkeys.options(state, None, "authentication") if "passkey" in methods else {}
    return methods, asked


async def finish_with_second_factor(
    state: AuthState,
    name: str,
    code: str,
    passkey: Assertion | None,
    cookie: str | None,
    origin: Origin,
) -> Entered:
    """Sign somebody in who needs a second factor here, given a code, or what a passkey has signed.

    Raises:
        Problem: 400 for a sign-in that is not this browser's or over, 401 for a missing or wrong second
            factor, 403 for a disabled account, 404 for an unknown provider, 429 for too many wrong codes.
    """
    provider = await providers.one(state, name)
    async with _judged(state, provider, origin):
        step = steps.opened(state.sso.at_second_factor, provider.id, cookie, AtSecondFactor)
        proved = await proving.require(state, step.account_id, code, origin, passkey)
        async with state.database.transaction() as session:
            if not await session.value("is_linked", provider.id, step.account_id):
                raise steps.begin_again()  # an operator has unlinked it meanwhile
            signed_in = await _begun(
                state, session, provider, step.account_id, origin, ("sso", *proved)
            )
    return Entered(step.return_to, signed_in, steps.forgotten())


async def _finish(
    state: AuthState,
    provider: Provider,
    answer: Mapping[str, str],
    cookie: str | None,
    origin: Origin,
) -> Entered:
    step = steps.opened(state.sso.at_provider, provider.id, cookie, AtProvider)
    if not hmac.compare_digest(step.state.encode(), answer.get("state", "").encode()):
        raise steps.begin_again()
    try:
        metadata = await state.sso.openid.metadata(provider.client.issuer)
        if not openid.is_answer_of(metadata, answer.get("iss")):
            raise ProviderError("the answer is of another issuer, or does not say of which")
        if "code" not in answer:
            raise _refused(provider, answer.get("error", ""))
        found = await state.sso.openid.finish(
            provider.client, answer["code"], step.code_verifier, step.nonce
        )
        who = claims.person(
            found.claims, provider.rules, provider.verified_claim, provider.second_factors
        )
        if step.is_proof and (who.proved_at or 0.0) < step.begun_at - openid.LEEWAY_SECONDS:
            raise ProviderError("it did not ask again who they are, or does not say so: auth_time")
    except CodeRefusedError:
        raise steps.begin_again() from None
    except (NoAnswerError, ProviderError, ValueError) as error:
        raise _unusable(provider, error) from None
    methods = ("sso", "mfa") if who.has_second_factor else ("sso",)
    async with state.database.transaction() as session:
        account_id = await linking.account_of(state, session, provider, who, origin)
        if not who.has_second_factor and await session.value("second_factors", account_id):
            note("incomplete", origin, None)
            waiting = AtSecondFactor(return_to=step.return_to, account_id=account_id)
            kept = steps.kept(state.sso.at_second_factor, provider.id, waiting)
            return Entered(step.return_to, None, kept)
        signed_in = await _begun(
            state,
            session,
            provider,
            account_id,
            origin,
            methods,
            found.id_token,
            who.proved_at,
        )
    return Entered(step.return_to, signed_in, steps.forgotten())


async def _begun(
    state: AuthState,
    session: Session,
    provider: Provider,
    account_id: UUID,
    origin: Origin,
    methods: Sequence[str],
    id_token: str | None = None,
    proved_at: float | None = None,
) -> SignedIn:
    """Begin a session in the caller's transaction, and note what ends it at the provider.

    It is as fresh as the proof: the provider may know them from long ago.
    """
    signed_in = await sessions.begin(state, session, account_id, origin, methods)
    refresh_hash = token_hash(str(signed_in.refresh_token))
    session_id = await session.value("session_of_token", refresh_hash)
    sealed = state.sso.id_tokens.sealed(id_token, session_id) if id_token else None
    await session.execute("insert_provider_session", session_id, provider.id, sealed, proved_at)
    note("success", origin, signed_in.user.username)
    log.info("logged in", account_id=account_id, address=origin.address, provider=provider.name)
    return signed_in


@asynccontextmanager
async def _judged(state: AuthState, provider: Provider, origin: Origin) -> AsyncIterator[None]:
    """Judge an attempt in a block, and log one that fails with its provider."""
    try:
        async with by_address(state, origin):
            yield
    except Problem as problem:
        status = int(problem.status)
        log.info("login failed", address=origin.address, provider=provider.name, status=status)
        raise


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
        sealed = row["sealed_id_token"]
        id_token = state.sso.id_tokens.opened(sealed, who.session_id) if sealed else None
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
