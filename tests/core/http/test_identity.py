"""Tokens are verified against keys that are read from PostgreSQL, as rarely as that can be."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.http.identity import ALGORITHM, Verifier
from chitlaq.core.http.problems import Problem
from chitlaq.core.installation.secrets import Secrets
from chitlaq.services.auth.sessions.signing import Signer
from tests.conftest import Stack, eventually


class CountingDatabase(Database):
    reads = 0

    async def rows(self, name: str, *args: object) -> list[asyncpg.Record]:
        self.reads += 1
        return await super().rows(name, *args)


def forged() -> str:
    """A token with a key of its own, as each of another installation is."""
    pem = OKPKey.generate_key("Ed25519").as_pem(private=True).decode()
    return Signer(pem, "another seal", "http://localhost").sign(uuid4(), uuid4(), 900)


async def outcomes(verifier: Verifier, tokens: list[str]) -> list[type]:
    answers = [verifier.verify(token) for token in tokens]
    return [type(one) for one in await asyncio.gather(*answers, return_exceptions=True)]


@pytest.mark.parametrize("is_up", [True, False])
async def test_forged_tokens_at_once_cost_one_query(stack: Stack, is_up: bool) -> None:
    account = uuid4()
    genuine = stack.signer.sign(account, uuid4(), 900)
    dsn = stack.dsn("chitlaq_feed") if is_up else "postgresql://nobody@127.0.0.1:1/nothing"
    database = CountingDatabase(dsn, "test", postgres.load_queries("chitlaq.core.data", "test"))
    try:
        verifier = Verifier(database, stack.issuer)
        tokens = [forged() for _ in range(100)]
        found = await outcomes(verifier, tokens)
        assert set(found) == {Problem if is_up else PostgresUnavailableError}
        assert database.reads == 1
        if is_up:
            assert (await verifier.verify(genuine)).account_id == account
            assert await outcomes(verifier, tokens) == found
            assert database.reads == 2, "all that come later wait for one more"
    finally:
        await database.close()


async def test_key_that_is_published_just_after_a_look_is_known(stack: Stack) -> None:
    """As at the first start, when services look before auth-service has published."""
    database = Database(
        stack.dsn("chitlaq_feed"), "test", postgres.load_queries("chitlaq.core.data", "test")
    )
    pem = OKPKey.generate_key("Ed25519").as_pem(private=True).decode()
    signer = Signer(pem, "a seal", stack.issuer)
    verifier, account = Verifier(database, stack.issuer), uuid4()
    try:
        with pytest.raises(Problem):
            await verifier.verify(forged())
        await stack.sql(
            "INSERT INTO auth.signing_keys (id, public_jwk) VALUES ($1, $2)",
            signer.key_id,
            json.dumps(signer.public_jwk),
        )
        token = signer.sign(account, uuid4(), 900)
        assert (await verifier.verify(token)).account_id == account
    finally:
        await stack.sql("DELETE FROM auth.signing_keys WHERE id = $1", signer.key_id)
        await database.close()


async def test_who_gives_up_does_not_end_the_reading_for_others(stack: Stack) -> None:
    database = CountingDatabase(
        stack.dsn("chitlaq_feed"), "test", postgres.load_queries("chitlaq.core.data", "test")
    )
    try:
        verifier = Verifier(database, stack.issuer)
        first = asyncio.create_task(verifier.verify(forged()))
        second = asyncio.create_task(verifier.verify(forged()))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(Problem):
            await second
        assert first.cancelled()
        assert database.reads == 1
    finally:
        await database.close()


@pytest.fixture
async def verifier(stack: Stack) -> AsyncIterator[Verifier]:
    """One that reads what is revoked, as each service's does."""
    database = Database(
        stack.dsn("chitlaq_feed"), "test", postgres.load_queries("chitlaq.core.data", "test")
    )
    verifier = Verifier(database, stack.issuer)
    watching = asyncio.create_task(verifier.watch_forever())
    yield verifier
    watching.cancel()
    await database.close()


