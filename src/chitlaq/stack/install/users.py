"""The unprivileged user of everything that ChitLaq runs when root starts it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs

NAME = "chitlaq"
FALLBACK = "nobody"
USERADD_SECONDS = 30.0


def service_user() -> pwd.struct_passwd | None:
    """Return that user, creating it if necessary; None if we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        pass
    useradd = programs.find("useradd")
    if useradd is not None:
        arguments = ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME]
        if programs.run([useradd, *arguments], timeout_seconds=USERADD_SECONDS).code == 0:
            return pwd.getpwnam(NAME)
    try:
        return pwd.getpwnam(FALLBACK)
    except KeyError:
        raise OperatorError(
            f"ChitLaq does not run as root, and there is no user for it: make one with"
            f" `useradd --system {NAME}`."
        ) from None


def can_reach(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether a user can traverse every folder above a path."""
    return all(_may(folder, user, 0o1) for folder in path.absolute().parents)


def can_read(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether a user can read a file or list a folder, once there."""
    return _may(path, user, 0o5 if path.is_dir() else 0o4)


def can_write(folder: Path, user: pwd.struct_passwd) -> bool:
    """Whether a user can reach a folder and write in it."""
    return can_reach(folder / "any", user) and _may(folder, user, 0o7)


def _may(path: Path, user: pwd.struct_passwd, bits: int) -> bool:
    try:
        mode = path.stat()
    except FileNotFoundError:
        return True
    if mode.st_uid == user.pw_uid:
        bits <<= 6
    elif mode.st_gid == user.pw_gid:
        bits <<= 3
    return mode.st_mode & bits == bits
