"""What browsers get that others wrote: packages of npm as files of this repository (`make vendor`).

No bundler and nothing from elsewhere at run time: each package's ES module, style sheet and licence are
committed beside `vendor.json`, which says where they come from and their SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chitlaq.core.host import files, programs

FETCH_SECONDS = 120.0
MANIFEST = "vendor.json"
# Browsers would ask for the map, which is not there.
SOURCE_MAP = re.compile(rb"\n?(?://[#@] sourceMappingURL=\S+|/\*[#@] sourceMappingURL=[^*]*\*/)")


@dataclass(frozen=True, slots=True)
class Package:
    """A package, the folder that it is for, and which of its files are taken under which names."""

    name: str
    version: str
    licence: str
    folder: str
    files: dict[str, str]


PACKAGES = (
    Package(
        "uplot",
        "1.6.32",
        "MIT",
        "src/chitlaq/web/console/static/vendor",
        {
            "dist/uPlot.esm.js": "uplot.js",
            "dist/uPlot.min.css": "uplot.css",
            "LICENSE": "uplot.LICENSE.txt",
        },
    ),
    Package(
        "axe-core",
        "4.14.1",
        "MPL-2.0",
        "tests/browser/vendor",
        {
            "axe.min.js": "axe.js",
            "LICENSE": "axe.LICENSE.txt",
            "LICENSE-3RD-PARTY.txt": "axe.LICENSE-3RD-PARTY.txt",
        },
    ),
)


class Vendored(msgspec.Struct, frozen=True):
    """A package in a manifest: the SHA-256 of each of its files by name."""

    version: str
    licence: str
    files: dict[str, str]


Manifest = dict[str, Vendored]


def manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder."""
    return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)


def fetch(root: Path) -> None:
    """Fetch all packages with npm and write their files and manifests below the repository's root.

    Raises:
        OperatorError: npm is missing, or fails.
    """
    for folder in dict.fromkeys(package.folder for package in PACKAGES):
        (root / folder).mkdir(parents=True, exist_ok=True)
        listed: Manifest = {}
        for package in (one for one in PACKAGES if one.folder == folder):
            sums = {}
            for name, content in _contents(package):
                files.write(root / folder / name, content, mode=0o644)
                sums[name] = hashlib.sha256(content).hexdigest()
            listed[package.name] = Vendored(package.version, package.licence, sums)
        text = msgspec.json.format(msgspec.json.encode(listed), indent=2)
        files.write(root / folder / MANIFEST, text + b"\n", mode=0o644)


def _contents(package: Package) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each file that is taken from a package."""
    with tempfile.TemporaryDirectory() as folder:
        # npm checks the archive against the registry's sum; packing runs no script of the package.
        wanted = f"{package.name}@{package.version}"
        programs.run(
            ["npm", "pack", "--silent", "--pack-destination", folder, wanted],
            timeout_seconds=FETCH_SECONDS,
        ).checked()
        (archive,) = Path(folder).iterdir()
        with tarfile.open(archive) as packed:
            for path, name in package.files.items():
                member = packed.extractfile(f"package/{path}")
                assert member is not None, path
                yield name, SOURCE_MAP.sub(b"", member.read())


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
