"""What is kept of a member: each service exports and erases its part, under its own role.

auth-service asks for the parts by one job for each service (`auth.departures`). A service sees neither the
tables of others nor what they export; what it adds is stored by functions that auth publishes. A part is
stored in the transaction that ends its job, so it is there as a whole or not at all, however often its
process is killed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from chitlaq import inventory
from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database
from chitlaq.core.telemetry import logs

EXPORT_SECONDS = 1800.0


class PartOfExport(msgspec.Struct, frozen=True):
    export_id: UUID
    account_id: UUID


class PartOfErasure(msgspec.Struct, frozen=True):
    account_id: UUID


@dataclass(frozen=True, slots=True)
class File:
    """One file of an export.

    Args:
        name: lower-case letters, digits and hyphens, with ``/`` for folders; without a suffix.
        title: what it holds, for the member.
        rows: objects that become JSON.
        content: the file itself, which stays as it is, instead of rows.
        suffix: of its name: ``webp``.
    """

    name: str
    title: str
    rows: Sequence[Any] = ()
    content: bytes = b""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that one query gives: ``query`` takes the account, and its name begins with ``export_``."""

    name: str
    title: str
    query: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """A service's part in what is kept of a member.

    Args:
        role: the service's in PostgreSQL.
        exported: files that one query each gives.
        more_files: further ones.
        erase: deletes what foreign keys leave when the account goes. Repeating it must be safe.
        not_exported: tables that refer to an account and are in no file, and why.
    """

    role: str
    exported: Sequence[Exported]
    more_files: Callable[[Database, UUID], AsyncIterator[File]] | None = None
    erase: Callable[[UUID], Awaitable[None]] | None = None
    not_exported: Mapping[str, str] = field(default_factory=dict)


def contributors() -> list[str]:
    """Return the roles of the services that keep data of members."""
    return [row.role for row in inventory.SERVICES if row.keeps_member_data]


def export_kind(role: str) -> JobKind[PartOfExport]:
    """Return the kind of the jobs by which a role's service exports its part."""
    return JobKind(f"export_from_{role}", PartOfExport, timeout_seconds=EXPORT_SECONDS, limit=1)


def erasure_kind(role: str) -> JobKind[PartOfErasure]:
    """Return the kind of the jobs by which a role's service erases its part."""
    return JobKind(f"erase_from_{role}", PartOfErasure, timeout_seconds=EXPORT_SECONDS, limit=1)


def handlers(database: Database, contribution: Contribution) -> list[Handler[Any]]:
    """Return what does a service's parts."""

    async def export(job: Job, payload: PartOfExport) -> None:
        async with job.completing() as session:
            async for file in _files(database, contribution, payload.account_id):
                content = file.content
                if not file.suffix:
                    encoded = msgspec.json.encode(file.rows, enc_hook=str)
                    content = msgspec.json.format(encoded, indent=1)
                await session.execute(
                    "add_export_file",
                    payload.export_id,
                    file.name,
                    file.title,
                    1 if file.suffix else len(file.rows),
                    content,
                    file.suffix,
                )
            await session.execute("complete_export_part", payload.export_id, logs.request_id())

    async def erase(job: Job, payload: PartOfErasure) -> None:
        if contribution.erase is not None:
            await contribution.erase(payload.account_id)
        async with job.completing() as session:
            await session.execute("complete_erasure_part", payload.account_id, logs.request_id())

    role = contribution.role
    return [Handler(export_kind(role), export), Handler(erasure_kind(role), erase)]


async def _files(
    database: Database, contribution: Contribution, account_id: UUID
) -> AsyncIterator[File]:
    for one in contribution.exported:
        rows = await database.rows(one.query, account_id)
        yield File(one.name, one.title, [dict(row) for row in rows])
    if contribution.more_files is not None:
        async for file in contribution.more_files(database, account_id):
            yield file
