"""Exports: everything that is kept of a member, in a ZIP that only they can fetch.

Each service writes its part (`core.data.member_data`); the last one lets the whole be packed. It is kept in
PostgreSQL, so that any machine can hand it out, and for a few days.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from http import HTTPStatus
from io import RawIOBase
from typing import TYPE_CHECKING
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec

from chitlaq.core.data import jobs, member_data, notify
from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.problems import Problem
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import mails
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.departures import pages
from chitlaq.services.auth.departures.schemas import Export
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.state import AuthState

if TYPE_CHECKING:
    from typing_extensions import Buffer

KEPT_DAYS = 7
CHUNK_BYTES = 1_000_000

log = logs.get("departures")


class PackExport(msgspec.Struct, frozen=True):
    export_id: UUID


PACK_EXPORT = JobKind(
    "pack_export", PackExport, timeout_seconds=member_data.EXPORT_SECONDS, limit=1
)


async def request(state: AuthState, who: Identity, origin: Origin) -> None:
    """Let every service write its part of an export.

    Raises:
        Problem: 401 if the session that asks has ended; 429 for more than one a day.
    """
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        seconds = await session.value("seconds_to_next_export", who.account_id)
        if seconds is not None:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "You asked for an export within the last day: see GET /api/auth/export.",
                retry_after_seconds=max(1, int(seconds)),
            )
        roles = member_data.contributors()
        export_id = await session.value("insert_export", who.account_id, roles)
        part = member_data.PartOfExport(export_id, who.account_id)
        for role in roles:
            await jobs.enqueue(session, member_data.export_kind(role), part)
        await audit.write(session, who.account_id, "export_requested", origin)


async def listed(database: Database, who: Identity) -> list[Export]:
    """Return a member's exports that are kept or being made, newest first."""
    rows = await database.rows("exports_of_account", who.account_id)
    return [Export(**row) for row in rows]


async def content(
    state: AuthState, who: Identity, export_id: UUID, origin: Origin
) -> AsyncIterator[bytes]:
    """Return the ZIP's bytes, in pieces.

    Raises:
        Problem: 404 if the member has no such export, or it is not ready, or over.
    """
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        if not await session.value("is_export_ready", export_id, who.account_id):
            raise problems.not_found("export")
        await audit.write(session, who.account_id, "export_fetched", origin)
    return _pieces(state.database, export_id)


async def _pieces(database: Database, export_id: UUID) -> AsyncIterator[bytes]:
    number = 0
    while (piece := await database.value("export_chunk", export_id, number)) is not None:
        yield piece
        number += 1


def handler(settings: Settings, database: Database) -> Handler[PackExport]:
    """Return the handler that packs exports whose parts are complete."""
    return Handler(PACK_EXPORT, partial(_pack, settings, database))


async def _pack(settings: Settings, database: Database, job: Job, payload: PackExport) -> None:
    export_id = payload.export_id
    files = [pages.Listed(*row) for row in await database.rows("export_files", export_id)]
    async with job.completing() as session:
        owner = await session.row("lock_export", export_id)
        if owner is None:
            return
        size = await _write_zip(database, session, export_id, owner["username"], files)
        await session.execute("complete_export", export_id, size, KEPT_DAYS)
        await audit.write(session, owner["account_id"], "export_made")
        to = Recipient(owner["email"], owner["display_name"], owner["language"])
        path = f"/settings/export?id={export_id}"
        await notify.tell_account(session, owner["account_id"], "export_ready")
        await mails.tell(session, settings, to, "export_ready", path, days=KEPT_DAYS)
    log.info("export made", account_id=owner["account_id"], bytes=size)


async def _write_zip(
    database: Database,
    session: Session,
    export_id: UUID,
    username: str,
    files: Sequence[pages.Listed],
) -> int:
    """Store a ZIP in pieces; return its size. No more than one file is in memory."""
    target = _Pieces()
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:

        async def add(name: str, data: bytes) -> None:
            await asyncio.to_thread(archive.writestr, name, data)
            await target.store(session, export_id, CHUNK_BYTES)

        await add("index.html", pages.index(username, files))
        for one in files:
            data = await database.value("export_file", export_id, one.name)
            if one.suffix:
                await add(f"{one.name}.{one.suffix}", data)
                continue
            await add(f"{one.name}.json", data)
            await add(f"{one.name}.html", await asyncio.to_thread(pages.table, one, data))
    await target.store(session, export_id, 0)
    return target.size


class _Pieces(RawIOBase):
    """What a ZIP is written to, from its beginning to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._number = 0
        self._waiting = bytearray()

    def write(self, data: Buffer, /) -> int:
        self._waiting += data
        length = memoryview(data).nbytes
        self.size += length
        return length

    async def store(self, session: Session, export_id: UUID, least: int) -> None:
        """Store what waits if it is more than this."""
        while len(self._waiting) > least:
            piece = bytes(self._waiting[:CHUNK_BYTES])
            del self._waiting[:CHUNK_BYTES]
            await session.execute("add_export_chunk", export_id, self._number, piece)
            self._number += 1
