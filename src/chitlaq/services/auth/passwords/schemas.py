"""Passwords and addresses that change, in."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chitlaq.core import addresses
from chitlaq.core.http.schemas import Incoming, normalize
from chitlaq.services.auth.accounts.schemas import Address, Password, Short

TypedPassword = Annotated[str, msgspec.Meta(max_length=256)]


class Forgotten(Incoming, frozen=True):
    email: Address

    def __post_init__(self) -> None:
        super().__post_init__()
        normalize(self, "email", addresses.checked)


class Reset(Incoming, frozen=True):
    """The token from the mail, and the new password."""

    token: Short
    password: Password


class PasswordChange(Incoming, frozen=True):
    current_password: TypedPassword
    password: Password


class AddressChange(Incoming, frozen=True):
    """The new address, and the account's password."""

    email: Address
    password: TypedPassword

    def __post_init__(self) -> None:
        super().__post_init__()
        normalize(self, "email", addresses.checked)


class AddressConfirmation(Incoming, frozen=True):
    """The token from the mail to the new address."""

    token: Short
