"""Second factors, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from chitlaq.core.http.schemas import Incoming

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
AnyPassword = Annotated[str, msgspec.Meta(max_length=256)]


class Proof(Incoming, frozen=True):
    """Who one is, as at sign-in: the password, with a code if the account asks for one. ``code`` is of the
    app, or a recovery code."""

    password: AnyPassword | None = None
    code: Code | None = None


class Confirmation(Incoming, frozen=True):
    """The first code of the app."""

    code: Code


class Enrollment(msgspec.Struct, frozen=True):
    """What an authenticator app reads: ``uri`` holds ``secret``."""

    secret: str
    uri: str


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Each works once, instead of a code of the app or a passkey. They are not shown again."""

    recovery_codes: list[str]


class Factors(msgspec.Struct, frozen=True):
    """The second factors of an account; ``totp_since`` if it asks for codes of an app."""

    totp_since: datetime | None
    recovery_codes_left: int
