"""What it costs a request to verify its token and that nothing was revoked, beside the whole request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import process_time

import msgspec

from chitlaq.bench.installation import Installation
from chitlaq.bench.load import Outcome
from chitlaq.core.data import postgres
from chitlaq.core.http.identity import Verifier

ROLE = "chitlaq_feed"
SERVICE = "feed-service"
REVOKED = 10_000
CHECKS = 100_000
READS = 20


class TokenCost(msgspec.Struct, frozen=True):
    """CPU time of one process, while so many sessions have ended lately."""

    revoked: int
    check_microseconds: float
    """For a request whose token is known."""
    first_microseconds: float
    """For the first request with a token: its signature is verified."""
    read_milliseconds: float
    """Each second: what was revoked is read."""
    request_microseconds: float
    """Of the service, for a home feed."""

    @property
    def ratio(self) -> float:
        return self.check_microseconds / self.request_microseconds


async def cost(
    installation: Installation,
    tokens: Sequence[str],
    loaded: Callable[[], Awaitable[Outcome]],
) -> TokenCost:
    """Measure the checks in this process, and the whole request in the service's.

    Args:
        installation: a running one.
        tokens: access tokens of its members.
        loaded: asks for home feeds for some seconds.
    """
    queries = postgres.load_queries("chitlaq.core.data", SERVICE)
    owner = postgres.dsn(installation.settings, installation.home, postgres.OWNER)
    async with postgres.connection(owner) as connection:
        await connection.execute(
            "INSERT INTO auth.revoked (id) SELECT uuidv7() FROM generate_series(1, $1::integer)",
            REVOKED,
        )
    database = postgres.Database(
        postgres.dsn(installation.settings, installation.home, ROLE), SERVICE, queries
    )
    try:
        verifier = Verifier(database, installation.settings.base_url)
        await verifier.read()
        first = await _spent(verifier.verify, tokens)
        check = await _spent(verifier.verify, [*tokens] * (CHECKS // len(tokens)))
        started = process_time()
        for _ in range(READS):
            await verifier.read()
        read = (process_time() - started) / READS
    finally:
        await database.close()
    before = await installation.cpu_seconds(SERVICE)
    outcome = await loaded()
    spent = await installation.cpu_seconds(SERVICE) - before
    return TokenCost(
        REVOKED,
        round(check * 1e6, 2),
        round(first * 1e6, 1),
        round(read * 1e3, 2),
        round(spent / outcome.requests * 1e6, 1),
    )


async def _spent(verify: Callable[[str], Awaitable[object]], tokens: Sequence[str]) -> float:
    """CPU seconds for each token."""
    started = process_time()
    for token in tokens:
        await verify(token)
    return (process_time() - started) / len(tokens)
