"""Roles and accounts as operators and moderators see them, in and out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chitlaq.core import addresses
from chitlaq.core.http.schemas import Incoming, normalize, require_name
from chitlaq.services.auth.accounts import usernames
from chitlaq.services.auth.accounts.schemas import DisplayName, Language

Grantable = Literal["moderator", "admin", "operator"]
"""The roles that an account has or not; everybody is a member."""

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class AccountState(msgspec.Struct, frozen=True):
    """What moderators and admins see of an account."""

    id: UUID
    username: str
    display_name: str
    roles: Sequence[str]
    created_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None


class AccountItem(AccountState, frozen=True):
    """What operators see of it beyond that; ``last_used_at``: when one of its devices last refreshed."""

    email: str
    university: str
    sessions: int
    last_used_at: datetime | None


class Accounts(msgspec.Struct, frozen=True):
    items: list[AccountItem]


class Disabling(Incoming, frozen=True):
    """Why an account is disabled, for those who look it up."""

    reason: Reason

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name("reason", self.reason)


class Work(Incoming, frozen=True):
    """What an operator does with an account; ``operator`` is their name, for the audit log."""

    operator: Annotated[str, msgspec.Meta(max_length=80)]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name("operator", self.operator)


class NewAccountWork(Work, frozen=True):
    """An account for the owner of an address, who chooses the password behind a link by mail."""

    email: Annotated[str, msgspec.Meta(max_length=254)]
    username: Annotated[str, msgspec.Meta(max_length=30)]
    display_name: DisplayName
    language: Language = "en"

    def __post_init__(self) -> None:
        super().__post_init__()
        normalize(self, "email", addresses.checked)
        normalize(self, "username", usernames.checked)
        require_name("display_name", self.display_name)


class VerifyingWork(Work, frozen=True):
    """Whose registration becomes an account."""

    email: Annotated[str, msgspec.Meta(max_length=254)]


class FactorsWork(Work, frozen=True):
    """``identified_by``: how the operator knows that it is the owner who asks, for the audit log."""

    identified_by: Reason

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name("identified_by", self.identified_by)


class DisablingWork(Work, frozen=True):
    reason: Reason

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name("reason", self.reason)


class RoleWork(Work, frozen=True):
    role: Grantable


class SessionsWork(Work, frozen=True):
    """Without ``session_id``, all sessions are meant."""

    session_id: UUID | None = None


class Ended(msgspec.Struct, frozen=True):
    """So many sessions have ended."""

    ended: int
