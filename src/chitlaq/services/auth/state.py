"""State of auth-service's handlers."""

from __future__ import annotations

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.limits import Limiter
from chitlaq.core.http.service import ServiceState
from chitlaq.core.installation.settings import Settings
from chitlaq.core.sealing import Sealer
from chitlaq.services.auth.sessions.keys import Keys
from chitlaq.services.auth.sso.state import SingleSignOn


class AuthState(ServiceState):
    database: Database
    settings: Settings
    signing_keys: Keys
    sso: SingleSignOn
    totp_sealer: Sealer
    address_limit: Limiter
