"""What a process of auth-service keeps for single sign-on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from chitlaq.core.sealing import Sealer
from chitlaq.services.auth.sso.openid import OpenIdProviders


@dataclass(frozen=True, slots=True)
class SingleSignOn:
    """What providers publish, and what encrypts: our secrets at them, what cookies hold, ID tokens."""

    openid: OpenIdProviders
    client_secrets: Sealer
    at_provider: Sealer
    at_second_factor: Sealer
    id_tokens: Sealer

    @classmethod
    def begun(cls, sealing_key: str) -> Self:
        """Return one that knows nothing yet."""
        purposes = ("client secrets", "sign-in attempts", "second factors", "ID tokens")
        return cls(OpenIdProviders(), *(Sealer(sealing_key, purpose) for purpose in purposes))
