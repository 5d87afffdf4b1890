"""Programs that only development needs: on PATH, or unpacked from packages without installing them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chitlaq.core.errors import MissingProgramError
from chitlaq.stack.install import apt_unpack

_CHROMIUM = "usr/lib/chromium"
_SHELL = "chromium-headless-shell"
_FONT = "fonts-dejavu-core"
_FONTS = """\
<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{root}/usr/share/fonts</dir><cachedir>{root}/cache/fonts</cachedir></fontconfig>
"""


@dataclass(frozen=True, slots=True)
class Program:
    """The program's path, and the variables with which it finds its own files."""

    path: Path
    environment: Mapping[str, str]


def found(name: str, place: str, packages: Sequence[str], folder: str = "") -> Program:
    """Return a program from PATH or from its package, which is kept in the temporary folder.

    Args:
        name: the program's.
        place: where it is in its package.
        packages: its own first, then those to unpack beside it that it does not depend on.
        folder: where they are unpacked together, by default a folder of the first's name.

    Raises:
        MissingProgramError: there is neither.
    """
    path = shutil.which(name)
    if path:
        return Program(Path(path), os.environ)
    kept = Path(tempfile.gettempdir()) / f"chitlaq-packages-{os.getuid()}"
    root = kept / (folder or packages[0])
    apt_unpack.unpack(root, packages, with_missing=True, finish=_give_fonts)
    libraries = sorted({str(one.parent) for one in root.glob("usr/lib/*/**/*.so*")})
    libraries += sorted({str(one.parent) for one in root.glob("lib/*/*.so*")})
    return Program(
        root / place,
        {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(libraries),
            "FONTCONFIG_FILE": str(root / "fonts.conf"),
        },
    )


def chromium() -> Program:
    """Return Chromium.

    Raises:
        MissingProgramError: it is not on PATH, and cannot be fetched.
    """
    return found("chromium", f"{_CHROMIUM}/chromium", ("chromium", _FONT))


def headless_chromium() -> Program:
    """Return Chromium's headless shell, which takes a quarter less of a core; or else Chromium.

    It draws nothing around a page, and so no frames for that.

    Raises:
        MissingProgramError: neither is on PATH, and neither can be fetched.
    """
    if shutil.which(_SHELL) is None and shutil.which("chromium"):
        return chromium()
    try:
        return found(_SHELL, f"{_CHROMIUM}/{_SHELL}", (_SHELL, _FONT))
    except MissingProgramError:
        return chromium()


def _give_fonts(root: Path) -> None:
    (root / "fonts.conf").write_text(_FONTS.format(root=root))