async def test_what_a_long_transaction_revokes_is_seen(stack: Stack, verifier: Verifier) -> None:
    """However long before its commit it says that it happened, and whatever commits meanwhile."""
    account = uuid4()
    token = stack.signer.sign(account, uuid4(), 900)
    late = await asyncpg.connect(stack.dsn("chitlaq_auth"))
    try:
        async with late.transaction():
            await late.execute("SELECT auth.revoke($1)", account)
            other = await verifier.verify(stack.signer.sign(uuid4(), uuid4(), 900))
            await stack.sql("SELECT auth.revoke($1)", other.session_id)
            await eventually(lambda: verifier.is_revoked(other))
            assert (await verifier.verify(token)).account_id == account
        await eventually(lambda: refused(verifier, token))
    finally:
        await late.close()


async def test_tokens_from_after_their_account_was_revoked_are_good(
    stack: Stack, verifier: Verifier
) -> None:
    account = uuid4()
    signer = stack.signer
    old = signer.sign(account, uuid4(), 900)
    await stack.sql("SELECT auth.revoke($1)", account)
    await eventually(lambda: refused(verifier, old))
    assert (await verifier.verify(signer.sign(account, uuid4(), 900))).account_id == account


async def refused(verifier: Verifier, token: str) -> bool:
    try:
        await verifier.verify(token)
    except Problem as problem:
        return problem.status == 401
    return False


def genuine_and_refused(stack: Stack) -> tuple[str, dict[str, str]]:
    """A token as auth-service makes it, and those that differ from it in one thing, by what it is."""
    secrets = Secrets(stack.home / "secrets")
    pem = next(iter(secrets.signing_keys.values()))
    key, public = OKPKey.import_key(pem), stack.signer.public_jwk
    now = int(time.time())
    claims = {
        "iss": stack.issuer, "aud": f"{stack.issuer}/api", "sub": str(uuid4()), "sid": str(uuid4()),
        "iat": now, "exp": now + 900,
    }  # fmt: skip
    head = {"alg": ALGORITHM, "kid": public["kid"]}

    def made(changed: dict[str, object], header: Any = head, by: Any = key) -> str:
        said = {name: value for name, value in (claims | changed).items() if value is not None}
        return jwt.encode(header, said, by, algorithms=[str(header["alg"])])

    other = "https://social.example.org"
    of_the_same_key = Signer(pem, secrets.edge_key, other).sign(uuid4(), uuid4(), 900)
    unsigned = made({}).rpartition(".")[0]
    none = urlsafe_b64encode(json.dumps(head | {"alg": "none"}).encode()).decode().rstrip("=")
    return made({}), {
        "another installation, which has our key": of_the_same_key,
        "another issuer": made({"iss": other}),
        "another audience": made({"aud": other}),
        "several audiences": made({"aud": [f"{stack.issuer}/api", other]}),
        "no audience": made({"aud": None}),
        "no issuer": made({"iss": None}),
        "no expiry": made({"exp": None}),
        "no moment": made({"iat": None}),
        "no session": made({"sid": None}),
        "expired": made({"exp": now - 1}),
        "another key of the same name": made({}, by=OKPKey.generate_key("Ed25519")),
        "an unknown key": made({}, head | {"kid": "unknown"}),
        "the public key as a secret": made(
            {}, head | {"alg": "HS256"}, OctKey.import_key(str(public["x"]))
        ),
        "no signature": f"{unsigned}.",
        "no algorithm": f"{none}.{unsigned.partition('.')[2]}.",
    }


async def test_tokens_that_this_installation_has_not_made_are_refused(
    stack: Stack, verifier: Verifier
) -> None:
    genuine, others = genuine_and_refused(stack)
    await verifier.verify(genuine)
    for what, token in others.items():
        assert await refused(verifier, token), what
