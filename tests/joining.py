"""New members, made by auth-service's own code in this process instead of over HTTP.

Registering, confirming and signing in cost two password hashes and five requests, and nearly every test
begins with some members: that was a tenth of the whole run. What is kept of a member is the same.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import httpx

from chitlaq.core import passwords
from chitlaq.core.data import postgres
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings_loading import load
from chitlaq.services.auth.accounts import accounts
from chitlaq.services.auth.accounts.accounts import NewAccount
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.sessions.schemas import SignedIn
from chitlaq.services.auth.sessions.signing import Signer
from chitlaq.services.auth.universities import universities

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    Connection = asyncpg.Connection[asyncpg.Record]

HERE = Origin("127.0.0.1", None, f"python-httpx/{httpx.__version__}")


async def signed_in(
    home: Path,
    environment: Mapping[str, str],
    dsn: str,
    email: str,
    username: str,
    display_name: str,
    password: str,
) -> SignedIn:
    """Let somebody be a member of an installation, and signed in as after a sign-in with their password."""
    settings = load(Home(home), environment)
    secrets = Secrets(Home(home).secrets)
    signer = Signer(next(iter(secrets.signing_keys.values())), secrets.edge_key, settings.base_url)
    # What a sign-in needs of the service's state.
    state: Any = SimpleNamespace(settings=settings, signing_keys=SimpleNamespace(signer=signer))
    async with _connected(dsn) as connection, connection.transaction():
        session = postgres.Session(cast("Any", connection), _queries())
        found = await universities.affiliation(session, email)
        new = NewAccount(
            id=await connection.fetchval("SELECT uuidv7()"),
            university_id=found.university_id,
            email=email,
            username=username,
            display_name=display_name,
            department=found.department,
            language="en",
            password_hash=_hash(password),
        )
        await accounts.create(session, new)
        await audit.write(session, new.id, "registered", HERE)
        return await sessions.begin(state, session, new.id, HERE)


_kept: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Lock, list[Connection]]] = {}
"""A connection for each stack, of the event loop that opened it: a new one has to read the whole catalog."""


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    here = asyncio.get_running_loop()
    if dsn not in _kept or _kept[dsn][0].is_closed():
        _kept[dsn] = here, asyncio.Lock(), []
    loop, lock, kept = _kept[dsn]
    if loop is not here:
        async with postgres.connection(dsn) as connection:
            yield connection
        return
    async with lock:
        if not kept or kept[0].is_closed():
            kept[:] = [await asyncpg.connect(dsn)]
        yield kept[0]


@cache
def _queries() -> Mapping[str, postgres.Query]:
    from chitlaq.services.auth.routes import SERVICE

    return postgres.load_queries(
        "chitlaq.core.data", SERVICE.name, *SERVICE.packages, *SERVICE.query_packages
    )


@cache
def _hash(password: str) -> str:
    """Its salt is that of all others, too: nobody guesses the tests' password."""
    return passwords.hashed_now(password)
