"""Signing keys: published before they sign, trusted until their last token is over, removed at once."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.http.identity import Verifier
from chitlaq.core.http.problems import Problem
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.services.auth.sessions.keys import Keys
from chitlaq.services.auth.sessions.signing import Signer
from tests.conftest import Member, Stack, eventually
from tests.core.data.test_migrations import NAMES, apply_first

Join = Callable[[], Awaitable[Member]]

ISSUER = "http://localhost"
ACCESS_SECONDS = 900


def key_of(token: str) -> str:
    head = token.partition(".")[0]
    key: str = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    return key


class Installation:
    """A database with signing keys, and machines that have secrets of their own or share them."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder

    def secrets(self, machine: str) -> Secrets:
        return secrets.ensure(Home(self._folder / machine))

    @asynccontextmanager
    async def process(self, machine: str = "one") -> AsyncIterator[Keys]:
        """One of auth-service's processes."""
        async with self.database("chitlaq_auth", "chitlaq.services.auth.sessions") as database:
            signing = Keys(database, self.secrets(machine), ISSUER, ACCESS_SECONDS)
            await signing.follow()
            following = asyncio.create_task(signing.follow_forever())
            try:
                yield signing
            finally:
                following.cancel()

    @asynccontextmanager
    async def verifier(self) -> AsyncIterator[Verifier]:
        async with self.database("chitlaq_feed") as database:
            verifier = Verifier(database, ISSUER)
            watching = asyncio.create_task(verifier.watch_forever())
            try:
                yield verifier
            finally:
                watching.cancel()

    @asynccontextmanager
    async def database(self, role: str, *packages: str) -> AsyncIterator[Database]:
        queries = postgres.load_queries("chitlaq.core.data", "test", *packages)
        database = Database(self._stack.dsn(role, "keys"), "test", queries)
        try:
            yield database
        finally:
            await database.close()

    async def sql(self, statement: str, *args: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self._stack.dsn("postgres", "keys"))
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *args)
        finally:
            await connection.close()
        return rows


@pytest.fixture(scope="module")
async def keys_database(stack: Stack) -> AsyncIterator[None]:
    await stack.sql("CREATE DATABASE keys OWNER chitlaq")
    await asyncio.to_thread(apply_first, stack.dsn("chitlaq", "keys"), len(NAMES))
    yield
    await stack.sql("DROP DATABASE keys WITH (FORCE)")


@pytest.fixture
async def installation(stack: Stack, keys_database: None, tmp_path: Path) -> Installation:
    made = Installation(stack, tmp_path)
    await made.sql("TRUNCATE auth.signing_keys")
    return made


def signed(keys: Keys) -> str:
    return keys.signer.sign(uuid4(), uuid4(), ACCESS_SECONDS)


async def is_refused(verifier: Verifier, token: str) -> bool:
    try:
        await verifier.verify(token)
    except Problem as problem:
        return problem.status == 401
    return False


async def test_new_key_is_published_first_and_the_old_one_goes_after_its_last_token(
    installation: Installation,
) -> None:
    async with installation.process() as keys, installation.verifier() as verifier:
        old = signed(keys)
        made = await keys.rotate()
        assert key_of(signed(keys)) == key_of(old)
        assert [one.state for one in await keys.listed()] == ["waiting", "signing"]
        await eventually(lambda: made.id in verifier._keys)
        with pytest.raises(Problem, match="waits to sign"):
            await keys.rotate()
        await installation.sql(
            "UPDATE auth.signing_keys SET signs_from = now() WHERE id = $1", made.id
        )
        await eventually(lambda: keys.signer.key_id == made.id)
        assert [one.state for one in await keys.listed()] == ["signing", "retired"]
        new = signed(keys)
        assert not await is_refused(verifier, new)
        assert not await is_refused(verifier, old)
        age = "UPDATE auth.signing_keys SET last_signed_at = now() - make_interval(secs => $2), signs_from ="
        age += " now() - interval '1 day' WHERE id = $1"
        await installation.sql(age, key_of(old), ACCESS_SECONDS + 60.0)
        await keys.follow()
        assert len(await keys.listed()) == 2
        await installation.sql(age, key_of(old), ACCESS_SECONDS + 121.0)
        await eventually(lambda: is_refused(verifier, old))
        assert not await is_refused(verifier, new)
        await eventually(lambda: len(installation.secrets("one").signing_keys) == 1)


