"""Programs of the distribution's packages, unpacked and not installed, for tests that need one."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def unpacked(package: str, program: str) -> Path:
    """Return a program from PATH, or out of its package; skip the test where it cannot be had."""
    found = shutil.which(program)
    if found:
        return Path(found)
    if shutil.which("apt-get") is None:
        pytest.skip(f"{program} is not on this machine, and there is no package client")
    folder = Path(tempfile.gettempdir()) / f"chitlaq-packages-{os.getuid()}" / package
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "usr").exists():
            done = subprocess.run(
                ["apt-get", "download", "-o", "APT::Sandbox::User=", package],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                pytest.skip(f"{package} could not be fetched: {done.stderr.strip()}")
            (archive,) = folder.glob("*.deb")
            subprocess.run(["dpkg", "-x", archive, folder], check=True)
    for place in ("usr/sbin", "usr/bin", "sbin", "bin"):
        if (folder / place / program).exists():
            return folder / place / program
    raise AssertionError(f"{package} has no {program}")
