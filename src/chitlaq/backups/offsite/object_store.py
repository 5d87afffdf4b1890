"""The off-site location, a folder or an S3 bucket, and the machine that owns it.

A location belongs to one machine, named in its object ``owner``: two machines writing under the same
names would mistake each other's files for their own. Reading needs no ownership.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

import obstore
from obstore.exceptions import BaseError

from chitlaq.backups.catalog import records, status
from chitlaq.backups.context import BackupContext
from chitlaq.backups.offsite import encryption
from chitlaq.core.data import object_store
from chitlaq.core.data.object_store import ObjectStore, first_line
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Backups

READ_BYTES = 1 << 20
OWNER = "owner"


class ForeignOwnerError(OperatorError):
    """The location belongs to another machine."""


def open_store(settings: Backups, url: str = "", *, is_made: bool = False) -> ObjectStore:
    """Open an off-site location, by default `backups.copy_to`; errors as of `core.data.object_store`."""
    return object_store.open_store(settings, url or settings.copy_to, is_made=is_made)


def open_owned(context: BackupContext) -> ObjectStore:
    """Open the off-site location for writing and deleting.

    Raises:
        ForeignOwnerError: it belongs to another machine.
        OperatorError: no encryption key is set, or the location cannot be reached.
    """
    if not context.settings.backups.recipients:
        raise OperatorError(
            "Off-site copies are always encrypted, and backups.recipients names no key:"
            " `chitlaq backup key` creates one."
        )
    encryption.parse_recipients(context.settings.backups.recipients)
    target = open_store(context.settings.backups, is_made=True)
    owner, us = _owner(target), machine_id(context.home)
    if owner is None and (not list_objects(target, "") or status.has_copied(context)):
        # A new location, or one from before locations had owners.
        _write_owner(target, us)
        owner = _owner(target)
    if owner != us:
        refusal = (
            f"{context.settings.backups.copy_to} holds the copies of another machine: nothing is copied"
            " or deleted there. If this machine replaces it for good: `chitlaq backup take-over`."
        )
        status.record_refusal(context, refusal)
        raise ForeignOwnerError(refusal)
    status.record_refusal(context, "")
    return target


def take_over(context: BackupContext) -> None:
    """Make the location this machine's own: the previous owner is refused from now on.

    Raises:
        OperatorError: the location cannot be written.
    """
    target = open_store(context.settings.backups, is_made=True)
    _write_owner(target, machine_id(context.home))
    open_owned(context)


def machine_id(home: Home) -> str:
    """This machine's name at the off-site location: random, created once, in no backup."""
    path = home.backup / "machine"
    if not path.exists():
        home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_once(path, secrets.token_hex(16))
    return path.read_text()


def list_objects(source: ObjectStore, folder: str) -> dict[str, int]:
    """The objects below a prefix such as ``log/``: size in bytes by name.

    Raises:
        OperatorError: the location cannot be reached.
    """
    try:
        found = {
            entry["path"]: entry["size"]
            for batch in obstore.list(source, prefix=folder or None)
            for entry in batch
        }
    except BaseError as error:
        raise OperatorError(
            f"The off-site location cannot be listed: {first_line(error)}"
        ) from None
    return dict(sorted(found.items()))


def put(context: BackupContext, target: ObjectStore, name: str, path: Path) -> str:
    """Write a file to the location, read it back, and return its SHA-256.

    Raises:
        OperatorError: writing failed, or reading back returned other data.
    """
    wanted, size = records.digest(path), path.stat().st_size
    stage = f"copy {name.rpartition('/')[2]}"
    context.report_progress(stage, 0, size)
    try:
        obstore.put(target, name, path)
        digest = hashlib.sha256()
        for chunk in obstore.get(target, name).stream(min_chunk_size=READ_BYTES):
            digest.update(chunk)
    except (BaseError, OSError) as error:
        raise OperatorError(f"{name} was not copied: {first_line(error)}") from None
    if digest.hexdigest() != wanted:
        raise OperatorError(f"{name} was read back with other content than was written.")
    context.report_progress(stage, size, size)
    return wanted


def fetch_decrypted(source: ObjectStore, name: str, identity: str, target: Path) -> None:
    """Fetch an object and decrypt it into a private file.

    Raises:
        OperatorError: the key does not fit, or the object is damaged or missing; the message names it.
    """
    sealed = target.with_name(f"{target.name}.age")
    try:
        target.touch(mode=0o600)
        with sealed.open("wb") as file:
            for chunk in obstore.get(source, name).stream(min_chunk_size=READ_BYTES):
                file.write(chunk)
        with sealed.open("rb") as file, target.open("wb") as plain:
            encryption.decrypt_stream(file, plain, identity)
    except (BaseError, OSError) as error:
        raise OperatorError(f"{name} was not fetched: {first_line(error)}") from None
    except OperatorError as error:
        raise OperatorError(f"{name}: {error}") from None
    finally:
        sealed.unlink(missing_ok=True)


def delete(target: ObjectStore, name: str) -> None:
    """Delete an object.

    Raises:
        OperatorError: the location cannot be reached, or refuses.
    """
    try:
        obstore.delete(target, name)
    except FileNotFoundError:
        return
    except (BaseError, OSError) as error:
        raise OperatorError(f"{name} was not deleted: {first_line(error)}") from None


def _owner(source: ObjectStore) -> str | None:
    try:
        return bytes(obstore.get(source, OWNER).bytes()).decode(errors="replace")
    except FileNotFoundError:
        return None
    except (BaseError, OSError) as error:
        raise OperatorError(f"The off-site location does not answer: {first_line(error)}") from None


def _write_owner(target: ObjectStore, name: str) -> None:
    try:
        obstore.put(target, OWNER, name.encode())
    except (BaseError, OSError) as error:
        raise OperatorError(
            f"The off-site location cannot be written: {first_line(error)}"
        ) from None
