"""Sessions of the console: a random token in the browser's cookie, its hash in the operations database.

A session works while that database cannot be read or written: its process knows it, too.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chitlaq.ops.database.database import OpsDatabase, OpsDatabaseUnavailableError, statement

IDLE = timedelta(hours=2)
FRESH = timedelta(minutes=5)
LASTS = timedelta(hours=12)
SEEN_EVERY = timedelta(minutes=1)
TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in, since when, and how."""

    token: str
    operator: str
    is_by_link: bool
    started_at: datetime
    seen_at: datetime

    @property
    def form_token(self) -> str:
        """What each form of this session's pages sends: another page does not know it."""
        return hmac.digest(self.token.encode(), b"form", "sha256").hex()

    @property
    def key(self) -> str:
        """What stands for the session where the token must not be."""
        return hashlib.sha256(self.token.encode()).hexdigest()

    def is_fresh(self, now: datetime) -> bool:
        """Whether the operator has just signed in; signing in again begins another session."""
        return now - self.started_at <= FRESH

    def is_over(self, now: datetime) -> bool:
        return now - self.started_at > LASTS or now - self.seen_at > IDLE


class Sessions:
    """The sessions of this installation."""

    def __init__(self, database: OpsDatabase) -> None:
        self._database = database
        self._known: dict[str, Session] = {}
        self._unstored: set[str] = set()
        # What ended here; the database may hear of it later. Of an operator all that began until then.
        self._ended: set[str] = set()
        self._all_ended: dict[str, datetime] = {}
        self._last_steps: dict[str, tuple[int, datetime]] = {}

    async def begin(
        self, operator: str, *, is_by_link: bool, address: str, totp_step: int | None = None
    ) -> Session:
        """Begin a session, also while the database cannot be written."""
        now = datetime.now(UTC)
        self._known = {key: one for key, one in self._known.items() if not one.is_over(now)}
        self._unstored &= self._known.keys()
        made = Session(secrets.token_urlsafe(TOKEN_BYTES), operator, is_by_link, now, now)
        reason = await self._database.keep(
            statement(
                "store_console_session",
                made.key,
                operator,
                int(is_by_link),
                address,
                now,
                totp_step,
            )
        )
        self._known[made.key] = made
        if reason:
            self._unstored.add(made.key)
        return made

    def claim_step(self, operator: str, step: int, since: datetime) -> bool:
        """Use up the one-time code of a time step; False if another request has done so meanwhile."""
        last, at = self._last_steps.get(operator, (0, since))
        if at >= since and step <= last:
            return False
        self._last_steps[operator] = (step, datetime.now(UTC))
        return True

    async def last_step(self, operator: str, since: datetime) -> int | None:
        """Return the time step of an operator's last one-time code since a moment, as far as it is known."""
        step, at = self._last_steps.get(operator, (0, since))
        known = [step] if step and at >= since else []
        with suppress(OpsDatabaseUnavailableError):
            rows = await self._database.rows("last_totp_step", operator, since)
            known += [row["step"] for row in rows if row["step"] is not None]
        return max(known, default=None)

    async def find(self, token: str) -> Session | None:
        """Return the session of a token, unless it has ended or was idle for too long."""
        now = datetime.now(UTC)
        key = hashlib.sha256(token.encode()).hexdigest()
        found = await self._read(token, key)
        if found is None or found.is_over(now) or self._has_ended(found):
            self._known.pop(key, None)
            return None
        if now - found.seen_at > SEEN_EVERY:
            found = replace(found, seen_at=now)
            await self._see(key, now)
        self._known[key] = found
        return found

    async def _read(self, token: str, key: str) -> Session | None:
        known = self._known.get(key)
        try:
            rows = await self._database.rows("console_session", key)
        except OpsDatabaseUnavailableError:
            return known
        if not rows:
            # Another process may have ended it, unless it still waits for room on the disk.
            waits = key in self._unstored and await self._database.has_overflow()
            return known if waits else None
        (row,) = rows
        seen = datetime.fromisoformat(row["seen_at"])
        return Session(
            token,
            row["operator"],
            bool(row["is_by_link"]),
            datetime.fromisoformat(row["started_at"]),
            max(seen, known.seen_at) if known else seen,
        )

    async def _see(self, key: str, now: datetime) -> None:
        try:
            await self._database.write(statement("see_console_session", key, now))
        except OpsDatabaseUnavailableError:
            return  # This process remembers it.

    async def end(self, session: Session) -> None:
        self._ended.add(session.key)
        await self._database.keep(statement("end_console_session", session.key, datetime.now(UTC)))

    async def end_all(self, operator: str) -> None:
        """End all sessions of an operator: on all machines that they signed in from."""
        now = datetime.now(UTC)
        self._all_ended[operator] = now
        await self._database.keep(statement("end_console_sessions", operator, now))

    def _has_ended(self, session: Session) -> bool:
        until = self._all_ended.get(session.operator)
        return session.key in self._ended or (until is not None and session.started_at <= until)
