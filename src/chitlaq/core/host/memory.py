"""A folder in memory, for what processes share while they live.

Whoever writes to a disk waits for it, also through mapped memory: where a process counts, a slow disk would
stop it at each count.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PLACE = Path("/dev/shm")  # noqa: S108 - what is made there has an unknown name
PREFIX = "chitlaq-"
LINK = ".link"
"""In such a folder, a symbolic link to the path that leads there."""
SYSTEMD = Path("/run/systemd/system")
LAST_SYSTEM_USER = 999
"""At the end of other users' sessions logind removes what they have in memory (logind.conf(5), RemoveIPC)."""
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 0x01, 0x02

_libc = ctypes.CDLL(None, use_errno=True)


def link(path: Path) -> None:
    """Replace a folder by an empty one: a link to one in memory, if there is some that stays.

    As long as this process lives, `sweep` of another one leaves it alone.

    Raises:
        OSError: the path cannot be replaced.
    """
    remove(path)
    if SYSTEMD.exists() and os.getuid() > LAST_SYSTEM_USER:
        path.mkdir(parents=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Of an unknown name, and only for this user: the place is everybody's.
        made = tempfile.mkdtemp(prefix=PREFIX, dir=PLACE)
    except OSError:
        path.mkdir()
    else:
        # Stays open, and locked with it, until the process ends, however that happens.
        fcntl.flock(_opened(Path(made)), fcntl.LOCK_SH)
        Path(made, LINK).symlink_to(path.absolute())
        path.symlink_to(made)


def sweep() -> None:
    """Remove what ended processes of this user have left in memory, and to which no link leads any more."""
    for made in PLACE.glob(f"{PREFIX}*"):
        # Another user's, one that is gone meanwhile or in use, and one that nobody has made with `link`.
        with suppress(OSError):
            file = _opened(made)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                link = Path(os.readlink(LINK, dir_fd=file))
                if os.fstat(file).st_uid == os.geteuid() and not _leads_to(link, made):
                    shutil.rmtree(made)
            finally:
                os.close(file)


def remove(path: Path) -> None:
    """Remove a folder that `link` has made, with all that is in it."""
    if path.is_symlink():
        # Whoever else may write there must not lead root to remove something of their choice.
        if (made := path.readlink()).parent == PLACE and made.name.startswith(PREFIX):
            shutil.rmtree(made, ignore_errors=True)
        path.unlink()
    else:
        with suppress(FileNotFoundError):
            shutil.rmtree(path)


def release(file: int, until: int) -> None:
    """Give back the memory of an open file's first bytes, which are a hole from then on; nothing else moves.

    Raises:
        OSError: the file is of a kind that can have no holes.
    """
    mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
    if _libc.fallocate(file, mode, ctypes.c_int64(0), ctypes.c_int64(until)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _leads_to(link: Path, made: Path) -> bool:
    try:
        return link.readlink() == made
    except OSError as error:
        # Only what is not there, or is something else by now, leads nowhere: what cannot be looked at may.
        return error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.EINVAL}
