"""Write files so that a crash leaves the old content or the new, never half of it.

Content is written to a draft beside its target, ``NAME.RANDOM.draft``, which then takes the target's
name in one step (rename(2)). A killed process leaves at most its draft behind; the cleanups of
backups and operations remove drafts. Several processes may write the same file at once;
the last one wins, or with `write_once` the first.

Durable writes also survive a power failure: the draft is flushed to the disk (fsync(2)) before it
takes the name, and the folder after that. Pass ``is_durable=False`` only for files that are regenerated
after a restart or written every few seconds.

A symbolic link stays: its target is replaced. Links that another user made are replaced themselves, or
root could be led to overwrite any file.

What root writes belongs to whom its folder belongs to, so that the services can replace it.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

DRAFT = ".draft"


@contextmanager
def draft(
    path: Path,
    *,
    mode: int = 0o666,
    owner: pwd.struct_passwd | None = None,
    is_durable: bool = True,
) -> Iterator[Path]:
    """Yield an empty file beside ``path`` that replaces it when the block ends without an error.

    Args:
        path: the target, in a folder that exists.
        mode: the draft's permissions from its first byte on, less the umask.
        owner: who owns the draft from its first byte on; by default this process's user, or if that
            is root, the folder's owner.
        is_durable: flush file and folder to the disk.

    Raises:
        OSError: the target is unchanged and the draft removed.
    """
    path = _followed(path)
    made = _beside(path)
    made.touch(mode=mode, exist_ok=False)
    try:
        if owner is not None:
            os.chown(made, owner.pw_uid, owner.pw_gid)
        else:
            _give_to_owner_of_folder(made)
        yield made
        if is_durable:
            durable_rename(made, path)
        else:
            made.rename(path)
    finally:
        made.unlink(missing_ok=True)


def write(
    path: Path,
    content: bytes | str,
    *,
    mode: int = 0o666,
    owner: pwd.struct_passwd | None = None,
    is_durable: bool = True,
) -> Path:
    """Replace a file's content, text as UTF-8; return ``path``. Arguments and errors as of `draft`."""
    with draft(path, mode=mode, owner=owner, is_durable=is_durable) as made:
        made.write_bytes(_encoded(content))
    return path


def ensure(
    path: Path,
    content: bytes | str,
    *,
    mode: int = 0o666,
    owner: pwd.struct_passwd | None = None,
) -> Path:
    """Write a file that is generated at each start, unless it has this content, mode and owner already.

    So a start needs no space on a full disk. Not durable. Arguments and errors as of `draft`.
    """
    if not _is_so(path, _encoded(content), mode, owner):
        write(path, content, mode=mode, owner=owner, is_durable=False)
    return path


def write_once(path: Path, content: bytes | str) -> None:
    """Write a file that only its owner may read, unless it exists.

    Of several processes the first wins, and all read the same.

    Raises:
        OSError: the target is unchanged and the draft removed.
    """
    made = _beside(path)
    made.touch(mode=0o600, exist_ok=False)
    try:
        _give_to_owner_of_folder(made)
        made.write_bytes(_encoded(content))
        sync(made)
        with suppress(FileExistsError):
            os.link(made, path)
        sync(path.parent)
    finally:
        made.unlink(missing_ok=True)


@contextmanager
def draft_folder(path: Path, *, mode: int = 0o777) -> Iterator[Path]:
    """Yield an empty folder, ``NAME.draft``, that is renamed to ``path`` when the block ends well.

    Everything in it is flushed to the disk first. Only one process at a time may make the same folder;
    the draft of a killed one is removed. ``path`` must not exist when the block ends, or be empty.

    Raises:
        OSError: ``path`` is unchanged and the draft removed.
    """
    made = path.with_name(path.name + DRAFT)
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=mode, parents=True)
    _give_to_owner_of_folder(made)
    try:
        yield made
        for folder, _, names in os.walk(made, topdown=False):
            for name in names:
                if not Path(folder, name).is_symlink():
                    sync(Path(folder, name))
            sync(Path(folder))
        durable_rename(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def unnamed(folder: Path) -> IO[bytes]:
    """An open file without a name on a folder's disk: whatever happens, nothing of it stays.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return tempfile.TemporaryFile(dir=folder)


def point_to(link: Path, target: Path) -> None:
    """Create or repoint a symbolic link, in one step that survives a power failure."""
    made = _beside(link)
    made.symlink_to(target)
    try:
        made.rename(link)
    finally:
        made.unlink(missing_ok=True)
    sync(link.parent)


def durable_rename(source: Path, target: Path) -> None:
    """Move a finished file durably within its file system: flush it, then the move.

    Of a folder only the folder itself is flushed, not its contents.
    """
    sync(source)
    source.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot flush a folder (EINVAL, EBADF); PostgreSQL ignores that too.
        if error.errno not in {errno.EINVAL, errno.EBADF} or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _is_so(path: Path, content: bytes, mode: int, owner: pwd.struct_passwd | None) -> bool:
    try:
        state = path.stat()
        return (
            stat.S_ISREG(state.st_mode)
            and state.st_size == len(content)
            and state.st_uid == (owner.pw_uid if owner is not None else os.geteuid())
            # The umask may have taken permissions away; none may have been added.
            and not state.st_mode & 0o777 & ~mode
            and path.read_bytes() == content
        )
    except OSError:
        return False


def _followed(path: Path) -> Path:
    """Where a link of ours or of root leads to; else the path itself."""
    with suppress(OSError):
        if path.is_symlink() and path.lstat().st_uid in {0, os.geteuid()}:
            return Path(os.path.realpath(path))
    return path


def _give_to_owner_of_folder(made: Path) -> None:
    if os.geteuid() == 0:
        folder = made.parent.stat()
        os.chown(made, folder.st_uid, folder.st_gid, follow_symlinks=False)


def _beside(path: Path) -> Path:
    # Cut, since a name has 255 bytes at most, and a character four.
    return path.with_name(f"{path.name[:60]}.{os.urandom(4).hex()}{DRAFT}")


def _encoded(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content
