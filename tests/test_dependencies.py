"""A fresh installation has every library that the program imports."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from chitlaq.stack.supervisor import fork_server

ROOT = Path(__file__).parents[1]
DEVELOPERS = {"playwright"}
"""Only developers have it: `chitlaq bench --web` says how to get it."""


def locked() -> set[str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.lock").read_text(), re.M)
    return {normal(name) for name in found}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(tree: ast.AST) -> set[str]:
    """The first words of all absolute imports, also of those inside functions."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module)
    return {name.partition(".")[0] for name in found}


def test_every_imported_library_is_locked() -> None:
    trees = [ast.parse(path.read_text()) for path in (ROOT / "src").rglob("*.py")]
    words = set().union(*map(imported, trees)) - {"chitlaq"} - DEVELOPERS - sys.stdlib_module_names
    words |= {name.partition(".")[0] for name in fork_server.LIBRARIES} - sys.stdlib_module_names
    owners, lock = packages_distributions(), locked()
    missing = {
        word for word in words if not any(normal(owner) in lock for owner in owners.get(word, []))
    }
    assert not missing, "they are imported, and `requirements.lock` does not have them"
