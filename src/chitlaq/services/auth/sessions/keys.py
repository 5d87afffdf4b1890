"""The keys that sign access tokens: published first, signing later, gone when their last token is.

The private halves are files among the installation's secrets. PostgreSQL says which of them sign, so that
all processes agree: each signs with the newest key that may sign and that it has. While a key is used, that
is noted every minute. Unused for longer than an access token lives, it goes, whatever replaced it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from chitlaq.core.data.postgres import Database, PostgresUnavailableError, Session
from chitlaq.core.http import problems
from chitlaq.core.installation.secrets import Secrets, lines_of
from chitlaq.core.telemetry import logs
from chitlaq.services.auth.sessions.schemas import KeyState, SigningKey
from chitlaq.services.auth.sessions.signing import Signer

READ_SECONDS = 1.0
# Services read the keys every second; others may keep them for `JWKS_SECONDS`.
JWKS_SECONDS = 60
LEAD_SECONDS = 2 * JWKS_SECONDS
HASTE_SECONDS = 2 * READ_SECONDS

log = logs.get("keys")


class Keys:
    """The keys that this process has, and the one that it signs with.

    Args:
        database: with all published keys.
        secrets: where the private halves are.
        issuer: the installation's URL.
        access_seconds: how long an access token lives.
    """

    def __init__(
        self, database: Database, secrets: Secrets, issuer: str, access_seconds: int
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._issuer = issuer
        self._access_seconds = float(access_seconds)
        self._held: dict[str, tuple[str, Signer]] = {}
        self._signer: Signer | None = None

    @property
    def signer(self) -> Signer:
        """What signs now.

        Raises:
            Problem: 503 before the keys could be read.
        """
        if self._signer is None:
            raise problems.unavailable("No key can sign access tokens at the moment; try again.")
        return self._signer

    async def follow_forever(self) -> None:
        """Sign with the key that the database says, while the process runs."""
        while True:
            try:
                await self.follow()
            except PostgresUnavailableError as error:
                log.warning("signing keys are not read", error=str(error))
            await asyncio.sleep(READ_SECONDS)

    async def rotate(self) -> SigningKey:
        """Publish a new key that signs in `LEAD_SECONDS`, when everybody who verifies has read it.

        Raises:
            Problem: 409 while another one waits.
        """
        async with self._database.transaction() as session:
            await session.execute("lock_keys")
            rows = await self._rows(session)
            if any(row["removed_at"] is None and not row["has_begun"] for row in rows):
                raise problems.conflict(
                    "A new key is published and waits to sign: see `chitlaq keys list`."
                )
            added = await self._add(session, rows, LEAD_SECONDS)
        log.info("signing key published", key=added.key_id, signs_in_seconds=LEAD_SECONDS)
        return next(item for item in await self.listed() if item.id == added.key_id)

    async def remove(self, key_id: str) -> None:
        """Let nobody trust a key any more. If it signs, another one is published and takes over first.

        Raises:
            Problem: 404 if there is no such key.
        """
        async with self._database.transaction() as session:
            await session.execute("lock_keys")
            rows = [row for row in await self._rows(session) if row["removed_at"] is None]
            if key_id not in {row["id"] for row in rows}:
                raise problems.not_found("key")
            current = self._begun(rows)
            signs = current is not None and current["id"] == key_id
            waiting = [row for row in rows if not row["has_begun"] and row["id"] in self._held]
            if signs and waiting:
                await session.execute("hasten_key", waiting[-1]["id"], HASTE_SECONDS)
            elif signs:
                await self._add(session, await self._rows(session), HASTE_SECONDS)
        if signs:
            await asyncio.sleep(HASTE_SECONDS)
        async with self._database.session() as session:
            await session.execute("remove_keys", [key_id])
        log.warning("signing key removed", key=key_id)
        await self.follow()

    async def listed(self) -> list[SigningKey]:
        """Return the keys that are trusted, newest first."""
        async with self._database.session() as session:
            rows = await self._rows(session)
        live = [row for row in reversed(rows) if row["removed_at"] is None]
        newest = next((row["id"] for row in live if row["has_begun"]), None)
        return [
            SigningKey(
                row["id"],
                _state(row, newest),
                row["created_at"],
                row["signs_from"],
                row["last_signed_at"],
            )
            for row in live
        ]

    async def follow(self) -> None:
        """Read which keys there are, and do what is due for them."""
        async with self._database.session() as session:
            rows = await self._rows(session)
        current = self._begun(rows)
        if current is None:
            rows = await self._begin()
            current = self._begun(rows)
            assert current is not None
        self._signer = self._held[current["id"]][1]
        over = [
            row["id"]
            for row in rows
            if row["is_over"] and row["removed_at"] is None and row["id"] != current["id"]
        ]
        if over or current["is_unnoted"]:
            async with self._database.session() as session:
                await session.execute("note_signing", current["id"])
                await session.execute("remove_keys", over)
            for key_id in over:
                log.info("signing key is over", key=key_id)
        for row in rows:
            if row["removed_at"] is not None and row["id"] in self._held:
                name, _ = self._held.pop(row["id"])
                self._secrets.forget_signing_key(name)

    async def _begin(self) -> Sequence[Any]:
        """Let a key that this process has sign: at the first start, and when no other of its keys may."""
        async with self._database.transaction() as session:
            await session.execute("lock_keys")
            rows = await self._rows(session)
            if self._begun(rows) is None:
                added = await self._add(session, rows, 0.0)
                log.info("signing key published", key=added.key_id)
                rows = await self._rows(session)
            return rows

    async def _add(self, session: Session, rows: Sequence[Any], seconds: float) -> Signer:
        """Publish a key that was not published before: one among the secrets, or a new one."""
        known = {row["id"] for row in rows}
        self._load()
        if not self._held.keys() - known:
            self._secrets.add_signing_key()
            self._load()
        added = self._held[min(self._held.keys() - known)][1]
        jwk = msgspec.json.encode(added.public_jwk).decode()
        await session.execute("publish_key", added.key_id, jwk, float(seconds))
        return added

    async def _rows(self, session: Session) -> Sequence[Any]:
        """Read all keys, oldest first, and the files of those that this process does not have yet."""
        rows = await session.rows("signing_keys", self._access_seconds)
        if any(row["removed_at"] is None and row["id"] not in self._held for row in rows):
            self._load()
        return rows

    def _load(self) -> None:
        names = {name for name, _ in self._held.values()}
        for name, pem in self._secrets.signing_keys.items():
            if name not in names:
                logs.hide_also(lines_of(pem))
                signer = Signer(pem, self._secrets.edge_key, self._issuer)
                self._held[signer.key_id] = (name, signer)

    def _begun(self, rows: Sequence[Any]) -> Any:
        """The newest key that may sign and that this process has, or None."""
        return next(
            (
                row
                for row in reversed(rows)
                if row["removed_at"] is None and row["has_begun"] and row["id"] in self._held
            ),
            None,
        )


def _state(row: Any, newest: str | None) -> KeyState:
    if not row["has_begun"]:
        return "waiting"
    return "signing" if row["id"] == newest else "retired"
