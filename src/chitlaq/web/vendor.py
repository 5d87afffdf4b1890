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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chitlaq.core.host import files, programs

FETCH_SECONDS = 120.0
MANIFEST = "vendor.json"
# Browsers would ask for the map, which is not there.
SOURCE_MAP = re.compile(rb"\n?(?://[#@] sourceMappingURL=\S+|/\*[#@] sourceMappingURL=[^*]*\*/)")
MODULES = {
    b"preact": b"./preact.js",
    b"preact/hooks": b"./hooks.js",
    b"@preact/signals-core": b"./signals-core.js",
}
"""What modules name each other by, and where they are here: browsers follow addresses, not names."""
BARE_IMPORT = re.compile(rb"""(?<=from)\s*["'](%s)["']""" % b"|".join(MODULES))
SHAPE = re.compile(r"<(?:path|circle|rect|line|polyline|polygon|ellipse)\b[^>]*/>")
SITE = "src/chitlaq/web/site/static/vendor"


@dataclass(frozen=True, slots=True)
class Package:
    """A package, the folder that it is for, and which of its files are taken under which names.

    Args:
        icons: of its `icons/NAME.svg`, which become one file, `icons.svg`, with a symbol for each.
    """

    name: str
    version: str
    licence: str
    folder: str
    files: dict[str, str]
    icons: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """What its files are called here."""
        return {*self.files.values(), *(["icons.svg"] if self.icons else [])}


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
        "preact",
        "11.2.0",
        "MIT",
        SITE,
        {
            "dist/preact.mjs": "preact.js",
            "hooks/dist/hooks.mjs": "hooks.js",
            "LICENSE": "preact.LICENSE.txt",
        },
    ),
    Package(
        "htm",
        "3.1.1",
        "Apache-2.0",
        SITE,
        {"dist/htm.mjs": "htm.js", "LICENSE": "htm.LICENSE.txt"},
    ),
    Package(
        "@preact/signals-core",
        "1.14.5",
        "MIT",
        SITE,
        {"dist/signals-core.mjs": "signals-core.js", "LICENSE": "signals-core.LICENSE.txt"},
    ),
    Package(
        "@preact/signals",
        "2.11.4",
        "MIT",
        SITE,
        {"dist/signals.mjs": "signals.js", "LICENSE": "signals.LICENSE.txt"},
    ),
    Package(
        "lucide-static",
        "1.62.0",
        "ISC",
        SITE,
        {"LICENSE": "icons.LICENSE.txt"},
        (
            "archive",
            "arrow-down",
            "arrow-left",
            "ban",
            "bell",
            "bookmark",
            "chart-no-axes-column",
            "check",
            "chevron-right",
            "clock",
            "compass",
            "download",
            "ellipsis",
            "eye-off",
            "flag",
            "globe",
            "graduation-cap",
            "heart",
            "history",
            "house",
            "image",
            "image-plus",
            "key-round",
            "keyboard",
            "list-ordered",
            "lock",
            "log-out",
            "mail",
            "message-circle",
            "message-square",
            "monitor",
            "paperclip",
            "pencil",
            "pin",
            "plus",
            "quote",
            "repeat-2",
            "reply",
            "search",
            "settings",
            "smile-plus",
            "sun-moon",
            "trash-2",
            "triangle-alert",
            "user",
            "user-plus",
            "users",
            "volume-x",
            "wifi-off",
            "x",
        ),
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

            def read(path: str) -> bytes:
                member = packed.extractfile(f"package/{path}")
                assert member is not None, path
                return member.read()

            for path, name in package.files.items():
                yield name, _for_browsers(read(path))
            if package.icons:
                icons = {name: read(f"icons/{name}.svg").decode() for name in package.icons}
                yield "icons.svg", _sprite(package, icons).encode()


def _for_browsers(content: bytes) -> bytes:
    """Return a file without the address of its source map, and with those of the modules it imports."""
    return BARE_IMPORT.sub(lambda found: b'"%s"' % MODULES[found[1]], SOURCE_MAP.sub(b"", content))


def _sprite(package: Package, icons: Mapping[str, str]) -> str:
    """Return one image of all icons; a page shows one by the name of its symbol."""
    symbols = [
        f'<symbol id="{name}" viewBox="0 0 24 24">{"".join(SHAPE.findall(icon))}</symbol>'
        for name, icon in icons.items()
    ]
    origin = f"<!-- {package.name} {package.version}, {package.licence} -->"
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg">{origin}', *symbols, "</svg>\n"])


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
