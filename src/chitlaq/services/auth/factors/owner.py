"""The owner of an account whose second factors change: they get a mail, and the audit log an entry."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Session
from chitlaq.core.installation.settings import Settings
from chitlaq.services.auth import mails
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions

PAGE = "/settings/security"


async def tell(
    session: Session,
    settings: Settings,
    account_id: UUID,
    action: audit.Action,
    origin: Origin | None,
    operator: str | None = None,
    **detail: str | int,
) -> None:
    """Write an entry and the mail of the same name, in the caller's transaction."""
    await audit.write(session, account_id, action, origin, operator=operator, **detail)
    row = await session.row("account_of_owner", account_id)
    assert row is not None
    to = Recipient(row["email"], row["display_name"], row["language"])
    await mails.tell(session, settings, to, action, PAGE, **detail)


async def tell_of_change(
    session: Session,
    settings: Settings,
    account_id: UUID,
    action: audit.Action,
    origin: Origin | None,
    operator: str | None = None,
    **detail: str | int,
) -> None:
    """As `tell`, of a factor that came or went, in a transaction that has locked the account.

    Tokens from before may be good for more or less than the factors allow now: clients get new ones.
    """
    await tell(session, settings, account_id, action, origin, operator, **detail)
    if settings.tokens.need_second_factors:
        await sessions.revoke_account(session, account_id)
