"""Signing in and sessions, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming
from chitlaq.services.auth.accounts.schemas import Short, User
from chitlaq.services.auth.factors.schemas import Assertion, Code


class Login(Incoming, frozen=True):
    """``login`` is the e-mail address or the username, ``code`` of the app or for recovery, or the answer
    of a ``passkey``, if needed.
    ``cookies``: for the web application, whose tokens are in cookies that no script reads."""

    login: Short
    password: Annotated[str, msgspec.Meta(max_length=256)]
    code: Code | None = None
    passkey: Assertion | None = None
    cookies: bool = False


class Refresh(Incoming, frozen=True):
    """Without ``refresh_token``, the one in the cookie is meant."""

    refresh_token: Short | None = None


class SignedIn(msgspec.Struct, frozen=True):
    """``expires_in`` is the access token's life in seconds (RFC 6749, 5.1). The tokens may be in cookies.

    ``erase_at``: the account is to be deleted then. Its tokens are good for auth-service alone, where it may
    be kept. ``lacks_second_factor``: everybody needs one here, and the account has none. Its tokens are good
    for auth-service alone, where it is set up; then they are refreshed.
    """

    token_type: str
    expires_in: int
    user: User
    access_token: str | msgspec.UnsetType = msgspec.UNSET
    refresh_token: str | msgspec.UnsetType = msgspec.UNSET
    erase_at: datetime | msgspec.UnsetType = msgspec.UNSET
    lacks_second_factor: bool | msgspec.UnsetType = msgspec.UNSET


KeyState = Literal["waiting", "signing", "retired"]
"""``waiting``: published, and not signing yet. ``retired``: its last tokens are still trusted."""


class SigningKey(msgspec.Struct, frozen=True):
    """A key that signs access tokens, for operators."""

    id: str
    state: KeyState
    created_at: datetime
    signs_from: datetime
    last_signed_at: datetime | None


class SigningKeys(msgspec.Struct, frozen=True):
    items: list[SigningKey]


class AuthStatus(msgspec.Struct, frozen=True):
    """Whether the client is signed in; if it sent a token and is not, why."""

    authenticated: bool
    user: User | None
    detail: str


class SessionItem(msgspec.Struct, frozen=True):
    """A signed-in device; ``methods`` are those by which its member proved who they are.

    ``device`` is its name in English, of ``program`` and ``system`` as far as it says them.
    ``country`` (ISO 3166-1, alpha-2) is the one that its address was given to; None where nobody says.
    """

    id: UUID
    device: str
    program: str | None
    system: str | None
    user_agent: str
    address: str | None
    country: str | None
    methods: list[str]
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool
