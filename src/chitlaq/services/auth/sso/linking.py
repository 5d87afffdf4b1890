"""Whose account it is that somebody signs in to at an identity provider."""

from __future__ import annotations

from collections.abc import Set
from contextlib import suppress
from uuid import UUID

from chitlaq.core import ids
from chitlaq.core.data.mail import TooManyMailsError
from chitlaq.core.data.postgres import Session
from chitlaq.core.http import problems, roles
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import mails, metrics
from chitlaq.services.auth.accounts import accounts
from chitlaq.services.auth.accounts.accounts import NewAccount
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sso import claims
from chitlaq.services.auth.sso.claims import Person
from chitlaq.services.auth.sso.providers import Provider
from chitlaq.services.auth.state import AuthState
from chitlaq.services.auth.universities import universities
from chitlaq.services.auth.universities.universities import Affiliation

log = logs.get("sso")


async def account_of(
    state: AuthState, session: Session, provider: Provider, who: Person, origin: Origin
) -> UUID:
    """Return the account of a person, in the caller's transaction: linked before, linked now, or made now.

    Raises:
        Problem: 403 if the provider may not sign them in.
    """
    await session.execute("lock_identity", provider.id, who.subject)
    known = await session.row("linked_account", provider.id, who.subject)
    if known is None:
        account_id = await _linked_now(state, session, provider, who, origin)
    elif known["university_id"] != provider.university_id:
        raise _foreign(provider)
    else:
        account_id = known["account_id"]
    await _give_roles(session, provider, who, account_id, origin)
    return account_id


async def leave(session: Session, account_id: UUID, university_id: UUID, origin: Origin) -> None:
    """Unlink an account from the providers of other universities, in the transaction that has moved it.

    They take the roles that they give, as if the member signed in there and had none.
    """
    for left in await session.rows("leave_providers", account_id, university_id):
        await audit.write(session, account_id, "identity_unlinked", origin, provider=left["name"])
        await _set_roles(session, account_id, set(left["roles"]), set(), left["name"], origin)


async def _linked_now(
    state: AuthState, session: Session, provider: Provider, who: Person, origin: Origin
) -> UUID:
    if who.email is None:
        raise problems.forbidden(
            f"{provider.title} has not told us a verified mail address of yours, by which we could know you:"
            " ask your computing centre."
        )
    affiliation = await _affiliation(state, provider, who.email)
    await session.execute("lock_mailbox", who.email)
    existing = await session.row("account_with_address", who.email)
    if existing is None:
        account_id: UUID = await _create(session, provider, who, who.email, affiliation, origin)
    else:
        account_id = existing["id"]
        if existing["university_id"] != provider.university_id:
            raise _foreign(provider)
        if await session.value("is_linked", provider.id, account_id):
            raise problems.forbidden(
                f"{provider.title} signs somebody else in to the account with the address {who.email}:"
                " ask whoever runs ChitLaq at your university."
            )
    await session.execute("link_identity", provider.id, who.subject, account_id)
    if existing is not None:
        await audit.write(session, account_id, "identity_linked", origin, provider=provider.name)
        to = Recipient(existing["email"], existing["display_name"], existing["language"])
        with suppress(TooManyMailsError):
            await mails.put(
                session,
                state.settings,
                to,
                "identity_linked",
                "/settings/sessions",
                provider=provider.title,
            )
    return account_id


async def _create(
    session: Session,
    provider: Provider,
    who: Person,
    email: str,
    affiliation: Affiliation,
    origin: Origin,
) -> UUID:
    account_id = ids.new()
    for username in claims.usernames_for(who):
        new = NewAccount(
            id=account_id,
            university_id=provider.university_id,
            email=email,
            username=username,
            display_name=who.display_name or username,
            department=who.department or affiliation.department,
            language=who.language,
            password_hash=None,
        )
        try:
            await accounts.create(session, new)
        except Problem:
            continue  # the name is taken
        break
    await session.execute("close_registrations", email, account_id)
    await audit.write(session, account_id, "registered", origin, provider=provider.name)
    metrics.USER_REGISTRATIONS.inc()
    log.info("account made", account_id=account_id, provider=provider.name)
    return account_id


async def _give_roles(
    session: Session, provider: Provider, who: Person, account_id: UUID, origin: Origin
) -> None:
    """Give and take the roles that the provider's rules name; others are not its business."""
    ruled = {rule.value for rule in provider.rules if rule.kind == "role"}
    await _set_roles(session, account_id, ruled, who.roles, provider.name, origin)


async def _set_roles(
    session: Session,
    account_id: UUID,
    ruled: Set[str],
    given: Set[str],
    provider: str,
    origin: Origin,
) -> None:
    """Let an account have these of the roles that a provider's rules name, and no others of them."""
    if not ruled:
        return
    row = await session.row("lock_account_named", account_id, "")
    assert row is not None
    has = set(row["roles"])
    wanted = (has - ruled) | given
    if wanted != has:
        await session.execute("set_roles", account_id, sorted(wanted, key=roles.ROLES.index))
    for role in sorted(wanted ^ has):
        action: audit.Action = "role_granted" if role in wanted else "role_revoked"
        await audit.write(session, account_id, action, origin, provider=provider, role=role)


async def _affiliation(state: AuthState, provider: Provider, email: str) -> Affiliation:
    """Return what a university says of its address, if it is the provider's university.

    Raises:
        Problem: 403.
    """
    try:
        found = await universities.affiliation(state.database, email)
    except Problem as problem:
        raise problems.forbidden(f"{email}: {problem.errors or {}}") from None
    if found.university_id != provider.university_id:
        raise _foreign(provider)
    return found


def _foreign(provider: Provider) -> Problem:
    return problems.forbidden(
        f"{provider.title} signs in people with an address of {provider.university} alone, and yours is of"
        " another university: sign in as you do there."
    )
