"""The walls between packages hold for module names in strings too, which import-linter cannot see."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
MODULE_NAME = re.compile(r"\bchitlaq\.(\w+(?:\.\w+)*)")


def linter() -> dict[str, Any]:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return configuration["tool"]["importlinter"]  # type: ignore[no-any-return]


def ranks() -> dict[str, int]:
    """Each top-level module and its layer, counted from the bottom."""
    (contract,) = (one for one in linter()["contracts"] if one["type"] == "layers")
    return {
        name.strip().removeprefix("chitlaq."): rank
        for rank, layer in enumerate(reversed(contract["layers"]))
        for name in layer.split("|")
    }


RANKS = ranks()


def wing(module: str) -> str:
    """The group of a module: a layer's package, and each service on its own."""
    parts = module.split(".")
    return ".".join(parts[:2] if parts[0] == "services" else parts[:1])


def strings(source: str) -> Iterator[tuple[int, str]]:
    """Every string of a module that is not documentation, with its line."""
    tree = ast.parse(source)
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in statements
        ):
            yield node.lineno, node.value


def names_above(module: str, source: str) -> list[str]:
    """Modules that a module's strings name but that it must not know; ``module`` is without ``chitlaq.``."""
    own = wing(module)
    return [
        f"{module}:{line} names chitlaq.{name}"
        for line, text in strings(source)
        for name in MODULE_NAME.findall(text)
        if (top := name.split(".")[0]) in RANKS
        and wing(name) != own
        and RANKS[top] >= RANKS[own.split(".")[0]]
    ]


def test_no_string_names_a_module_of_a_higher_layer() -> None:
    found = []
    for path in sorted((SOURCE / "chitlaq").rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE / "chitlaq").with_suffix("").parts)
        # The inventory's column `package` is where each service is found.
        if module not in {"inventory", "__init__"}:
            found += names_above(module, path.read_text())
    assert not found


@pytest.mark.parametrize(
    ("module", "source", "is_allowed"),
    [
        ("core.http.app", 'load_queries("chitlaq.core.data", "x")', True),
        ("core.http.app", 'load_queries("chitlaq.ops", "x")', False),
        ("core.http.app", 'import_module(f"chitlaq.services.{name}")', False),
        ("core.http.app", '"""Used by `chitlaq.ops`."""', True),
        ("core.installation.home", 'root / "chitlaq.toml"', True),
        ("services.feed.posts", 'import_module("chitlaq.services.auth.routes")', False),
        ("services.feed.posts", 'files("chitlaq.services.feed")', True),
        ("stack.supervisor.supervisor", '["-m", "chitlaq.services.feed"]', False),
        ("stack.supervisor.supervisor", 'run("python -m chitlaq.cli.app")', False),
        ("cli.history_db", 'load_queries("chitlaq.ops", "x")', True),
    ],
)
def test_scan_finds_upward_references(module: str, source: str, is_allowed: bool) -> None:
    assert (names_above(module, source) == []) is is_allowed


def imports(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """What a module imports while it is imported itself."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" not in ast.unparse(statement.test):
            yield from imports(statement.body + statement.orelse)
        elif isinstance(statement, ast.Try):
            yield from imports(statement.body + statement.orelse + statement.finalbody)


def needs(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules that each of these modules imports while it is imported itself."""
    found: dict[str, set[str]] = {}
    for module, source in sources.items():
        names = set()
        for one in imports(ast.parse(source).body):
            for alias in one.names:
                parent = f"{one.module}." if isinstance(one, ast.ImportFrom) else ""
                name = f"{parent}{alias.name}"
                names.add(name if name in sources else parent.rstrip("."))
        found[module] = names & sources.keys() - {module}
    return found


def test_any_module_can_be_imported_first() -> None:
    """The tests' commands are forked with all modules loaded, so they would not notice a cycle."""
    sources = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path.read_text()
        for path in SOURCE.rglob("*.py")
    }
    graphlib.TopologicalSorter(needs(sources)).prepare()


@pytest.mark.parametrize(
    ("source", "is_cycle"),
    [
        ("from a.b import thing", True),
        ("import a.b", True),
        ("from a import b", True),
        ("if True:\n    from a import b", True),
        ("try:\n    from a import b\nexcept ImportError:\n    b = None", True),
        ("from a import d", False),
        ("def late():\n    from a import b", False),
        ("if TYPE_CHECKING:\n    from a import b", False),
    ],
)
def test_cycles_of_imports_are_found(source: str, is_cycle: bool) -> None:
    sorter = graphlib.TopologicalSorter(
        needs({"a": "", "a.b": "from a.c import x", "a.c": source, "a.d": ""})
    )
    if is_cycle:
        with pytest.raises(graphlib.CycleError):
            sorter.prepare()
    else:
        sorter.prepare()


def test_walls_have_no_exceptions() -> None:
    for contract in linter()["contracts"]:
        assert not [key for key in contract if "ignore" in key], contract["name"]
