"""Registration and accounts, in and out."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

import msgspec

from chitlaq.core import addresses
from chitlaq.core.http.schemas import Incoming, require_one_line

USERNAME = re.compile(r"[a-z0-9_]{3,30}")
RESERVED_USERNAMES = frozenset(
    {"admin", "administrator", "chitlaq", "everyone", "moderator", "root", "support", "system"}
)

Password = Annotated[str, msgspec.Meta(min_length=8, max_length=256)]
Short = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
DisplayName = Annotated[str, msgspec.Meta(max_length=80)]


class Registration(Incoming, frozen=True):
    """A registration; the address determines the university."""

    email: Annotated[str, msgspec.Meta(max_length=254)]
    password: Password
    username: Annotated[str, msgspec.Meta(max_length=30)]
    display_name: DisplayName

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            addresses.checked(self.email)
        except ValueError as error:
            raise ValueError(f"email: {error}") from None
        if not USERNAME.fullmatch(self.username.lower()):
            raise ValueError("username: 3 to 30 letters, digits or underscores")
        if self.username.lower() in RESERVED_USERNAMES:
            raise ValueError("username: this name is reserved")
        if not self.display_name.strip():
            raise ValueError("display_name: must not be empty")
        require_one_line("display_name", self.display_name)
        if self.password.lower() in {self.username.lower(), self.email.lower()}:
            raise ValueError("password: must not be your name or address")


class Verification(Incoming, frozen=True):
    token: Short


class Resend(Incoming, frozen=True):
    email: Annotated[str, msgspec.Meta(min_length=3, max_length=254)]


class User(msgspec.Struct, frozen=True):
    """An account as its owner sees it."""

    id: UUID
    username: str
    display_name: str
    email: str
    university: str
    verified: bool


class Registered(msgspec.Struct, frozen=True):
    user: User
    verification: str


class Verified(msgspec.Struct, frozen=True):
    user: User
