"""The members' modules: what they import is there, all of it is used, and the first screen is small."""

from __future__ import annotations

import gzip
import posixpath
import re
from importlib import resources
from pathlib import Path

from chitlaq.web.site import modules, worker

STATIC = Path(str(resources.files("chitlaq.web.site"))) / "static"
KIB = 1000
ON_DEMAND = re.compile(r'import\("(\.[^"]+)"\)')
VIEWS_ON_DEMAND = "import(`./views/${known.name}.js`)"


def packed(*names: str) -> int:
    """How large files are as nginx sends them."""
    return sum(len(gzip.compress((STATIC / name).read_bytes(), 4)) for name in set(names))


def reached(*entries: str) -> set[str]:
    """Return modules, and all that they import, at their start or on demand."""
    found = set(modules.needed(*entries))
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        text = (STATIC / name).read_text()
        later = {
            posixpath.normpath(posixpath.join(posixpath.dirname(name), one))
            for one in ON_DEMAND.findall(text)
        }
        if VIEWS_ON_DEMAND in text:
            later |= modules.views()
        new = set(modules.needed(*later)) - found
        found |= new
        waiting += new
    return found


def test_every_module_is_imported_and_every_import_is_a_module() -> None:
    templates = (STATIC.parent / "templates").rglob("*.html")
    named = {
        one
        for template in templates
        for one in re.findall(r'static\("([\w/-]+\.js)"\)', template.read_text())
    }
    found = reached(modules.ENTRY, *named)
    assert not [one for one in found if not (STATIC / one).is_file()]
    own = {one.relative_to(STATIC).as_posix() for one in STATIC.rglob("*.js")}
    assert own - found == {"sw.js"}, "nothing imports these"
    assert found - set(worker.kept_files()) <= {"passkey.js", "login.js"}, (
        "without a connection they are missing"
    )


def test_what_a_screen_waits_for_is_small() -> None:
    assert packed(*modules.needed(modules.ENTRY)) <= 35 * KIB
    for view in modules.views():
        assert packed(*modules.needed(modules.ENTRY, view)) <= 60 * KIB, view
    assert packed("app.css", "tokens.css") <= 12 * KIB
    for style in STATIC.glob("*.css"):
        if style.name != "page.css":
            assert packed("app.css", "tokens.css", style.name) <= 12 * KIB, style.name
