"""The unprivileged user of PostgreSQL and nginx's workers when root starts the stack."""

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
            f"PostgreSQL must not run as root, and there is no user for it: make one with"
            f" `useradd --system {NAME}`."
        ) from None


def can_reach(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether a user can traverse every folder above a path."""
    for folder in path.absolute().parents:
        mode = folder.stat()
        if mode.st_uid == user.pw_uid:
            allowed = mode.st_mode & 0o100
        elif mode.st_gid == user.pw_gid:
            allowed = mode.st_mode & 0o010
        else:
            allowed = mode.st_mode & 0o001
        if not allowed:
            return False
    return True