async def test_key_that_is_removed_is_trusted_no_more_and_another_signs(
    installation: Installation,
) -> None:
    async with (
        installation.process() as one,
        installation.process() as other,
        installation.verifier() as verifier,
    ):
        stolen = signed(one)
        assert not await is_refused(verifier, stolen)
        assert key_of(signed(other)) == key_of(stolen)
        await one.remove(key_of(stolen))
        await eventually(lambda: is_refused(verifier, stolen), 5)
        await eventually(lambda: one.signer.key_id == other.signer.key_id != key_of(stolen))
        assert not await is_refused(verifier, signed(one))
        with pytest.raises(Problem, match="no such key"):
            await one.remove(key_of(stolen))


async def test_key_that_was_removed_does_not_come_back_with_its_file(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / "two").mkdir()
    async with installation.process() as keys:
        stolen = signed(keys)
        kept = installation.secrets("one").signing_keys
        await keys.remove(key_of(stolen))
    copy = tmp_path / "two" / "secrets"
    copy.mkdir()
    for name, pem in kept.items():
        (copy / name).write_text(pem)
    async with installation.process("two") as keys, installation.verifier() as verifier:
        assert keys.signer.key_id != key_of(stolen)
        assert await is_refused(verifier, stolen)


async def test_machines_without_each_other_s_secrets_all_sign(installation: Installation) -> None:
    async with (
        installation.process("one") as one,
        installation.process("two") as two,
        installation.verifier() as verifier,
    ):
        assert one.signer.key_id != two.signer.key_id
        made = await one.rotate()
        await installation.sql(
            "UPDATE auth.signing_keys SET signs_from = now() WHERE id = $1", made.id
        )
        await eventually(lambda: one.signer.key_id == made.id)
        for keys in (one, two):
            assert not await is_refused(verifier, signed(keys))


async def test_file_that_is_replaced_replaces_the_key(
    installation: Installation, tmp_path: Path
) -> None:
    async with installation.process() as keys:
        old = signed(keys)
    for name in installation.secrets("one").signing_keys:
        (tmp_path / "one" / "secrets" / name).unlink()
    async with installation.process() as keys, installation.verifier() as verifier:
        assert key_of(signed(keys)) != key_of(old)
        await installation.sql(
            "UPDATE auth.signing_keys SET last_signed_at = now() - interval '18 minutes',"
            " signs_from = now() - interval '1 day' WHERE id = $1",
            key_of(old),
        )
        await eventually(lambda: is_refused(verifier, old))


async def test_operator_rotates_keys_and_nobody_is_signed_out(stack: Stack, join: Join) -> None:
    member = await join()
    made: str = stack.json("keys", "rotate")["id"]
    listed = {one["id"]: one["state"] for one in stack.json("keys", "list")}
    assert listed[made] == "waiting"
    again = stack.command("keys", "rotate")
    assert again.returncode == 1
    assert "waits to sign" in again.stderr
    published = (await member.client.get("/api/auth/jwks.json")).json()["keys"]
    assert made in {key["kid"] for key in published}
    assert all(set(key) == {"kty", "crv", "x", "kid", "use", "alg"} for key in published)
    await stack.sql("UPDATE auth.signing_keys SET signs_from = now() WHERE id = $1", made)
    token = member.refresh_token

    async def signs() -> bool:
        nonlocal token
        answer = await member.client.post("/api/auth/refresh", json={"refresh_token": token})
        assert answer.status_code == 200, answer.text
        token = answer.json()["refresh_token"]
        return key_of(answer.json()["access_token"]) == made

    await eventually(signs)
    assert (await member.get("/api/users/me")).status_code == 200
    made = stack.json("keys", "rotate")["id"]
    asked = stack.command("keys", "remove", made)
    assert "Nothing was removed" in asked.stderr
    assert stack.command("keys", "remove", made, "--yes").returncode == 0
    unknown = stack.command("keys", "remove", made, "--yes")
    assert unknown.returncode == 1
    assert "No key" in unknown.stderr


def test_no_key_is_named_like_an_option(tmp_path: Path) -> None:
    """One of 64 would be: `chitlaq keys remove -gr2jr` would look for an option."""
    made = Secrets(tmp_path)
    for _ in range(300):
        made.add_signing_key()
    names = [Signer(pem, "", ISSUER).key_id for pem in made.signing_keys.values()]
    assert len(names) == 300
    assert not [one for one in names if one.startswith("-")]
