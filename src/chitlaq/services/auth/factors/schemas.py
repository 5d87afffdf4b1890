"""Second factors, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming, require_name

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
AnyPassword = Annotated[str, msgspec.Meta(max_length=256)]


Encoded = Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]
"""Bytes as base64url."""
Transport = Annotated[str, msgspec.Meta(pattern="^[a-z-]{1,32}$")]
"""One that is not known yet is kept, too (WebAuthn, Level 3, 5.2.1)."""


class AssertionResponse(msgspec.Struct, frozen=True):
    """``AuthenticatorAssertionResponseJSON`` of WebAuthn."""

    client_data_json: Encoded = msgspec.field(name="clientDataJSON")
    authenticator_data: Encoded = msgspec.field(name="authenticatorData")
    signature: Encoded
    user_handle: Encoded | None = msgspec.field(name="userHandle", default=None)


class Assertion(msgspec.Struct, frozen=True):
    """What a passkey has signed, as ``PublicKeyCredential.toJSON()`` writes it; more in it is ignored."""

    id: Encoded
    raw_id: Encoded = msgspec.field(name="rawId")
    type: Literal["public-key"]
    response: AssertionResponse


class AttestationResponse(msgspec.Struct, frozen=True):
    """``AuthenticatorAttestationResponseJSON`` of WebAuthn."""

    client_data_json: Encoded = msgspec.field(name="clientDataJSON")
    attestation_object: Encoded = msgspec.field(name="attestationObject")
    transports: Annotated[tuple[Transport, ...], msgspec.Meta(max_length=7)] = ()


class Attestation(msgspec.Struct, frozen=True):
    """A new passkey, as ``PublicKeyCredential.toJSON()`` writes it; more in it is ignored."""

    id: Encoded
    raw_id: Encoded = msgspec.field(name="rawId")
    type: Literal["public-key"]
    response: AttestationResponse


class Name(Incoming, frozen=True):
    """What a member calls a passkey."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name("name", self.name)


class NewPasskey(Name, frozen=True):
    passkey: Attestation


class Asked(Incoming, frozen=True):
    """What the options are for; by default registration for who is signed in, else authentication."""

    purpose: Literal["registration", "authentication"] | None = None


class Options(msgspec.Struct, frozen=True):
    """What ``navigator.credentials`` takes, as JSON (WebAuthn, 5.1.8 and 5.1.9)."""

    public_key: dict[str, object] = msgspec.field(name="publicKey")


class PasskeySignIn(Incoming, frozen=True):
    """``cookies``: for the web application, whose tokens are in cookies that no script reads."""

    passkey: Assertion
    cookies: bool = False


class Proof(Incoming, frozen=True):
    """Who one is, as at sign-in: a passkey, or the password with a code if the account asks for one. ``code``
    is of the app, or a recovery code."""

    password: AnyPassword | None = None
    code: Code | None = None
    passkey: Assertion | None = None


class Confirmation(Incoming, frozen=True):
    """The first code of the app."""

    code: Code


class Enrollment(msgspec.Struct, frozen=True):
    """What an authenticator app reads: ``qr`` is an image (SVG) of ``uri``, which holds ``secret``."""

    secret: str
    uri: str
    qr: str


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Each works once, instead of a code of the app or a passkey. They are not shown again."""

    recovery_codes: list[str]


class PasskeyItem(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


class AddedPasskey(msgspec.Struct, frozen=True):
    """``recovery_codes`` come with the first second factor of an account, and are not shown again."""

    passkey: PasskeyItem
    recovery_codes: list[str]


class Factors(msgspec.Struct, frozen=True):
    """The second factors of an account; ``totp_since`` if it asks for codes of an app."""

    totp_since: datetime | None
    passkeys: list[PasskeyItem]
    recovery_codes_left: int
