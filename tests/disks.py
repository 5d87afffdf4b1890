"""A small disk of its own, which a test can fill."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(megabytes: int, within: Path = Path("/tmp")) -> Iterator[Path]:
    """Mount a file system of this size in memory, and yield its folder; skip where that is forbidden.

    Root mounts it. Others mount it in a user namespace, and reach it through the process that holds
    that, in /proc.
    """
    place = Path(tempfile.mkdtemp(prefix="disk-", dir=within))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(place)]
    holder = None
    try:
        if os.geteuid() == 0:
            mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
            if mounted.returncode:
                pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
            yield place
            return
        script = f"{' '.join(mount)} && echo mounted && exec cat"
        holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert holder.stdout is not None
        said = holder.stdout.readline()
        if said != "mounted\n":
            pytest.skip(f"no file system can be mounted here: {said.strip()}")
        yield Path(f"/proc/{holder.pid}/root{place}")
    finally:
        if holder is not None:
            holder.communicate()
        elif os.path.ismount(place):
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def real_disk(megabytes: int, within: Path = Path("/tmp")) -> Iterator[Path]:
    """Mount a file of this size as a disk, which observers report as one; skip where that is forbidden."""
    place = Path(tempfile.mkdtemp(prefix="disk-", dir=within))
    place.chmod(0o755)
    image, folder = place / "image", place / "disk"
    folder.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        for command in (
            ["mkfs.ext4", "-q", "-m", "0", str(image)],
            ["mount", "-o", "loop", str(image), str(folder)],
        ):
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError as missing:
                pytest.skip(str(missing))
            if done.returncode:
                pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        yield folder
    finally:
        if os.path.ismount(folder):
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(place, ignore_errors=True)


def fill(folder: Path) -> Path:
    """Take all the space that is left; deleting the returned file frees it."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler
