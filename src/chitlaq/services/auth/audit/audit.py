"""Entries of the audit log."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.auth.audit.schemas import AuditItem
from chitlaq.services.auth.origin import Origin

Action = Literal[
    "address_change_requested",
    "address_changed",
    "address_returned",
    "password_changed",
    "password_reset",
    "identity_linked",
    "identity_unlinked",
    "registered",
    "reset_requested",
    "session_ended",
    "sessions_ended",
    "signed_in",
    "signed_out",
    "token_reused",
]
"""What an entry says. In the past tense; a new one is a line here."""


async def write(
    session: Session,
    account_id: UUID,
    action: Action,
    origin: Origin | None = None,
    *,
    operator: str | None = None,
    **detail: str | int | bool,
) -> None:
    """Add an entry in the caller's transaction, so that what happened and its entry stand or fall together.

    Args:
        session: the transaction.
        account_id: whose account it concerns.
        action: what happened.
        origin: from where; None for what the program does by itself.
        operator: who did it, if it was not the member.
        detail: what else a reader needs; no secrets.
    """
    await session.execute(
        "insert_audit",
        account_id,
        operator,
        action,
        origin.session_id if origin else None,
        origin.address if origin else None,
        origin.user_agent if origin else "",
        msgspec.json.encode(detail).decode(),
    )


async def listed(database: Database, account_id: UUID, paging: Paging) -> Page[AuditItem]:
    """Return a page of the entries about an account, newest first."""
    rows = await database.rows("audit_of_account", account_id, *paging.window)
    return paging.page_of(rows, _item)


def _item(row: Any) -> AuditItem:
    return AuditItem(**{**row, "detail": msgspec.Raw(row["detail"].encode())})
