"""The configuration and what members uploaded, in an archive that `tar` reads; secrets only encrypted."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from chitlaq.backups import dumps, keys, place, records
from chitlaq.backups.place import Place
from chitlaq.backups.records import Record
from chitlaq.core.errors import OperatorError

LATEST = "config_latest.tar.gz"
MANIFEST = "MANIFEST.json"
SECRETS = "secrets.tar.age"
# What is made anew at each start, or lies elsewhere in the backups, or belongs to one process.
_FOLDERS = ("nginx", "prometheus", "alertmanager", "media")
_SUFFIXES = frozenset({".conf", ".toml", ".yml", ".yaml", ".json", ".pem", ".crt", ".key", ".tmpl"})
_LARGEST_BYTES = 1 << 20


def make(here: Place) -> Record:
    """Put settings, generated files, certificates and uploads into one archive.

    A file in which a secret stands goes into a second archive inside, encrypted to
    `backups.recipients`; where there are none it is left out, and the record says so by its check.

    Raises:
        OperatorError: a recipient is no key, or there is no room.
    """
    begun = monotonic()
    name = place.new_id("config")
    target, draft = here.folder / f"{name}.tar.gz", here.folder / f"{name}.draft"
    here.folder.mkdir(parents=True, exist_ok=True)
    secret, open_ = _sorted_by_secrecy(here)
    place.need_room(
        here.folder, sum(path.stat().st_size for path in (*secret, *open_)), "The archive"
    )
    moment = datetime.now(UTC)
    manifest: dict[str, str] = {}
    draft.touch(mode=0o600)
    try:
        with tarfile.open(draft, "w:gz") as archive:
            for path in open_:
                manifest[str(path.relative_to(here.home.root))] = records.digest(path)
                archive.add(path, arcname=str(path.relative_to(here.home.root)))
            if here.settings.backups.recipients:
                sealed = keys.encrypt(_packed(here, secret), here.settings.backups.recipients)
                manifest[SECRETS] = hashlib.sha256(sealed).hexdigest()
                _add(archive, SECRETS, sealed)
            _add(archive, MANIFEST, json.dumps(manifest, indent=1).encode())
        dumps.sync(draft)
        digest, size = records.digest(draft), draft.stat().st_size
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    record = Record(
        id=name,
        kind="configuration",
        created_at=moment,
        seconds=monotonic() - begun,
        path=target.name,
        bytes=size,
        sha256=digest,
    )
    records.write(here.folder, record)
    dumps.point_to(here.folder / LATEST, Path(target.name))
    return record


def look(path: Path) -> str:
    """Compare an archive with its own manifest, and say what it holds.

    Raises:
        OperatorError: something is missing or another.
        tarfile.TarError, EOFError: it cannot be read.
    """
    with tarfile.open(path) as archive:
        found = {
            member.name: hashlib.sha256(file.read()).hexdigest()
            for member in archive
            if member.isfile() and (file := archive.extractfile(member)) is not None
        }
        source = archive.extractfile(MANIFEST) if MANIFEST in found else None
        if source is None:
            raise OperatorError(f"{path} has no manifest.")
        manifest = json.loads(source.read())
    del found[MANIFEST]
    if found != manifest:
        wrong = sorted(set(found.items()) ^ set(manifest.items()))
        raise OperatorError(f"{path} is not what its manifest says: {wrong[0][0]}.")
    secrets = "secrets encrypted" if SECRETS in found else "secrets left out: there is no key"
    return f"unchanged; {len(found)} files, {secrets}"


def has_secrets(path: Path) -> bool:
    try:
        with tarfile.open(path) as archive:
            return SECRETS in archive.getnames()
    except (OSError, tarfile.TarError, EOFError):
        return False


def unpack(path: Path, home: Path, identity: str | None) -> list[str]:
    """Put back what an archive holds and is not there; returns the names of what was put back.

    Args:
        path: the archive.
        home: where to; what is there already stays as it is.
        identity: the private age key; without it secrets stay in the archive.

    Raises:
        OperatorError: the key is not the one, or the archive is damaged.
    """
    look(path)
    done = []
    with tarfile.open(path) as archive:
        done += _put_back(archive, home, {MANIFEST, SECRETS})
        if identity is not None and SECRETS in archive.getnames():
            source = archive.extractfile(SECRETS)
            assert source is not None
            inner = keys.decrypt(source.read(), identity)
            with tarfile.open(fileobj=io.BytesIO(inner)) as secrets:
                done += _put_back(secrets, home, set())
    return done


def _put_back(archive: tarfile.TarFile, home: Path, others: set[str]) -> list[str]:
    done = []
    for member in archive:
        if not member.isfile() or member.name in others or (home / member.name).exists():
            continue
        archive.extract(member, home, filter="data")
        if member.name.startswith("secrets/"):
            (home / "secrets").chmod(0o700)
            (home / member.name).chmod(0o600)
        done.append(member.name)
    return done


def _sorted_by_secrecy(here: Place) -> tuple[list[Path], list[Path]]:
    """The files to keep: those in which a secret stands, and the others."""
    secrets = sorted(path for path in here.home.secrets.glob("*") if path.is_file())
    values = [value for path in secrets if (value := path.read_bytes().strip())]
    values += [
        value.encode()
        for value in (
            here.settings.smtp.password,
            here.settings.backups.s3_secret_access_key,
            *here.settings.operations.notify,
        )
        if value
    ]
    hidden: list[Path] = list(secrets)
    open_: list[Path] = []
    for path in _files(here):
        text = path.read_bytes() if path.stat().st_size < _LARGEST_BYTES else b""
        is_secret = (
            path.suffix == ".key" or b"PRIVATE KEY" in text or any(v in text for v in values)
        )
        (hidden if is_secret else open_).append(path)
    return hidden, open_


def _files(here: Place) -> Iterator[Path]:
    if here.home.settings_file.exists():
        yield here.home.settings_file
    for folder in _FOLDERS:
        for path in sorted((here.home.root / folder).rglob("*")):
            is_kept = folder == "media" or path.suffix in _SUFFIXES
            if is_kept and path.is_file() and not path.is_symlink():
                yield path


def _packed(here: Place, paths: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in paths:
            archive.add(path, arcname=str(path.relative_to(here.home.root)))
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    entry.mtime = int(datetime.now(UTC).timestamp())
    archive.addfile(entry, io.BytesIO(content))
