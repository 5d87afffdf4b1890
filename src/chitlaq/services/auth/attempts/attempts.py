"""Attempts to sign in: which are judged, which must wait, and what is said of each.

They are counted in PostgreSQL, so that limits hold while Valkey is down. A wrong password delays the next
attempt from the same place: a device that was signed in before, an address from which people have signed in,
or all others together. So strangers delay each other and nobody who was there before, and an owner whose
device is new gets in by a link to choose another password (OWASP: device cookies). Names are counted as they
were typed, so that a pause tells nothing of who has an account.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

from chitlaq.core import passwords
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import edge, problems
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs, metrics
from chitlaq.services.auth.metrics import AUTH_ATTEMPTS
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.state import AuthState

FORGET_SECONDS = 600.0

_WHY = {
    "address": "Too many wrong names and passwords from here",
    "network": "Too many wrong names and passwords from here",
    "login": "Too many wrong passwords: a device that was signed in before gets in, and so does a new"
    " password",
}

Result = Literal["success", "failure", "limited", "incomplete"]
"""``incomplete``: the password was right, and a second factor is needed."""

log = logs.get("attempts")

for _limit in _WHY:
    metrics.initialize(metrics.RATE_LIMITED, ("auth-service", _limit))


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that is judged.

    Args:
        name_hash: of what was typed as a name.
        place: where it comes from: failures from there count together.
        address: whose failures are limited; None for a known device, or an exempt address.
        network: the same, with the addresses around it.
    """

    name_hash: bytes
    place: str
    address: str | None
    network: str | None


async def by_password(
    state: AuthState, name: str, account: Any, password: str, origin: Origin
) -> Attempt | None:
    """Compare what was typed with the password of a name; return None if it is wrong.

    Without an account it is wrong after the same work. A right one stays counted as a failure until the
    caller forgives or uncounts it.

    Args:
        state: the service's.
        name: as it is stored, whether anybody has it or not.
        account: whose name it is: a row with its id, username and password's hash.
        password: what was typed.
        origin: from where.

    Raises:
        Problem: 429, with the seconds to wait; 503 if too many wait.
    """
    username = account["username"] if account else None
    try:
        attempt = await _begin(state, name, account["id"] if account else None, origin)
        is_right = await _is_right(state, account, password, attempt, origin)
    except Problem as problem:
        if problem.status is HTTPStatus.TOO_MANY_REQUESTS:
            note("limited", origin, username)
        raise
    if is_right:
        return attempt
    await failed(state, attempt)
    note("failure", origin, username)
    return None


@asynccontextmanager
async def by_address(state: AuthState, origin: Origin) -> AsyncIterator[None]:
    """Judge in a block what nobody can guess, as a passkey's answer: only its address is limited.

    Whose account it is about is not known yet, so a device of anybody's is let through.

    Raises:
        Problem: 429, with the seconds to wait; or the block's, which is counted and noted unless it is a
            fault of another server.
    """
    is_known = origin.device and await state.database.value("is_known_device", origin.device)
    attempt = Attempt(b"", "", None if is_known else origin.limited, None)
    try:
        await _require(state, attempt)
        yield
    except Problem as problem:
        if problem.status is HTTPStatus.TOO_MANY_REQUESTS:
            note("limited", origin, None)
        elif problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            await failed(state, attempt)
            note("failure", origin, None)
        raise


async def _begin(state: AuthState, name: str, account_id: UUID | None, origin: Origin) -> Attempt:
    """Count an attempt before it is judged.

    Raises:
        Problem: 429, with the seconds to wait.
    """
    name_hash = hashlib.sha256(name.encode()).digest()
    network = edge.wide_network_of(origin.limited) if origin.limited else None
    async with state.database.session() as session:
        row = await session.row(
            "begin_attempt",
            name_hash,
            account_id,
            origin.device,
            origin.limited,
            *_bounds(state, network),
        )
    assert row is not None
    _refuse_reached(row)
    if row["is_device"]:
        return Attempt(name_hash, row["place"], None, None)
    return Attempt(name_hash, row["place"], origin.limited, network)


async def _is_right(
    state: AuthState, account: Any, password: str, attempt: Attempt, origin: Origin
) -> bool:
    """Compare the password, after as long as it takes for a name that nobody has."""
    try:
        return await passwords.matches(
            password,
            account["password_hash"] if account else None,
            # Again when it is this attempt's turn: those before it in the queue may all have failed.
            permit=partial(_require, state, attempt),
            client=origin.client,
        )
    except Problem:
        await uncount(state, attempt)
        raise


async def _require(state: AuthState, attempt: Attempt) -> None:
    """Refuse an attempt from where too many have failed.

    Raises:
        Problem: 429, with the seconds to wait.
    """
    if attempt.address is None:
        return
    row = await state.database.row(
        "limits_reached", attempt.address, *_bounds(state, attempt.network)
    )
    if row is not None:
        _refuse_reached(row)


def _bounds(state: AuthState, network: str | None) -> tuple[float, str | None, int]:
    """What may fail a minute from an address, the network around it, and what may fail in that."""
    limits = state.settings.limits
    return (
        float(limits.address_attempts_per_minute),
        network,
        limits.network_failed_names_per_hour,
    )


def _refuse_reached(row: Any) -> None:
    """Refuse an attempt because of the limit that it has reached, if any.

    Raises:
        Problem: 429, with the seconds to wait.
    """
    limit = row["reached"]
    if limit is None:
        return
    metrics.RATE_LIMITED.labels("auth-service", limit).inc()
    raise problems.too_many_requests(max(1, math.ceil(row["seconds"] or 1)), limit, _WHY[limit])


async def uncount(state: AuthState, attempt: Attempt) -> None:
    """An attempt was not judged, or its password was right: it was no failure."""
    async with state.database.session() as session:
        await session.execute("uncount_attempt", attempt.name_hash, attempt.place)


async def failed(state: AuthState, attempt: Attempt) -> None:
    """Count a failure where it came from."""
    async with state.database.session() as session:
        await session.execute(
            "count_failure",
            attempt.address,
            float(state.settings.limits.address_attempts_per_minute),
            attempt.network,
            attempt.name_hash,
        )


async def forgive(session: Session, attempt: Attempt) -> None:
    """Forget the failures before an attempt that was right, in the caller's transaction."""
    await session.execute("forgive_attempt", attempt.name_hash, attempt.place, attempt.network)


async def forgive_names(session: Session, names: Iterable[str]) -> None:
    """Forget all failures of an account's names: its owner has proved who they are by mail."""
    hashes = [hashlib.sha256(name.encode()).digest() for name in names]
    await session.execute("forgive_names", hashes)


def note(result: Result, origin: Origin, account: str | None) -> None:
    """Count an attempt to prove who one is, and log it as one line, which ``deploy/fail2ban`` reads.

    The line names no more than the name of an account that there is: people type passwords as names, too.
    """
    AUTH_ATTEMPTS.labels(result).inc()
    log.info("login attempt", result=result, address=origin.address, account=account)


async def forget_forever(database: Database) -> None:
    """Delete what no limit looks at any more, again and again."""
    while True:
        async with database.session() as session:
            await session.execute("forget_attempts")
        await asyncio.sleep(FORGET_SECONDS)
