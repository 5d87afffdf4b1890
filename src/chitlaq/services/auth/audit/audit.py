"""Entries of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.auth.audit.schemas import AuditEntry, AuditItem
from chitlaq.services.auth.origin import Origin

Action = Literal[
    "account_kept",
    "address_change_requested",
    "address_changed",
    "address_returned",
    "codes_limited",
    "created",
    "deletion_requested",
    "disabled",
    "enabled",
    "export_fetched",
    "export_made",
    "export_requested",
    "factors_reset",
    "identity_linked",
    "identity_unlinked",
    "moderated",
    "passkey_added",
    "passkey_copied",
    "passkey_removed",
    "password_changed",
    "password_reset",
    "recovery_code_used",
    "recovery_codes_renewed",
    "registered",
    "reset_requested",
    "role_granted",
    "role_revoked",
    "session_ended",
    "sessions_ended",
    "signed_in",
    "signed_out",
    "stepped_up",
    "token_reused",
    "totp_disabled",
    "totp_enabled",
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


async def entries(
    database: Database, account_id: UUID | None, since: datetime | None, most: int
) -> list[AuditEntry]:
    """Return the newest entries: about one account or all, from a moment on or all."""
    rows = await database.rows("audit_entries", account_id, since, most)
    return [AuditEntry(**_fields(row)) for row in rows]


def _item(row: Any) -> AuditItem:
    return AuditItem(**_fields(row))


def _fields(row: Any) -> dict[str, Any]:
    return {**row, "detail": msgspec.Raw(row["detail"].encode())}
