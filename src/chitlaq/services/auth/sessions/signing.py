"""Access tokens: signed with a private key, and sealed for nginx."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import OKPKey

from chitlaq.core.http import edge
from chitlaq.core.http.identity import ALGORITHM, audience


class Signer:
    """Signs access tokens with a private key, and seals them for nginx.

    Args:
        private_key_pem: an Ed25519 key.
        edge_key: what nginx knows tokens by.
        issuer: the installation's URL, which its tokens are from and for.
    """

    def __init__(self, private_key_pem: str, edge_key: str, issuer: str) -> None:
        self._edge_key = edge_key
        self._issuer = issuer
        self._key = OKPKey.import_key(private_key_pem)
        self.key_id: str = self._key.thumbprint()
        self.public_jwk = {
            **self._key.as_dict(private=False),
            "kid": self.key_id,
            "use": "sig",
            "alg": ALGORITHM,
        }

    def sign(
        self,
        account: UUID,
        session: UUID,
        lifetime_seconds: int,
        issued_at: float | None = None,
        roles: Sequence[str] = (),
    ) -> str:
        """Return an access token that is valid from ``issued_at`` (Unix seconds; now by default)."""
        issued_at = time.time() if issued_at is None else issued_at
        expires_at = int(issued_at) + lifetime_seconds
        claims = {
            "iss": self._issuer,
            "aud": audience(self._issuer),
            "sub": str(account),
            "sid": str(session),
            # Not in whole seconds: a token that is issued just after others were revoked is not one of them.
            "iat": round(issued_at, 6),
            "exp": expires_at,
            "roles": roles,
        }
        header = {"alg": ALGORITHM, "kid": self.key_id}
        signed = jwt.encode(header, claims, self._key, algorithms=[ALGORITHM])
        return edge.sealed(signed, account, expires_at, self._edge_key)
