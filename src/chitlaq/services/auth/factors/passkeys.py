"""Passkeys (WebAuthn, Level 3): keys in a phone or a computer, which sign challenges of our pages alone.

Each is discoverable and verifies its user, so that it opens an account without a name and a password.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import metrics
from chitlaq.services.auth.factors import owner, recovery
from chitlaq.services.auth.factors.schemas import (
    AddedPasskey,
    Assertion,
    Attestation,
    NewPasskey,
    PasskeyItem,
)
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.state import AuthState

Purpose = Literal["registration", "authentication"]

CHALLENGE_SECONDS = 300
MOST = 20

log = logs.get("factors")


class RefusedError(Exception):
    """The answer of a passkey is not accepted; the message says why, for the log."""


class _ClientData(msgspec.Struct):
    challenge: str


@dataclass(frozen=True, slots=True)
class _Site:
    """What passkeys are for: they answer no other site."""

    rp_id: str
    origins: list[str]


def _site(settings: Settings) -> _Site:
    url = urlsplit(settings.base_url)
    host = url.hostname or "localhost"
    over_tls = f"https://{host}:{settings.optional_port_of('nginx')}"
    return _Site(host, [f"{url.scheme}://{url.netloc}", over_tls])


async def options(state: AuthState, account_id: UUID | None, purpose: Purpose) -> dict[str, Any]:
    """Return what a browser asks a passkey: to be made, or to sign a new challenge.

    Args:
        state: the service's.
        account_id: who asks; None for somebody who is not signed in yet.
        purpose: what the answer is for.
    """
    challenge = secrets.token_bytes(32)
    async with state.database.session() as session:
        await session.execute("insert_challenge", challenge, account_id, purpose, CHALLENGE_SECONDS)
        known = await session.rows("passkeys_of_account", account_id) if account_id else []
        row = await session.row("account_of_owner", account_id) if account_id else None
    rp_id = _site(state.settings).rp_id
    if purpose == "registration" and row is not None:
        return await asyncio.to_thread(_creation, rp_id, challenge, row, known)
    return await asyncio.to_thread(_request, rp_id, challenge, known)


async def add(state: AuthState, who: Identity, wanted: NewPasskey, origin: Origin) -> AddedPasskey:
    """Add a passkey to an account; with its first second factor come recovery codes.

    Raises:
        Problem: 401 if the session that asks has ended; 422 if the answer is not accepted, 409 if it is known
            or there are too many.
    """
    account_id = who.account_id
    try:
        challenge = await _use_challenge(
            state.database, wanted.passkey.response.client_data_json, account_id, "registration"
        )
        made = await asyncio.to_thread(_registered, state.settings, wanted.passkey, challenge)
    except RefusedError as error:
        log.info("passkey refused", account_id=account_id, error=str(error))
        raise problems.invalid(
            {"passkey": "is not accepted: ask for new options, and let the passkey verify you"}
        ) from None
    try:
        async with state.database.transaction() as session:
            await sessions.require_live(session, who)
            has_factor = bool(await session.value("second_factors", account_id))
            if await session.value("count_passkeys", account_id) >= MOST:
                raise problems.conflict(f"You have {MOST} passkeys: remove one first.")
            row = await session.row(
                "insert_passkey",
                account_id,
                made.credential_id,
                made.credential_public_key,
                made.sign_count,
                list(wanted.passkey.response.transports),
                wanted.name,
            )
            await owner.tell_of_change(
                session, state.settings, account_id, "passkey_added", origin, name=wanted.name
            )
            codes = [] if has_factor else await recovery.renew(session, account_id)
            await session.execute("add_method", who.session_id, "passkey")
    except asyncpg.UniqueViolationError:
        raise problems.conflict("This passkey is known already.", "passkey") from None
    assert row is not None
    return AddedPasskey(PasskeyItem(**row), codes)


async def prove(state: AuthState, answer: Assertion, asked: UUID | None, origin: Origin) -> UUID:
    """Return the account whose passkey has signed a challenge.

    Args:
        state: the service's.
        answer: the browser's.
        asked: who was given the challenge; None if they were not signed in.
        origin: from where.

    Raises:
        RefusedError: it has not, or it was copied.
    """
    try:
        account_id = await _proved(state, answer, asked, origin)
    except RefusedError as error:
        metrics.SECOND_FACTORS.labels("passkey", "failure").inc()
        log.info("passkey refused", address=origin.address, error=str(error))
        raise
    metrics.SECOND_FACTORS.labels("passkey", "success").inc()
    return account_id


async def set_name(database: Database, account_id: UUID, passkey_id: UUID, name: str) -> None:
    """Call a passkey something else.

    Raises:
        Problem: 404.
    """
    async with database.session() as session:
        if not await session.execute("rename_passkey", account_id, passkey_id, name):
            raise problems.not_found("passkey")


async def remove(state: AuthState, who: Identity, passkey_id: UUID, origin: Origin) -> None:
    """Remove a passkey; with the last second factor the recovery codes end.

    Raises:
        Problem: 401 if the session that asks has ended; 404.
    """
    account_id = who.account_id
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        name = await session.value("remove_passkey", account_id, passkey_id)
        if name is None:
            raise problems.not_found("passkey")
        await owner.tell_of_change(
            session, state.settings, account_id, "passkey_removed", origin, name=name
        )
        await recovery.forget_if_needless(session, account_id)


async def listed(session: Session, account_id: UUID) -> list[PasskeyItem]:
    """Return the passkeys of an account, oldest first."""
    rows = await session.rows("passkeys_of_account", account_id)
    return [
        PasskeyItem(row["id"], row["name"], row["created_at"], row["last_used_at"]) for row in rows
    ]


async def _proved(state: AuthState, answer: Assertion, asked: UUID | None, origin: Origin) -> UUID:
    challenge = await _use_challenge(
        state.database, answer.response.client_data_json, asked, "authentication"
    )
    row = await state.database.row("passkey", _decoded(answer.raw_id))
    if row is None:
        raise RefusedError("it is nobody's")
    account_id: UUID = row["account_id"]
    handle = answer.response.user_handle
    if handle is not None and _decoded(handle) != account_id.bytes:
        raise RefusedError("it says that it is another account's")
    made = await asyncio.to_thread(
        _authenticated, state.settings, answer, challenge, row["public_key"]
    )
    async with state.database.transaction() as session:
        sign_count = await session.value("lock_passkey", row["id"])
        if sign_count is None:
            raise RefusedError("it was removed at this moment")
        is_forwards = made.new_sign_count > sign_count or made.new_sign_count == sign_count == 0
        if is_forwards:
            await session.execute("use_passkey", row["id"], made.new_sign_count)
        else:
            await owner.tell(
                session, state.settings, account_id, "passkey_copied", origin, name=row["name"]
            )
    if not is_forwards:
        raise RefusedError(f"it counts {made.new_sign_count} after {sign_count}")
    return account_id


async def _use_challenge(
    database: Database, client_data: str, account_id: UUID | None, purpose: Purpose
) -> bytes:
    """Return the challenge that was signed, which works once, whatever comes of it.

    Raises:
        RefusedError: it is none of ours, was used, is over, or was for somebody or something else.
    """
    try:
        signed = msgspec.json.decode(_decoded(client_data), type=_ClientData)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RefusedError(f"the client data is no JSON: {error}") from None
    challenge = _decoded(signed.challenge)
    async with database.session() as session:
        if not await session.execute("use_challenge", challenge, account_id, purpose):
            raise RefusedError("the challenge is unknown, used or over")
    return challenge


def _decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise RefusedError(f"no base64url: {error}") from None


# The library takes a tenth of a second to load and milliseconds to verify: both are for a thread.


def _creation(rp_id: str, challenge: bytes, row: Any, known: list[Any]) -> dict[str, Any]:
    import webauthn
    from webauthn import helpers
    from webauthn.helpers import structs

    required = structs.UserVerificationRequirement.REQUIRED
    made = webauthn.generate_registration_options(
        rp_id=rp_id,
        rp_name="ChitLaq",
        user_id=row["id"].bytes,
        user_name=row["username"],
        user_display_name=row["display_name"],
        challenge=challenge,
        timeout=CHALLENGE_SECONDS * 1000,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED, user_verification=required
        ),
        exclude_credentials=_descriptors(known),
    )
    found: dict[str, Any] = helpers.options_to_json_dict(made)
    return found


def _request(rp_id: str, challenge: bytes, known: list[Any]) -> dict[str, Any]:
    import webauthn
    from webauthn import helpers
    from webauthn.helpers import structs

    made = webauthn.generate_authentication_options(
        rp_id=rp_id,
        challenge=challenge,
        timeout=CHALLENGE_SECONDS * 1000,
        allow_credentials=_descriptors(known),
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    found: dict[str, Any] = helpers.options_to_json_dict(made)
    return found


def _descriptors(known: list[Any]) -> list[Any]:
    from webauthn.helpers import structs

    return [
        structs.PublicKeyCredentialDescriptor(
            id=row["credential_id"],
            transports=[one for one in structs.AuthenticatorTransport if one in row["transports"]],
        )
        for row in known
    ]


def _registered(settings: Settings, answer: Attestation, challenge: bytes) -> Any:
    import webauthn

    return _judged(webauthn.verify_registration_response, settings, answer, challenge)


def _authenticated(
    settings: Settings, answer: Assertion, challenge: bytes, public_key: bytes
) -> Any:
    import webauthn

    return _judged(
        webauthn.verify_authentication_response,
        settings,
        answer,
        challenge,
        credential_public_key=public_key,
        credential_current_sign_count=0,  # `_proved` compares it, in a transaction
    )


def _judged(
    verify: Callable[..., Any],
    settings: Settings,
    answer: Attestation | Assertion,
    challenge: bytes,
    **more: Any,
) -> Any:
    site = _site(settings)
    try:
        return verify(
            credential=msgspec.to_builtins(answer),
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origins,
            require_user_verification=True,
            **more,
        )
    except Exception as error:  # it stumbles in many ways over what it does not expect
        raise RefusedError(f"{type(error).__name__}: {error}") from None
