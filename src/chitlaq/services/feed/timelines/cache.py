"""Home timelines in Valkey: per member the entries of the home feed, newest first.

An entry is the id of a post (16 bytes), or the id of a repost and that of its post (32 bytes). A timeline
is a sorted set of entries, all with score 0: ids are UUIDv7, so byte order is time order. It is a cache:
built from PostgreSQL when a member without one reads the home feed, extended by deliveries while it exists,
and gone after a week without a read, when Valkey evicts it, or when Valkey is lost.

A build must not miss a post that is delivered meanwhile. It takes three steps: insert a marker of
this attempt, so that the timeline exists and deliveries reach it; read PostgreSQL; add the result
and mark the timeline complete, but only if the marker is still there. A post committed before the
read is in the result; a later one is delivered to the timeline. Readers use complete timelines only.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from asyncpg.pgproto import pgproto

from chitlaq.core.data import valkey
from chitlaq.core.data.postgres import Database
from chitlaq.core.data.valkey import Script, Valkey
from chitlaq.core.telemetry import logs
from chitlaq.core.telemetry.metrics import VALKEY_ERRORS
from chitlaq.services.feed import metrics

# 20 bytes each where Valkey packs sorted sets of that length, as the embedded one does.
MAX_LENGTH = 250
LIFETIME_SECONDS = 7 * 24 * 3600
ATTEMPT_SECONDS = 60
FORGET_SECONDS = 1.0
# A script on a thousand timelines keeps all pages waiting for 6 to 17 ms, one on a hundred for less than one.
# Pauses spread what a post to many costs: beside it, pages take as long as before (docs/benchmarks.md).
STEP = 100
PAUSE_SECONDS = 0.003

# Sorts above every id; a timeline read from its newest end begins with it.
COMPLETE = b"\xff"
# Markers of attempts sort below every id of this millennium.
ATTEMPT = b"\x00"

_ATTEMPT = Script("""
redis.call('ZADD', KEYS[1], 0, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2], 'NX')
""")

_ADD = Script("""
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    redis.call('ZADD', key, 0, ARGV[1])
    local excess = redis.call('ZCARD', key) - tonumber(ARGV[2])
    if excess > 0 then redis.call('ZREMRANGEBYRANK', key, 0, excess - 1) end
  end
