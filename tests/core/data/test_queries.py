"""Named queries: one set of a service's package and its slices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chitlaq.core.data import postgres

Package = Callable[[str, str], str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Make a package with these queries."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, text: str) -> str:
        folder = tmp_path / f"{tmp_path.name}_{name}"
        folder.mkdir()
        (folder / "__init__.py").touch()
        if text:
            (folder / "queries.sql").write_text(text)
        return folder.name

    return make


def test_queries_of_all_packages_are_loaded(package: Package) -> None:
    first = package("first", "-- name: one\n-- The one.\nSELECT 1;\n")
    second = package("second", "-- name: two (prepared)\nSELECT 2;\n")
    queries = postgres.load_queries(first, "test", second, package("third", ""))
    assert queries["one"].sql == "SELECT 1"
    assert queries["two"].sql == "/* test.two */ SELECT 2"


def test_two_queries_of_one_name_are_an_error(package: Package) -> None:
    first = package("first", "-- name: one\nSELECT 1;\n")
    second = package("second", "-- name: one\nSELECT 2;\n")
    with pytest.raises(ValueError, match="second: two queries are named one"):
        postgres.load_queries(first, "test", second)
