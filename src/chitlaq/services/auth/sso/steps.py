"""What a browser keeps while somebody signs in: a cookie that only we can read, for ten minutes."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar
from uuid import UUID

import msgspec
from litestar.datastructures import Cookie

from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.core.sealing import Sealer, UnreadableError

COOKIE = "__Secure-chitlaq-sso"
COOKIE_PATH = "/api/auth/sso"
LIFETIME_SECONDS = 600


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of signing in that has been begun, and where to go on after the last."""

    return_to: str
    begun_at: float = msgspec.field(default_factory=time.time)


class AtProvider(Step, frozen=True):
    """What binds the provider's answer to this browser.

    Args:
        is_proof: the provider was asked to let them prove again who they are.
    """

    state: str
    nonce: str
    code_verifier: str
    is_proof: bool = False


class AtSecondFactor(Step, frozen=True):
    """Who has signed in at the provider, and needs a second factor here."""

    account_id: UUID


S = TypeVar("S", bound=Step)


def kept(sealer: Sealer, provider_id: UUID, step: Step) -> Cookie:
    """Return the cookie of a step at a provider."""
    sealed = sealer.sealed(msgspec.json.encode(step).decode(), provider_id)
    return _cookie(urlsafe_b64encode(sealed).decode(), LIFETIME_SECONDS)


def opened(sealer: Sealer, provider_id: UUID, cookie: str | None, kind: type[S]) -> S:
    """Return the step of a cookie's value.

    Raises:
        Problem: 400 if it is none of this provider, or over.
    """
    try:
        sealed = urlsafe_b64decode((cookie or "").encode())
        step = msgspec.json.decode(sealer.opened(sealed, provider_id), type=kind)
    except (ValueError, UnreadableError, msgspec.DecodeError):
        raise begin_again() from None
    if not 0 <= time.time() - step.begun_at < LIFETIME_SECONDS:
        raise begin_again()
    return step


def forgotten() -> Cookie:
    """Return what makes a browser forget its step."""
    return _cookie("", 0)


def begin_again() -> Problem:
    return problems.malformed(
        "This sign-in was begun in another browser or over ten minutes ago, or is finished: begin again."
    )


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
