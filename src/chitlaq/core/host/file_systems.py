"""Which file systems can run out of space: one definition for exporter, checks, alerts and forecasts."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import psutil

# What lives in memory, cannot be written to, or only looks like a file system. "overlay" counts: in a
# container it is the only disk there is; those of other containers are left out by their place.
UNCOUNTED_TYPES = (
    "autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|erofs|fuse[.].*|fusectl"
    "|hugetlbfs|iso9660|mqueue|nsfs|proc|pstore|ramfs|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs"
    "|tmpfs|tracefs"
)
UNCOUNTED_PLACES = (
    "/(dev|proc|sys|run/credentials/.+|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"
)

SELECTOR = f'fstype!~"{UNCOUNTED_TYPES}"'
"""Of node-exporter's series; one that we did not start exports more."""

_types = re.compile(UNCOUNTED_TYPES)
_places = re.compile(UNCOUNTED_PLACES)


def is_counted(kind: str, mount: str) -> bool:
    """Whether a file system can run out of space, by its type and where it is mounted."""
    return _types.fullmatch(kind) is None and _places.match(mount) is None


def mounts(always: Path) -> list[str]:
    """Return one mount point per file system that can run out of space, even if a device is mounted twice.

    Args:
        always: a folder whose file system counts in any case.
    """
    seen: dict[int, str] = {}
    existing = next(path for path in (always, *always.parents) if path.exists())
    counted = [
        part.mountpoint
        for part in psutil.disk_partitions(all=True)
        if is_counted(part.fstype, part.mountpoint)
    ]
    for path in (*counted, str(existing)):
        with suppress(OSError):
            state = os.statvfs(path)
            is_written = path == str(existing) or not state.f_flag & os.ST_RDONLY
            if Path(path).is_dir() and state.f_blocks and is_written:
                seen.setdefault(Path(path).stat().st_dev, path)
    return sorted(seen.values())
