"""Encrypted copies elsewhere: in a folder, or any S3, through obstore; read back after they are written.

What lies elsewhere, under the folder or prefix of one installation:

- ``backups/ID.age``: a dump or a configuration; of a physical backup its folder as a tar in zstd;
- ``log/NAME.age``: a file of the archived log;
- ``records/ID.age``: the record of a backup that is there whole.

Everything is encrypted to `backups.recipients`: who holds the place learns names, sizes and times, and
this machine cannot read its own copies either.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import obstore
import zstandard
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from chitlaq.backups import keys, log, place, records, status
from chitlaq.backups.log import Segment
from chitlaq.backups.place import Place
from chitlaq.backups.records import Copy, Record
from chitlaq.core.errors import OperatorError
from chitlaq.core.settings import Backups
from chitlaq.stack import barman

READ_BYTES = 1 << 20

Store = Any
"""One of obstore's stores, which share no class."""


def store(settings: Backups, url: str = "") -> Store:
    """Open the place of copies.

    Args:
        settings: what an S3 needs.
        url: ``s3://bucket/prefix`` or a folder; `backups.copy_to` by default.

    Raises:
        OperatorError: it is neither, or the folder cannot be made.
    """
    wanted = url or settings.copy_to
    if wanted.startswith("s3://"):
        options: dict[str, Any] = {"region": settings.s3_region}
        if settings.s3_endpoint:
            options |= {
                "endpoint": settings.s3_endpoint,
                "virtual_hosted_style_request": False,
                "client_options": {"allow_http": settings.s3_endpoint.startswith("http://")},
            }
        if settings.s3_access_key_id:
            options |= {
                "access_key_id": settings.s3_access_key_id,
                "secret_access_key": settings.s3_secret_access_key,
            }
        try:
            return S3Store.from_url(wanted, **options)
        except BaseError as error:
            raise OperatorError(f"{wanted} cannot be used: {_first(error)}") from None
    path = Path(wanted).expanduser()
    if not path.is_absolute():
        raise OperatorError(
            f"backups.copy_to is {wanted!r}: write /a/folder or s3://bucket/prefix."
        )
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OperatorError(f"{path} cannot be made: {error.strerror}.") from None
    return LocalStore(str(path))


def copy(here: Place, record: Record) -> Record:
    """Copy a backup, and write down that it is there.

    Raises:
        OperatorError: there is no key to encrypt it to, the place cannot be written, or what is read
            back is not what was written.
    """
    target = _opened(here)
    name = f"backups/{record.id}.age"
    with _drafts(here) as folder:
        draft = folder / "copy.age"
        with draft.open("wb") as sealed:
            if record.is_physical:
                packed = folder / "packed"
                _pack(here.folder / record.path, packed)
                with packed.open("rb") as source:
                    keys.encrypt_stream(source, sealed, here.settings.backups.recipients)
            else:
                with (here.folder / record.path).open("rb") as source:
                    keys.encrypt_stream(source, sealed, here.settings.backups.recipients)
        digest = _put(here, target, name, draft)
        size = draft.stat().st_size
        copied = msgspec.structs.replace(
            record, copied=Copy(here.settings.backups.copy_to, datetime.now(UTC), size, digest)
        )
        description = folder / "record.age"
        description.write_bytes(
            keys.encrypt(msgspec.json.encode(copied), here.settings.backups.recipients)
        )
        _put(here, target, f"records/{record.id}.age", description)
    records.write(here.folder, copied)
    return copied


def copy_log(here: Place) -> int:
    """Copy the files of the log that were received whole and are not there yet; returns how many.

    The last of them may lie where it was received for long: Barman leaves it there for the receiver.

    Raises:
        OperatorError: as `copy`.
    """
    target = _opened(here)
    there = {path.rpartition("/")[2] for path in _names(target, "log/")}
    done = 0
    with _drafts(here) as folder:
        for path in log.received_whole(barman.folder(here.home, here.settings)):
            if f"{path.name}.age" in there:
                continue
            draft, packed = folder / "log.age", folder / "log.zst"
            with packed.open("wb") as plain:
                log.copy_compressed(path, plain)
            with packed.open("rb") as source, draft.open("wb") as sealed:
                keys.encrypt_stream(source, sealed, here.settings.backups.recipients)
            _put(here, target, f"log/{path.name}.age", draft)
            done += 1
    status.log_copied(here)
    return done


def fetch(here: Place, url: str, identity: str) -> list[Record]:
    """Bring all copies into the folder of backups, as they were; what is there already stays.

    Raises:
        OperatorError: the key is not the one, or a copy is damaged: it is left out, and named.
    """
    source = store(here.settings.backups, url)
    names = _names(source, "records/")
    if not names:
        raise OperatorError(f"{url} holds no copies of backups.")
    fetched: list[Record] = []
    with _drafts(here) as folder:
        for name in names:
            record = msgspec.json.decode(_opened_bytes(source, name, folder, identity), type=Record)
            here.advance(f"fetch {record.id}", 0, record.bytes)
            if not (here.folder / record.path).exists():
                _bring(here, source, record, folder, identity)
            records.write(here.folder, record)
            fetched.append(record)
            here.advance(f"fetch {record.id}", record.bytes, record.bytes)
        _bring_log(here, source, folder, identity)
    return sorted(fetched, key=lambda record: record.created_at)


