"""Sessions of the web application: both tokens in cookies, none in a body that a script could read."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie, State

from chitlaq.core.http import cookies, identity, problems
from chitlaq.core.http.problems import Problem
from chitlaq.services.auth import origin
from chitlaq.services.auth.accounts.accounts import token_hash
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions.schemas import SignedIn
from chitlaq.services.auth.state import AuthState

SECONDS_PER_DAY = 86_400
DEVICE_DAYS = 400
"""Browsers keep no cookie for longer (RFC 6265bis, 5.5)."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def require_own_page(request: Request[Any, Any, State], state: AuthState) -> None:
    """Refuse what another site's page causes: signing somebody in, refreshing.

    Raises:
        Problem: 403.
    """
    cookies.require_own_page(request.headers, state.settings.base_url)


def refresh_token(request: Request[Any, Any, State], state: AuthState) -> tuple[str, UUID]:
    """Return the refresh token of our own page's cookie, and the session that it must be of.

    A host beside ours can set a cookie of the refresh token's name, and so sign somebody in as somebody else;
    that of the access token, which goes with it, it cannot set (RFC 6265bis, 4.1.3.2).

    Raises:
        Problem: 401 if there is none, 403 for another site's page.
    """
    require_own_page(request, state)
    token = cookies.value(request.headers, cookies.REFRESH)
    session_id = identity.claimed_session(cookies.value(request.headers, cookies.ACCESS) or "")
    if not token or session_id is None:
        raise forgetting(problems.not_signed_in("The cookies of a session were not sent: sign in."))
    return token, session_id


def browser(request: Request[Any, Any, State]) -> tuple[Origin, Cookie]:
    """Return where a browser signs in from, and the cookie by which it is known as a device.

    The cookie has the secret that the browser has already, or a new one. The session that the browser is in
    ends when it signs in.
    """
    secret = cookies.value(request.headers, cookies.DEVICE) or ""
    if _SECRET.fullmatch(secret) is None:
        secret = secrets.token_urlsafe(32)
    kept = Cookie(
        cookies.DEVICE,
        path="/",
        value=secret,
        max_age=DEVICE_DAYS * SECONDS_PER_DAY,
        secure=True,
        httponly=True,
        samesite="lax",
    )
    had = cookies.value(request.headers, cookies.REFRESH)
    asking = replace(
        origin.of(request),
        device=origin.device_hash(secret),
        replaced=token_hash(had) if had else None,
    )
    return asking, kept


def answered(state: AuthState, signed_in: SignedIn, *more: Cookie) -> Response[SignedIn]:
    """Answer somebody who has signed in, with the tokens in cookies."""
    body = msgspec.structs.replace(
        signed_in, access_token=msgspec.UNSET, refresh_token=msgspec.UNSET
    )
    return Response(body, cookies=[*kept(state, signed_in), *more])


def kept(state: AuthState, signed_in: SignedIn) -> list[Cookie]:
    """Return both cookies of a session, which last as long as it may.

    An access token that has expired still tells the edge whose limit counts, and the page that it must
    be refreshed.
    """
    lifetime = state.settings.tokens.session_days * SECONDS_PER_DAY
    return _both(str(signed_in.access_token), str(signed_in.refresh_token), lifetime)


def forgotten() -> list[Cookie]:
    """Return what makes a browser forget both cookies."""
    return _both("", "", 0)


def to_be_renewed(request: Request[Any, Any, State], state: AuthState) -> Cookie:
    """Return what makes a browser ask for new tokens at its next page.

    Each service takes an access token until it has heard, within a second, that it was revoked. This one
    has no signature: none takes it, and it still says whose the session is.
    """
    token = cookies.value(request.headers, cookies.ACCESS) or ""
    unsigned = ".".join(token.split(".")[:2]) + "."
    lifetime = state.settings.tokens.session_days * SECONDS_PER_DAY
    return _access(unsigned, lifetime)


def forgetting(problem: Problem) -> Problem:
    """Let a refusal make a browser forget both cookies, which are good for nothing any more."""
    problem.cookies = forgotten()
    return problem


def _both(access_token: str, refresh_token: str, lifetime_seconds: int) -> list[Cookie]:
    return [
        _access(access_token, lifetime_seconds),
        Cookie(
            cookies.REFRESH,
            path=cookies.REFRESH_PATH,
            value=refresh_token,
            max_age=lifetime_seconds,
            secure=True,
            httponly=True,
            samesite="strict",
        ),
    ]


def _access(token: str, lifetime_seconds: int) -> Cookie:
    # Links from elsewhere open signed in; what changes something is checked by `require_own_page`.
    return Cookie(
        cookies.ACCESS,
        path="/",
        value=token,
        max_age=lifetime_seconds,
        secure=True,
        httponly=True,
        samesite="lax",
    )
