"""The checksum ledger of the WAL archive: ``ledger.jsonl`` holds each file's SHA-256 as it arrived."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from pathlib import Path

from chitlaq.backups.wal.archive import WalDamagedError
from chitlaq.core.host import files

LEDGER = "ledger.jsonl"


def read(folder: Path) -> dict[str, str]:
    """The SHA-256 of each archived file as it arrived, by name.

    Damaged lines are ignored; their files then count as missing from the ledger.
    """
    found = {}
    try:
        lines = (folder / LEDGER).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            entry = json.loads(line)
            name, digest, seal = entry["name"], entry["sha256"], entry["seal"]
        except (ValueError, KeyError, TypeError):
            continue
        if seal == _seal(name, digest):
            found[name] = digest
    return found


def add(folder: Path, digests: Mapping[str, str]) -> None:
    """Add files to the ledger."""
    with (folder / LEDGER).open("a") as file:
        file.write(_entries(digests))


def prune(folder: Path, names: Container[str]) -> None:
    """Remove all other files from the ledger."""
    kept = {name: digest for name, digest in read(folder).items() if name in names}
    files.write(folder / LEDGER, _entries(kept))


def require_unchanged(path: Path, known: Mapping[str, str]) -> None:
    """Verify an archived file against the ledger, if it is listed there.

    Raises:
        WalDamagedError: it has changed.
    """
    wanted = known.get(path.name)
    if wanted is None or "wals" not in (path.parent.name, path.parent.parent.name):
        return
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
            raise WalDamagedError(f"{path} has changed since it arrived.")


def _entries(digests: Mapping[str, str]) -> str:
    return "".join(
        json.dumps({"name": name, "sha256": digest, "seal": _seal(name, digest)}) + "\n"
        for name, digest in digests.items()
    )


def _seal(name: str, digest: str) -> str:
    return hashlib.sha256(f"{name} {digest}".encode()).hexdigest()[:16]