def forget(here: Place, record: Record) -> None:
    """Delete a copy.

    Raises:
        OperatorError: the place cannot be reached.
    """
    target = _opened(here)
    try:
        for name in (f"records/{record.id}.age", f"backups/{record.id}.age"):
            if name in _names(target, name.rpartition("/")[0] + "/"):
                obstore.delete(target, name)
    except BaseError as error:
        raise OperatorError(f"The copy of {record.id} was not deleted: {_first(error)}") from None


def trim_log(here: Place) -> int:
    """Delete the copies of the log that no backup needs any more; returns how many.

    Raises:
        OperatorError: the place cannot be reached.
    """
    begins = [record.begin_wal for record in records.read(here.folder).of("full")]
    if not begins or None in begins:
        return 0
    first = min(Segment.of(name).number for name in begins if name)
    target = _opened(here)
    done = 0
    for name in _names(target, "log/"):
        plain = name.rpartition("/")[2].removesuffix(".age")
        if not plain.endswith(".history") and Segment.of(plain).number < first:
            try:
                obstore.delete(target, name)
            except BaseError as error:
                raise OperatorError(f"{name} was not deleted: {_first(error)}") from None
            done += 1
    return done


def _bring(here: Place, source: Store, record: Record, folder: Path, identity: str) -> None:
    plain = _decrypted(source, f"backups/{record.id}.age", folder, identity)
    target = here.folder / record.path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not record.is_physical:
        if records.digest(plain) != record.sha256:
            raise OperatorError(f"The copy of {record.id} is not what was backed up.")
        shutil.move(plain, target)
        return
    draft = target.with_name("data.draft")
    shutil.rmtree(draft, ignore_errors=True)
    with (
        plain.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as unzipped,
        tarfile.open(fileobj=cast("IO[bytes]", unzipped), mode="r|") as archive,
    ):
        archive.extractall(draft, filter="tar")
    draft.rename(target)


def _bring_log(here: Place, source: Store, folder: Path, identity: str) -> None:
    base = barman.folder(here.home, here.settings)
    known = log.ledger(base)
    new = {}
    for name in _names(source, "log/"):
        plain_name = name.rpartition("/")[2].removesuffix(".age")
        is_history = plain_name.endswith(".history")
        target = base / "wals" / ("" if is_history else plain_name[:16]) / plain_name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.move(_decrypted(source, name, folder, identity), target)
        if plain_name not in known:
            new[plain_name] = records.digest(target)
    if new:
        log.enter(base, new)


def _opened(here: Place) -> Store:
    if not here.settings.backups.recipients:
        raise OperatorError(
            "Copies are made only encrypted, and backups.recipients names no key:"
            " `chitlaq backup key` makes one."
        )
    keys.recipients(here.settings.backups.recipients)
    return store(here.settings.backups)


def _put(here: Place, target: Store, name: str, path: Path) -> str:
    """Write a file there, read it back, and return its SHA-256."""
    wanted, size = records.digest(path), path.stat().st_size
    here.advance(f"copy {name.rpartition('/')[2]}", 0, size)
    try:
        obstore.put(target, name, path)
        digest = hashlib.sha256()
        for chunk in obstore.get(target, name).stream(min_chunk_size=READ_BYTES):
            digest.update(chunk)
    except (BaseError, OSError) as error:
        raise OperatorError(f"{name} was not copied: {_first(error)}") from None
    if digest.hexdigest() != wanted:
        raise OperatorError(f"{name} is not there as it was written.")
    here.advance(f"copy {name.rpartition('/')[2]}", size, size)
    return wanted


def _names(source: Store, prefix: str) -> list[str]:
    try:
        return sorted(
            entry["path"] for batch in obstore.list(source, prefix=prefix) for entry in batch
        )
    except BaseError as error:
        raise OperatorError(f"Copies cannot be listed: {_first(error)}") from None


def _decrypted(source: Store, name: str, folder: Path, identity: str) -> Path:
    """Bring an object here and decrypt it; returns the file."""
    sealed, plain = folder / "sealed", folder / "plain"
    try:
        with sealed.open("wb") as file:
            for chunk in obstore.get(source, name).stream(min_chunk_size=READ_BYTES):
                file.write(chunk)
    except BaseError as error:
        raise OperatorError(f"{name} was not fetched: {_first(error)}") from None
    with sealed.open("rb") as file, plain.open("wb") as target:
        keys.decrypt_stream(file, target, identity)
    return plain


def _opened_bytes(source: Store, name: str, folder: Path, identity: str) -> bytes:
    return _decrypted(source, name, folder, identity).read_bytes()


@contextmanager
def _drafts(here: Place) -> Iterator[Path]:
    """A folder for what is on its way, beside the backups: it may be as large as one."""
    place.need_room(here.folder, 0, "A copy")
    folder = Path(tempfile.mkdtemp(prefix=".copying-", dir=here.folder))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pack(folder: Path, target: Path) -> None:
    """Write a folder as a tar in zstd, with the names that it had."""
    with (
        target.open("wb") as file,
        zstandard.ZstdCompressor(level=3, threads=1).stream_writer(file) as zipped,
        tarfile.open(fileobj=cast("IO[bytes]", zipped), mode="w|") as archive,
    ):
        archive.add(folder, arcname=".")


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
