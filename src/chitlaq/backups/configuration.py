"""Back up configuration and the operations database; secrets are included only encrypted."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import IO, Any
from urllib.parse import quote

from chitlaq.backups import safe_extract
from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import (
    BackupContext,
    make_private_folder,
    new_backup_id,
    require_free_space,
)
from chitlaq.backups.errors import InconclusiveError
from chitlaq.backups.offsite import encryption
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation import settings_loading

LATEST = "config_latest.tar.gz"
SETTINGS = "chitlaq.toml"
MANIFEST = "MANIFEST.json"
SECRETS = "secrets.tar.age"
REDACTED = "chitlaq.redacted.toml"
ONCALL = "oncall.toml"
OPERATIONS = "ops/database/operations.sqlite"
# Anything else is regenerated at each start, backed up otherwise, or belongs to one process.
_FOLDERS = ("nginx", "prometheus", "alertmanager")
_SUFFIXES = frozenset({".conf", ".toml", ".yml", ".yaml", ".json", ".pem", ".crt", ".key", ".tmpl"})
_READ_BYTES = 1 << 20
# How long another process may lock the operations database.
BUSY_SECONDS = 10.0


def take(context: BackupContext) -> Record:
    """Archive settings, generated files, certificates and the operations database.

    Files that contain a secret go into an inner archive, encrypted to `backups.recipients`. Without
    recipients they are left out, which the archive's check reports, and settings are included redacted.

    Raises:
        OperatorError: a recipient is not a key, the disk is too small, or the operations database is
            damaged or locked.
    """
    begun = monotonic()
    name = new_backup_id("config")
    target = context.folder / f"{name}.tar.gz"
    make_private_folder(context.folder)
    secret, open_ = _split_by_secrecy(context)
    require_free_space(
        context.folder,
        # The operations database is copied first, then archived.
        sum(
            path.stat().st_size
            for path in (*secret, *open_, *_operations(context), *_operations(context))
        ),
        "A configuration backup",
    )
    moment = datetime.now(UTC)
    manifest: dict[str, str] = {}
    with files.draft(target, mode=0o600) as draft:
        with tarfile.open(draft, "w:gz") as archive:
            for path in open_:
                manifest[str(path.relative_to(context.home.root))] = records.digest(path)
                archive.add(path, arcname=str(path.relative_to(context.home.root)))
            for path in _operations(context):
                with tempfile.TemporaryDirectory(dir=context.folder) as folder:
                    copy = _copy_of_database(path, Path(folder))
                    with copy.open("rb") as content:
                        manifest[OPERATIONS] = _add(archive, OPERATIONS, content)
            if context.settings.backups.recipients:
                context.home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
                with tempfile.TemporaryFile(dir=context.folder) as sealed:
                    _write_encrypted(context, secret, sealed)
                    manifest[SECRETS] = _add(archive, SECRETS, sealed)
            elif context.home.settings_file in secret:
                redacted = io.BytesIO(_redact(context.home.settings_file))
                manifest[REDACTED] = _add(archive, REDACTED, redacted)
            _add(archive, MANIFEST, io.BytesIO(json.dumps(manifest, indent=1).encode()))
        digest, size = records.digest(draft), draft.stat().st_size
    record = Record(
        id=name,
        kind="configuration",
        created_at=moment,
        seconds=monotonic() - begun,
        path=target.name,
        bytes=size,
        sha256=digest,
    )
    records.write(context.folder, record)
    files.point_to(context.folder / LATEST, Path(target.name))
    return record


def verify(path: Path) -> str:
    """Compare an archive with its manifest and summarise its content.

    Raises:
        OperatorError: something is missing or has changed.
        tarfile.TarError, EOFError: it cannot be read.
    """
    with tarfile.open(path) as archive:
        found = {
            member.name: hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            for member in archive
            if member.isfile() and (file := archive.extractfile(member)) is not None
        }
        source = archive.extractfile(MANIFEST) if MANIFEST in found else None
        if source is None:
            raise OperatorError(f"{path} has no manifest.")
        manifest = json.loads(source.read())
        if OPERATIONS in found:
            _require_whole(archive, path)
    del found[MANIFEST]
    if found != manifest:
        wrong = sorted(set(found.items()) ^ set(manifest.items()))
        raise OperatorError(f"{path} does not match its manifest: {wrong[0][0]}.")
    secrets = "secrets encrypted" if SECRETS in found else "secrets left out: no key is set"
    return f"unchanged; {len(found)} files, {secrets}"


def restore(path: Path, home: Path, identity: str | None) -> list[str]:
    """Put back files that are missing; returns their names.

    Args:
        path: the archive.
        home: the folder to restore to; existing files stay as they are.
        identity: the private age key; without it secrets are not restored.

    Raises:
        OperatorError: the key does not fit, or the archive is damaged.
    """
    verify(path)
    done = []
    with tarfile.open(path) as archive:
        done += _put_back(archive, home, {MANIFEST, SECRETS, REDACTED})
        if identity is not None and SECRETS in archive.getnames():
            source = archive.extractfile(SECRETS)
            assert source is not None
            with tempfile.TemporaryFile(dir=home) as inner:
                encryption.decrypt_stream(source, inner, identity)
                inner.seek(0)
                with tarfile.open(fileobj=inner) as secrets:
                    done += _put_back(secrets, home, set())
    return done


def _put_back(archive: tarfile.TarFile, home: Path, others: set[str]) -> list[str]:
    """Extract files of an archive that are missing.

    Raises:
        OperatorError: a file does not belong in a configuration backup, so the archive is not ours.
    """
    done = []
    for member in archive:
        if not member.isfile() or member.name in others:
            continue
        parts = Path(member.name).parts
        if ".." in parts or not {*parts[:1]} <= {SETTINGS, ONCALL, "secrets", "ops", *_FOLDERS}:
            raise OperatorError(f"The archive is not ours: it would write {member.name}.")
        if member.name == OPERATIONS:
            if not _put_back_database(archive, member, home):
                continue
        elif (home / member.name).exists():
            continue
        else:
            safe_extract.extract_member(archive, member, home)
        if member.name.startswith("secrets/"):
            (home / "secrets").chmod(0o700)
        if member.name.startswith("secrets/") or member.name == ONCALL:
            (home / member.name).chmod(0o600)
        done.append(member.name)
    return done


def _put_back_database(archive: tarfile.TarFile, member: tarfile.TarInfo, home: Path) -> bool:
    """Restore the operations database if it is missing; returns whether it was.

    SQLite writes it: it discards the log that a lost file left behind, which would be replayed into this
    one, and ops-service, which may run, sees all of it or nothing.
    """
    target = home / OPERATIONS
    if target.exists() and target.stat().st_size:
        return False
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.touch(mode=0o600)
    begun = monotonic()

    def give_up(status: int, _left: int, _total: int) -> None:
        if _is_locked(status) and monotonic() > begun + BUSY_SECONDS:
            raise _locked(target)

    with tempfile.TemporaryDirectory(dir=home) as folder:
        safe_extract.extract_member(archive, member, Path(folder))
        with (
            closing(sqlite3.connect(Path(folder) / OPERATIONS)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy, progress=give_up)
    return True


def _split_by_secrecy(context: BackupContext) -> tuple[list[Path], list[Path]]:
    """The files to back up: those that contain a secret, and the others."""
    hidden = sorted(path for path in context.home.secrets.glob("*") if path.is_file())
    values = [value for path in hidden if (value := path.read_bytes().strip())]
    every = [(name, context.settings.value_of(name)) for name, _ in settings_loading.fields()]
    said = _settings_in(context.home.settings_file)
    for secret in settings_loading.secrets_in([*every, *(said or ())]):
        values += _encodings(secret)
    open_: list[Path] = []
    for path in _files(context):
        if path == context.home.settings_file:
            # Decided from the parsed settings: TOML can write a secret in many ways.
            is_secret = said is None or bool(settings_loading.secrets_in(said))
        elif path == context.home.oncall_file:
            # Tokens of channels, in URLs of a hundred forms.
            is_secret = True
        else:
            is_secret = path.suffix == ".key" or _contains(path, [b"PRIVATE KEY", *values])
        (hidden if is_secret else open_).append(path)
    return hidden, open_


def _settings_in(path: Path) -> list[tuple[str, Any]] | None:
    """The settings in a file; None if it cannot be parsed."""
    try:
        return list(settings_loading.from_file(path))
    except OperatorError:
        return None


def _encodings(value: str) -> list[bytes]:
    """A secret as it may appear in a file: plain, or escaped for JSON, TOML, YAML or URLs."""
    forms = {value, json.dumps(value)[1:-1], value.replace("'", "''"), quote(value, safe="")}
    forms.add(json.dumps(value, ensure_ascii=False)[1:-1])
    return [form.encode() for form in sorted(forms)]


def _redact(path: Path) -> bytes:
    """A settings file without its secrets, so that the other settings survive without a key."""
    lines = ["# Secrets were left out: no key to encrypt them to was set (`chitlaq backup key`)."]
    section = ""
    # In TOML, settings outside sections come first.
    for dotted, value in sorted(
        _settings_in(path) or (), key=lambda one: one[0].rpartition(".")[0]
    ):
        before, _, name = dotted.rpartition(".")
        if before != section:
            lines.append(f"\n[{before}]")
            section = before
        is_secret = bool(settings_loading.secrets_in([(dotted, value)]))
        lines.append(
            f"# {name} was left out"
            if is_secret
            else f"{name} = {json.dumps(value, ensure_ascii=False)}"
        )
    return ("\n".join(lines) + "\n").encode()


def _contains(path: Path, values: Sequence[bytes]) -> bool:
    """Whether a file, which may be large, contains one of some values."""
    overlap = max(map(len, values)) - 1
    with path.open("rb") as file:
        before = b""
        while chunk := file.read(_READ_BYTES):
            text = before + chunk
            if any(value in text for value in values):
                return True
            before = text[-overlap:] if overlap else b""
    return False


def _files(context: BackupContext) -> Iterator[Path]:
    if context.home.settings_file.exists():
        yield context.home.settings_file
    if context.home.oncall_file.exists():
        yield context.home.oncall_file
    for folder in _FOLDERS:
        for path in sorted((context.home.root / folder).rglob("*")):
            if path.suffix in _SUFFIXES and path.is_file() and not path.is_symlink():
                yield path


def _operations(context: BackupContext) -> list[Path]:
    path = context.home.ops_database
    return [path] if path.exists() else []


def _copy_of_database(path: Path, folder: Path) -> Path:
    """Copy a database that others write to, as it is at one moment.

    This also reads all of it (https://sqlite.org/lang_vacuum.html).
    """
    target = folder / path.name
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as source:
            source.execute("VACUUM INTO ?", [str(target)])
    except sqlite3.DatabaseError as error:
        if _is_locked(getattr(error, "sqlite_errorcode", 0)):
            raise _locked(path) from error
        raise OperatorError(
            f"{path} cannot be copied ({error}). If it is damaged, ops-service sets it aside: repeat"
            " the backup then."
        ) from error
    return target


def _is_locked(code: int) -> bool:
    return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _locked(path: Path) -> InconclusiveError:
    return InconclusiveError(
        f"{path} has been locked by another process for {BUSY_SECONDS:g} s (`fuser {path}` names it): let it"
        " finish or end it, and try again."
    )


def _require_whole(archive: tarfile.TarFile, path: Path) -> None:
    source = archive.extractfile(OPERATIONS)
    assert source is not None
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / "copy.sqlite"
        with copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        try:
            with closing(sqlite3.connect(copy)) as opened:
                (said,) = opened.execute("PRAGMA integrity_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            said = str(error)
    if said != "ok":
        raise OperatorError(f"{path} has a damaged operations database: {said}.")


def _write_encrypted(context: BackupContext, paths: Sequence[Path], target: IO[bytes]) -> None:
    """Write an encrypted archive of files; the plain archive exists only unnamed, on their own disk."""
    with tempfile.TemporaryFile(dir=context.home.backup) as plain:
        with tarfile.open(fileobj=plain, mode="w") as archive:
            for path in paths:
                archive.add(path, arcname=str(path.relative_to(context.home.root)))
        plain.seek(0)
        encryption.encrypt_stream(plain, target, context.settings.backups.recipients)


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes]) -> str:
    """Add a file to an archive and return its SHA-256."""
    content.seek(0)
    digest = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = content.seek(0, io.SEEK_END), 0o600
    entry.mtime = int(datetime.now(UTC).timestamp())
    content.seek(0)
    archive.addfile(entry, content)
    return digest
