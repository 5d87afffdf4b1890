"""The modules of the members' application, as they import each other: what a browser is told in advance.

Without a bundler a browser learns of a module when it has read the one that imports it: each level costs a
round trip. A page therefore names all that its first screen needs (``modulepreload``).
"""

from __future__ import annotations

import posixpath
import re
from functools import cache
from importlib import resources
from typing import Final

ENTRY: Final = "app/main.js"
_IMPORT = re.compile(r'^(?:import|export)\b[^"\';]*?(?:from\s*)?"(\.[^"]+)"', re.MULTILINE)


@cache
def of_view(name: str) -> tuple[str, ...]:
    """Return what a page with this view needs; a page that is the server's alone has no view."""
    view = f"app/views/{name}.js"
    return needed(ENTRY, *([view] if view in views() else []))


@cache
def views() -> frozenset[str]:
    """Return the modules of all views."""
    folder = resources.files(__package__).joinpath("static", "app", "views")
    names = (one.name for one in folder.iterdir())
    return frozenset(f"app/views/{name}" for name in names if name.endswith(".js"))


def needed(*entries: str) -> tuple[str, ...]:
    """Return modules and all that they import, each once; what is imported on demand is not among them."""
    found: dict[str, None] = {}
    waiting = list(entries)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting += imports(name)
    return tuple(found)


def imports(name: str) -> list[str]:
    """Return what a module imports at its start, by the names of static files."""
    if name.startswith("vendor/"):
        return [f"vendor/{one}" for one in re.findall(r'from"\./([^"]+)"', _text(name))]
    folder = posixpath.dirname(name)
    return [posixpath.normpath(posixpath.join(folder, one)) for one in _IMPORT.findall(_text(name))]


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text()
