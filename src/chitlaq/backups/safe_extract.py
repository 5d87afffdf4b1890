"""Extract tar archives safely: only files and folders, only below one folder, owned by this user.

Python's `data` filter (PEP 706) does the same, but the Python 3.11 of Debian 12 lacks it.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path, PurePosixPath

from chitlaq.core.errors import OperatorError


def extract_all(archive: tarfile.TarFile, folder: Path) -> None:
    """Extract an archive into a folder; raises what `extract_member` does."""
    for member in archive:
        extract_member(archive, member, folder)


def extract_member(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Extract one member of an archive into a folder.

    Raises:
        OperatorError: it is neither file nor folder, or would land outside the folder.
    """
    path = PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
        raise OperatorError(f"The archive is not ours: it would write {member.name}.")
    # Not the original owner, and not writable by others.
    member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
    member.mode = (member.mode & 0o755) | 0o600
    archive.extract(member, folder)
