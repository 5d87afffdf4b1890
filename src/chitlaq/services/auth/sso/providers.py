"""Identity providers, as operators keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core import addresses, ids
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.host.http_client import NoAnswerError
from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.core.sealing import UnreadableError
from chitlaq.core.telemetry import logs
from chitlaq.services.auth.accounts.accounts import login_name
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.sso import openid
from chitlaq.services.auth.sso.claims import ClaimRule
from chitlaq.services.auth.sso.openid import Client, ProviderError
from chitlaq.services.auth.sso.schemas import (
    NewProvider,
    ProviderChoice,
    ProviderItem,
    ProviderTest,
    Unlinking,
)
from chitlaq.services.auth.state import AuthState

log = logs.get("sso")


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider that signs in, and we as it knows us."""

    id: UUID
    name: str
    title: str
    university_id: UUID
    university: str
    client: Client
    verified_claim: str
    second_factors: Sequence[str]
    rules: Sequence[ClaimRule]


async def choices(database: Database) -> list[ProviderChoice]:
    """Return the providers that sign in, for the sign-in page."""
    rows = await database.rows("open_providers")
    return [ProviderChoice(**row, path=f"/api/auth/sso/{row['name']}") for row in rows]


async def one(state: AuthState, name: str, *, is_open: bool = True) -> Provider:
    """Return a provider; by default only if it signs in.

    Raises:
        Problem: 404.
    """
    row = await state.database.row("provider", name) if "\x00" not in name else None
    if row is None or (is_open and row["disabled_at"] is not None):
        raise problems.not_found("identity provider")
    try:
        secret = state.sso.client_secrets.opened(row["sealed_secret"], row["id"])
    except UnreadableError:
        log.error("a client secret cannot be read: is secrets/sealing-key another?", provider=name)
        raise problems.unavailable(
            f"Signing in with {row['title']} is not possible now: whoever runs ChitLaq must add it again."
        ) from None
    client = Client(
        row["issuer"],
        row["client_id"],
        secret,
        _redirect_uri(state, row["name"]),
        tuple(row["scopes"]),
    )
    return Provider(
        row["id"],
        row["name"],
        row["title"],
        row["university_id"],
        row["university"],
        client,
        row["verified_claim"],
        row["second_factors"],
        msgspec.json.decode(row["rules"], type=list[ClaimRule]),
    )


async def listed(state: AuthState) -> list[ProviderItem]:
    """Return all providers, by name."""
    rows = await state.database.rows("providers")
    return [_item(state, row) for row in rows]


async def add(state: AuthState, new: NewProvider) -> ProviderItem:
    """Add a provider, which signs in from now on.

    Raises:
        Problem: 409 if there is one of this name, 422 for an unknown university.
    """
    provider_id = ids.new()
    sealed = state.sso.client_secrets.sealed(new.secret, provider_id)
    try:
        async with state.database.transaction() as session:
            university_id = await _university(session, new.university)
            await session.execute(
                "insert_provider",
                provider_id,
                new.name,
                new.title.strip(),
                university_id,
                new.issuer,
                new.client_id,
                sealed,
                list(new.scopes),
                new.verified_claim,
                list(new.second_factors),
            )
            await session.execute(
                "insert_claim_rules",
                provider_id,
                *(
                    [getattr(rule, column) for rule in new.rules]
                    for column in ("kind", "claim", "pattern", "value")
                ),
            )
    except asyncpg.UniqueViolationError:
        raise problems.conflict(
            f"There is an identity provider {new.name} already: remove it first, or choose another name."
        ) from None
    log.info("identity provider added", provider=new.name, issuer=new.issuer)
    return next(one for one in await listed(state) if one.name == new.name)


async def test(state: AuthState, name: str) -> ProviderTest:
    """Ask a provider for what it publishes, and say what it would be asked.

    Raises:
        Problem: 404 if there is none of this name, 502 if it does not answer as it must.
    """
    provider = await one(state, name, is_open=False)
    try:
        metadata = await state.sso.openid.metadata(provider.client.issuer, max_age=0)
        keys = await state.sso.openid.keys(metadata, max_age=0)
    except (NoAnswerError, ProviderError) as error:
        raise Problem(HTTPStatus.BAD_GATEWAY, f"{provider.client.issuer}: {error}") from None
    warnings = []
    if "S256" not in metadata.code_challenge_methods_supported:
        warnings.append("it does not say that it supports PKCE (S256), which is asked of it")
    if metadata.end_session_endpoint is None:
        warnings.append("it has no end_session_endpoint: signing out does not sign out there")
    if not provider.verified_claim:
        warnings.append("all its addresses are trusted, whether it has verified them or not")
    return ProviderTest(
        metadata.authorization_endpoint,
        metadata.token_endpoint,
        metadata.jwks_uri,
        metadata.userinfo_endpoint,
        metadata.end_session_endpoint,
        len(keys.keys),
        openid.authorization_url(provider.client, metadata, "STATE", "NONCE", "VERIFIER" * 6),
        warnings,
    )


async def set_open(state: AuthState, name: str, *, is_open: bool) -> None:
    """Let a provider sign people in, or no more; who is signed in stays so.

    Raises:
        Problem: 404.
    """
    async with state.database.session() as session:
        if not await session.execute("set_provider_open", name, is_open):
            raise problems.not_found("identity provider")
    log.info(
        "identity provider enabled" if is_open else "identity provider disabled", provider=name
    )


async def remove(state: AuthState, name: str, operator: str) -> None:
    """Forget a provider, and whom it means by its subjects; accounts and sessions stay.

    Raises:
        Problem: 404.
    """
    async with state.database.transaction() as session:
        await session.execute("audit_unlinked", name, operator)
        if not await session.execute("delete_provider", name):
            raise problems.not_found("identity provider")
    log.info("identity provider removed", provider=name)


async def unlink(state: AuthState, name: str, wanted: Unlinking) -> int:
    """Forget whom a provider means by an account's address, so that it may mean another; return how many.

    Raises:
        Problem: 404 if there is no provider of this name.
    """
    provider = await one(state, name, is_open=False)
    async with state.database.transaction() as session:
        unlinked = await session.rows("unlink_identity", provider.id, login_name(wanted.login))
        for row in unlinked:
            await audit.write(
                session,
                row["account_id"],
                "identity_unlinked",
                operator=wanted.operator,
                provider=name,
            )
    return len(unlinked)


async def _university(session: Session, text: str) -> UUID:
    try:
        domain = addresses.checked_domain(text)
    except ValueError:
        domain = ""
    found = await session.rows("university_named", text, domain)
    if len(found) != 1:
        why = "several universities have this name: give the id" if found else "is not known"
        raise problems.invalid({"university": f"{why}; see `chitlaq universities list`"})
    university_id: UUID = found[0]["id"]
    return university_id


def _redirect_uri(state: AuthState, name: str) -> str:
    return f"{state.settings.base_url}/api/auth/sso/{name}/callback"


def _item(state: AuthState, row: Any) -> ProviderItem:
    rules = msgspec.json.decode(row["rules"], type=list[ClaimRule])
    return ProviderItem(**{**row, "rules": rules}, redirect_uri=_redirect_uri(state, row["name"]))
