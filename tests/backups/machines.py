"""Machines that copy off-site and fetch, with made-up backups: no server is needed."""

from __future__ import annotations

import json
import random
import struct
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import zstandard

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import BackupKind, Record
from chitlaq.backups.context import BackupContext, size_of
from chitlaq.backups.offsite import fetch
from chitlaq.backups.offsite.remote_copies import open_copies
from chitlaq.backups.wal import archive
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.stack.servers import barman

BUCKET = "vault"
SEGMENT = "000000010000000000000007"
SYSTEM = 7_400_000_000_000_000_001
OTHER_SYSTEM = SYSTEM + 1


def machine(root: Path, **settings: str) -> BackupContext:
    home = Home(root)
    folder = {"CHITLAQ_BACKUPS_FOLDER": str(root / "backups"), "CHITLAQ_HOME": str(root)}
    return BackupContext(home, settings_loading.load(home, {**folder, **settings}))


def made_at(hour: int) -> datetime:
    return datetime(2026, 11, 24, hour, 30, tzinfo=UTC)


def make(context: BackupContext, kind: BackupKind, hour: int = 2, system: int = SYSTEM) -> Record:
    """A backup with random content."""
    moment = made_at(hour)
    name = f"{kind}_{moment:%Y%m%dT%H%M%S}"
    path = f"physical/chitlaq/base/{moment:%Y%m%dT%H%M%S}/data" if kind == "full" else f"{name}.sql"
    target = context.folder / path
    content = random.Random(name).randbytes(300_000)
    if kind == "full":
        (target / "base" / "1").mkdir(parents=True)
        (target / "pg_wal").mkdir()
        (target / "base" / "1" / "16384").write_bytes(content)
        file = target / "backup_manifest"
        file.write_text(json.dumps({"WAL-Ranges": [], "System-Identifier": system}))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        file = target
    record = Record(name, kind, moment, 1.0, path, size_of(target), records.digest(file))
    if kind == "full":
        record = msgspec.structs.replace(record, begin_wal=SEGMENT, end_wal=SEGMENT, system=system)
    records.write(context.folder, record)
    return record


def segment(system: int = SYSTEM, content: bytes = b"\1") -> bytes:
    """A WAL segment with the header of its first page."""
    header = struct.pack("<HHIQIIQ", 0xD118, 2, 1, 0, 0, 0, system)
    return zstandard.compress(header.ljust(archive.SEGMENT_BYTES, content))


def archive_segment(
    context: BackupContext, name: str = SEGMENT, content: bytes | None = None
) -> Path:
    folder = barman.folder(context.home, context.settings)
    path = folder / "wals" / name[:16] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(segment() if content is None else content)
    return path


def fetched(there: BackupContext, url: str, identity: str, *, is_all: bool = False) -> list[Record]:
    """What was fetched, if nothing failed."""
    with open_copies(there, url, identity) as remote:
        fetch.fetch_settings(there, remote)
        brought = fetch.fetch_backups(there, remote, is_all=is_all)
        assert remote.failed == {}
        return brought
