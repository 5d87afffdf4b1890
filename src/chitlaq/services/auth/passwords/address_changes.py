"""Changes of an account's address: the new one is proved, and the old one can take the account back."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import asyncpg

from chitlaq.core.data.mail import TooManyMailsError
from chitlaq.core.data.postgres import Session
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import mails
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.passwords import mailed_tokens, passwords
from chitlaq.services.auth.passwords.schemas import AddressChange
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.sso import linking
from chitlaq.services.auth.state import AuthState
from chitlaq.services.auth.universities import universities

RETURN_DAYS = 7

log = logs.get("addresses")


async def request_change(
    state: AuthState, who: Identity, wanted: AddressChange, origin: Origin
) -> None:
    """Mail a link to the new address; if it has an account, that somebody wanted it.

    Raises:
        Problem: as of `passwords.confirmed`; 422 for an address of no university here.
    """
    row = await passwords.confirmed(state, who, wanted.password, origin, "password")
    if wanted.email == row["email"]:
        raise problems.invalid({"email": "is your address already"})
    await universities.affiliation(state.database, wanted.email)
    hours = state.settings.tokens.verification_hours
    async with state.database.transaction() as session:
        await session.execute("lock_mailbox", wanted.email)
        await sessions.require_live(session, who)
        if not await session.value("has_password", who.account_id, row["password_hash"]):
            raise problems.invalid({"password": "was changed at this moment"})
        await mailed_tokens.forget(session, who.account_id, "address_change")
        token = await mailed_tokens.issue(
            session, who.account_id, "address_change", hours * 3600, wanted.email, who.session_id
        )
        holder = await session.row("account_with_address", wanted.email)
        with suppress(TooManyMailsError):
            if holder is None:
                to = Recipient(wanted.email, row["display_name"], row["language"])
                path = f"/confirm-address?token={token}"
                named = {"username": row["username"], "hours": hours}
                await mails.put(session, state.settings, to, "address_change", path, **named)
            else:
                to = Recipient(wanted.email, holder["display_name"], holder["language"])
                await mails.put(session, state.settings, to, "address_in_use")
        await audit.write(
            session, who.account_id, "address_change_requested", origin, email=wanted.email
        )


async def confirm(state: AuthState, token: str, origin: Origin) -> None:
    """Give an account its new address, and mail to the old one how to take it back.

    The session that asked goes on; the others end.

    Raises:
        Problem: 422 for a token that is none any more, or an address that has an account by now.
    """
    row = await mailed_tokens.found(state.database, token, "address_change")
    if row is None:
        raise mailed_tokens.refused()
    account_id, given = row["account_id"], row["given_email"]
    try:
        async with state.database.transaction() as session:
            await session.execute("lock_mailbox", given)
            await session.execute("lock_account", account_id)
            await mailed_tokens.use(session, token)
            owner = await session.row("account_of_owner", account_id)
            assert owner is not None
            await give(session, account_id, given, origin)
            await mailed_tokens.forget(session, account_id, "password_reset", "address_change")
            back = await mailed_tokens.issue(
                session, account_id, "address_return", RETURN_DAYS * 86_400, owner["email"]
            )
            to = Recipient(owner["email"], owner["display_name"], owner["language"])
            named = {"email": given, "days": RETURN_DAYS}
            path = f"/reset?token={back}"
            await mails.tell(session, state.settings, to, "address_changed", path, **named)
            await sessions.end_all(session, account_id, but=row["session_id"])
            changed = {"email": given, "former": owner["email"]}
            await audit.write(session, account_id, "address_changed", origin, **changed)
    except asyncpg.UniqueViolationError:
        raise problems.invalid({"token": "This address has got another account."}) from None
    log.info("address changed", account_id=account_id, address=origin.address)


async def give(session: Session, account_id: UUID, email: str, origin: Origin) -> None:
    """Give an account an address, and its member the university and the department that belong to it.

    No registration of the address becomes an account any more. The identity providers of a university that
    the member leaves sign them in no more, and take the roles that are theirs to give.

    Args:
        session: the transaction, which has locked the mailbox and the account.
        account_id: the account.
        email: was proved.
        origin: from where.

    Raises:
        Problem: 422, the address is of no university here any more.
        asyncpg.UniqueViolationError: the address has an account.
    """
    found = await universities.affiliation(session, email)
    if await session.value("set_address", account_id, email, found.university_id):
        await linking.leave(session, account_id, found.university_id, origin)
    await session.execute("close_registrations", email, account_id)
    await session.value("move_member", account_id, found.university_id, found.department)
