"""One definition of which file systems can run out of space, for whoever looks at them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chitlaq.core.host import file_systems
from chitlaq.monitoring.alerts import registry
from chitlaq.monitoring.dashboards import rendering
from tests.disks import small_disk


@pytest.mark.parametrize(
    ("kind", "mount", "expected"),
    [
        ("ext4", "/", True), ("xfs", "/mnt/backups", True), ("ext4", "/media/usb", True),
        ("btrfs", "/run/media/ada/disk", True), ("fuseblk", "/mnt/windows", True), ("nfs4", "/home", True),
        ("overlay", "/", True), ("zfs", "/tank", True), ("vfat", "/boot/efi", True),
        ("squashfs", "/snap/core/1", False), ("tmpfs", "/mnt/fast", False), ("proc", "/proc", False),
        ("overlay", "/var/lib/docker/overlay2/x/merged", False), ("fuse.portal", "/run/user/1/doc", False),
        ("ext4", "/dev/shm", False), ("iso9660", "/media/cdrom", False),
    ],
)  # fmt: skip
def test_file_system_counts_if_it_can_run_out_of_space(
    kind: str, mount: str, expected: bool
) -> None:
    assert file_systems.is_counted(kind, mount) is expected


def test_nobody_defines_it_otherwise() -> None:
    def expressions(part: object) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("expr"), str):
                yield part["expr"]
            for one in part.values():
                yield from expressions(one)
        elif isinstance(part, list):
            for one in part:
                yield from expressions(one)

    said = [alert.expr for alert in registry.alerts()]
    for board in rendering.render().values():
        said += expressions(json.loads(board))
    selectors = [
        selector
        for text in said
        for selector in re.findall(r"node_filesystem_(?:avail|size)_bytes(\{[^}]*\})", text)
    ]
    assert len(selectors) > 5
    assert set(selectors) == {f"{{{file_systems.SELECTOR}}}"}


def test_full_disk_counts_wherever_it_is_mounted_and_one_in_memory_does_not(tmp_path: Path) -> None:
    with small_disk(1) as disk:
        assert str(disk) not in file_systems.mounts(tmp_path)
        assert str(disk) in file_systems.mounts(disk), "that of the home counts in any case"
