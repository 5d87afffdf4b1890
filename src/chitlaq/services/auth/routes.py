"""auth-service: its slices, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.data import mail, member_data
from chitlaq.core.data.jobs import Handler, Runner
from chitlaq.core.http.service import Context, Service
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.sealing import Sealer
from chitlaq.services.auth.accounts import registrations
from chitlaq.services.auth.attempts import attempts
from chitlaq.services.auth.departures import departures, exports
from chitlaq.services.auth.departures.contribution import CONTRIBUTION
from chitlaq.services.auth.digests import digests
from chitlaq.services.auth.passwords import resets
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.sessions.keys import Keys
from chitlaq.services.auth.sso.state import SingleSignOn
from chitlaq.services.auth.state import AuthState


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[AuthState]:
    settings, database = context.settings, context.database
    secrets = Secrets(context.home.secrets)
    keys = Keys(database, secrets, settings.base_url, settings.tokens.access_seconds)
    context.verifier.accepts_restricted = True
    handlers: list[Handler[Any]] = [
        Handler(registrations.RESEND_VERIFICATION, partial(registrations.resend, settings)),
        resets.handler(settings),
        exports.handler(settings, database),
        departures.handler(),
        digests.handler(settings),
        *member_data.handlers(database, CONTRIBUTION),
    ]
    if settings.smtp.host:
        handlers.append(mail.sender(database, settings.smtp))
    async with (
        tasks.running(
            keys.follow_forever,
            partial(registrations.forget_forever, database),
            partial(sessions.forget_forever, database),
            partial(departures.work_forever, database),
            partial(attempts.forget_forever, database),
        ),
        Runner(database, *handlers).running(),
    ):
        yield AuthState(
            database=database,
            settings=settings,
            signing_keys=keys,
            sso=SingleSignOn.begun(secrets.sealing_key),
            totp_sealer=Sealer(secrets.sealing_key, "totp"),
            address_limit=context.address_limit,
        )


SERVICE = Service(
    inventory.COMPONENTS["auth-service"],
    writes=True,
    slices=(
        "accounts",
        "audit",
        "departures",
        "factors",
        "pages",
        "passwords",
        "roles",
        "sessions",
        "sso",
        "synthetic",
        "universities",
    ),
    query_packages=("chitlaq.services.auth.attempts", "chitlaq.services.auth.digests"),
    run=run,
)
