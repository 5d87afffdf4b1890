"""Archives unpacked by strict rules: files and folders alone, below one folder, and as ours.

That is what Python's own `data` filter does (PEP 706), which the Python 3.11 of Debian 12 does not have yet.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path, PurePosixPath

from chitlaq.core.errors import OperatorError


def extract_all(archive: tarfile.TarFile, folder: Path) -> None:
    """Write all that an archive holds below a folder; takes and raises what `unpack_one` does."""
    for member in archive:
        extract_member(archive, member, folder)


def extract_member(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one member of an archive below a folder.

    Raises:
        OperatorError: it is neither file nor folder, or would lie elsewhere: it was not made here.
    """
    path = PurePosixPath(member.name)
    if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
        raise OperatorError(f"It would write {member.name}: it was not made here.")
    # Not whose it was elsewhere, and for nobody else to write to.
    member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
    member.mode = (member.mode & 0o755) | 0o600
    archive.extract(member, folder)
