"""What a process of auth-service keeps for single sign-on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from chitlaq.services.auth.sealing import Sealer
from chitlaq.services.auth.sso.openid import OpenIdProviders


@dataclass(frozen=True, slots=True)
class SingleSignOn:
    """What providers publish, and what encrypts: our secrets at them, what cookies hold, ID tokens."""

    openid: OpenIdProviders
    client_secrets: Sealer
    attempts: Sealer
    id_tokens: Sealer
    second_factors: Sealer

    @classmethod
    def begun(cls, sealing_key: str) -> Self:
        """Return one that knows nothing yet."""
        purposes = ("client secrets", "sign-in attempts", "ID tokens", "second factors")
        return cls(OpenIdProviders(), *(Sealer(sealing_key, purpose) for purpose in purposes))