end
""")

# What sorts below ARGV[2], of a timeline that is complete; nothing if there is none, or if it ends before the
# feed does: one that is shorter than the longest holds all that there is.
_BEFORE = Script("""
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end
local found = redis.call('ZRANGE', KEYS[1], '(' .. ARGV[2], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])
if #found < tonumber(ARGV[3]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return false end
return found
""")

_FORGET = Script("for _, key in ipairs(KEYS) do redis.call('DEL', key) end")

_COMPLETE = Script("""
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[1], 0, ARGV[3])
for i = 4, #ARGV do redis.call('ZADD', KEYS[1], 0, ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
""")

# A uuid.UUID implemented in C: each page converts ten or more from bytes.
_Id = pgproto.UUID
ID_BYTES = 16

log = logs.get("timelines")


class Entry(NamedTuple):
    """What stands in a home feed: a post, by its own id (the same object twice), or a repost of it."""

    id: UUID
    post_id: UUID

    @property
    def member(self) -> bytes:
        """The entry as a member of the sorted set."""
        own = self.id.bytes
        return own if self.id == self.post_id else own + self.post_id.bytes


class Timelines:
    def __init__(self, database: Database, client: Valkey) -> None:
        self._database = database
        self._client = client
        self._to_forget: set[UUID] = set()

    async def entries(self, member: UUID, skip: int, take: int) -> list[Entry]:
        """Return entries of a member's home timeline, newest first.

        Args:
            member: whose home feed it is.
            skip: how many of the newest to leave out.
            take: how many to return; fewer at the end of the timeline.
        """
        # The longest has one entry less: its mark of being complete counts, too.
        if skip + take >= MAX_LENGTH:
            return (await self._from_postgres(member, None, skip + take))[skip:]
        found = await self._cached(member, skip, take)
        _count_read(found)
        return found if found is not None else (await self._rebuilt(member))[skip : skip + take]

    async def entries_before(self, member: UUID, before: UUID, take: int) -> list[Entry]:
        """Return the newest entries older than ``before``; from PostgreSQL beyond the timeline's end."""
        found = await self._cached_before(member, before, take)
        _count_read(found)
        return found if found is not None else await self._from_postgres(member, before, take)

    async def add(self, members: Sequence[UUID], entry: Entry) -> None:
        """Add an entry to those of these members' timelines that exist, in steps that let others in between.

        Raises:
            ValkeyUnavailableError, ValkeyReplyError: not done; a retry is safe.
        """
        # By hash tag, so that the keys of a step are few commands of a cluster.
        keys = sorted(key_of(member) for member in members)
        for at in range(0, len(keys), STEP):
            if at:
                await asyncio.sleep(PAUSE_SECONDS)
            step = keys[at : at + STEP]
            await self._client.run_for_each(_ADD, step, entry.member, MAX_LENGTH)

    async def forget(self, *members: UUID) -> None:
        """Drop these members' timelines; the next read rebuilds them. Retried while Valkey is down."""
        self._to_forget.update(members)
        await self.forget_pending()

    async def forget_forever(self) -> None:
        """Drop the timelines that could not be dropped while Valkey was down."""
        while True:
            await self.forget_pending()
            await asyncio.sleep(FORGET_SECONDS)

    async def forget_pending(self) -> None:
        pending = list(self._to_forget)
        if not pending:
            return
        try:
            await self._client.run_for_each(_FORGET, [key_of(member) for member in pending])
        except valkey.UNAVAILABLE as error:
            self._note("forget timelines", error)
        else:
            self._to_forget.difference_update(pending)

    async def _cached(self, member: UUID, skip: int, take: int) -> list[Entry] | None:
        """Return entries from Valkey, or None if there is no complete timeline."""
        try:
            found: list[bytes] = await self._client.execute(
                "ZRANGE", key_of(member), "+", "-", "BYLEX", "REV", "LIMIT", 0, skip + take + 1
            )
        except valkey.UNAVAILABLE as error:
            self._note("read timeline", error)
            return None
        if not found or found[0] != COMPLETE:
            return None
        return _entries(found[1 + skip :])

    async def _cached_before(self, member: UUID, before: UUID, take: int) -> list[Entry] | None:
        """Return entries from Valkey, or None if there is no complete timeline that goes so far back."""
        try:
            found: list[bytes] | None = await self._client.run(
                _BEFORE, [key_of(member)], COMPLETE, before.bytes, take, MAX_LENGTH
            )
        except valkey.UNAVAILABLE as error:
            self._note("read timeline", error)
            return None
        return None if found is None else _entries(found)

    async def _rebuilt(self, member: UUID) -> list[Entry]:
        key, attempt = key_of(member), ATTEMPT + secrets.token_bytes(8)
        try:
            await self._client.run(_ATTEMPT, [key], attempt, ATTEMPT_SECONDS)
        except valkey.UNAVAILABLE as error:
            self._note("start timeline", error)
            return await self._from_postgres(member, None, MAX_LENGTH)
        entries = await self._from_postgres(member, None, MAX_LENGTH)
        try:
            await self._client.run(
                _COMPLETE,
                [key],
                attempt,
                LIFETIME_SECONDS,
                COMPLETE,
                *(entry.member for entry in entries),
            )
        except valkey.UNAVAILABLE as error:
            self._note("store timeline", error)
        return entries

    async def _from_postgres(self, member: UUID, before: UUID | None, take: int) -> list[Entry]:
        rows = await self._database.rows("home_timeline", member, before, take)
        return [Entry(own, own if own == post else post) for own, post in rows]

    def _note(self, purpose: str, error: Exception) -> None:
        VALKEY_ERRORS.labels("feed-service", purpose).inc()
        log.warning("valkey did not answer", purpose=purpose, error=str(error))


def _count_read(found: list[Entry] | None) -> None:
    metrics.TIMELINE_READS.labels("postgres" if found is None else "valkey").inc()


def _entries(members: Sequence[bytes]) -> list[Entry]:
    # A cursor that nobody was given may lie after all entries, where the mark is.
    return [_entry(one) for one in members if one[:1] != ATTEMPT and one != COMPLETE]


def _entry(member: bytes) -> Entry:
    own = _Id(member[:ID_BYTES])
    return Entry(own, own if len(member) == ID_BYTES else _Id(member[ID_BYTES:]))


def key_of(member: UUID) -> bytes:
    """Return the key of a member's timeline."""
    return b"timeline:%b:%b" % (valkey.hash_tag(member.bytes[-1]), member.bytes)
