"""Identity providers, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from chitlaq.core.http.schemas import Incoming, require_name
from chitlaq.services.auth.roles.schemas import Work
from chitlaq.services.auth.sso import openid
from chitlaq.services.auth.sso.claims import ClaimRule

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Words = Annotated[tuple[Word, ...], msgspec.Meta(max_length=50)]

ROLES = ("moderator", "admin")
"""What a provider may give; operators are made on the machine alone."""


class ProviderChoice(msgspec.Struct, frozen=True):
    """A way to sign in, for the sign-in page: a link with this title to this path."""

    name: str
    title: str
    university: str
    path: str


class ProviderChoices(msgspec.Struct, frozen=True):
    items: list[ProviderChoice]


class LoggedOut(msgspec.Struct, frozen=True):
    """Where the browser goes next: to the identity provider, which signs out as well, or to our page."""

    location: str


class NewProvider(Incoming, frozen=True):
    """An identity provider, as operators add it; ``university`` is an id, a name or a domain."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
    university: Word
    issuer: Annotated[str, msgspec.Meta(max_length=500)]
    client_id: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    title: Annotated[str, msgspec.Meta(max_length=80)]
    scopes: Words = ("openid", "email", "profile")
    verified_claim: Annotated[str, msgspec.Meta(max_length=200)] = "email_verified"
    second_factors: Words = ()
    rules: Annotated[tuple[ClaimRule, ...], msgspec.Meta(max_length=200)] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name("title", self.title)
        if self.name == "logout":
            raise ValueError("name: this is the name of a route of ours")
        if "openid" not in self.scopes:
            raise ValueError("scopes: must have openid")
        try:
            openid.checked_issuer(self.issuer)
        except ValueError as error:
            raise ValueError(f"issuer: {error}") from None
        for rule in self.rules:
            texts = (rule.claim, rule.pattern, rule.value)
            if not all(texts) or any(len(text) > 200 or "\x00" in text for text in texts):
                raise ValueError("rules: a claim, a pattern and a value have 1 to 200 characters")
            if rule.kind == "role" and rule.value not in ROLES:
                raise ValueError(f"rules: a provider may give the roles {', '.join(ROLES)}")
            if rule.kind == "department" and len(rule.value) > 100:
                raise ValueError("rules: a department has at most 100 characters")


class ProviderItem(msgspec.Struct, frozen=True):
    """An identity provider as operators see it: without its secret."""

    name: str
    title: str
    university: str
    issuer: str
    client_id: str
    redirect_uri: str
    scopes: list[str]
    verified_claim: str
    second_factors: list[str]
    rules: list[ClaimRule]
    linked: int
    disabled_at: datetime | None


class ProviderItems(msgspec.Struct, frozen=True):
    items: list[ProviderItem]


class ProviderTest(msgspec.Struct, frozen=True):
    """What a provider publishes, and what it would be asked."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    keys: int
    asks: str
    warnings: list[str]


class Unlinking(Work, frozen=True):
    """An account, by its address or name, whom a provider is to know by another subject."""

    login: Word


class Unlinked(msgspec.Struct, frozen=True):
    unlinked: int
