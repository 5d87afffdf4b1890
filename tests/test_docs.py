"""Every link in the documentation is valid, and every file that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
SOURCE = re.compile(r"`(?:src/chitlaq/)?((?:core|services|stack|backups|ops|monitoring|logs|bench"
                    r"|seed|cli|web|migrations)(?:/\w+)*/(?:\w+\.\w+)?)`")  # fmt: skip


def _anchors(page: Path) -> set[str]:
    """The anchors of a page: its own, and those that GitHub derives from its headings."""
    text = page.read_text()
    own = re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading) for heading in headings)
    return {*own, *(re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in plain)}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_are_valid(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{path} is not there"
        if anchor:
            assert anchor in _anchors(target), f"{target.name} has no heading #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_named_source_files_exist(page: Path) -> None:
    for path in SOURCE.findall(page.read_text()):
        assert (ROOT / "src" / "chitlaq" / path).exists(), f"{path} is not there"


def test_first_decision_says_how_large_the_supervisor_became() -> None:
    said = re.search(
        r"about ([\d,]+) lines", (ROOT / "docs/decisions/0001-own-supervisor.md").read_text()
    )
    assert said
    lines = sum(
        len(module.read_text().splitlines())
        for module in (ROOT / "src/chitlaq/stack/supervisor").glob("*.py")
    )
    assert int(said[1].replace(",", "")) == pytest.approx(lines, rel=0.15)


def test_tests_that_the_standard_is_shown_by_exist() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", (ROOT / "docs/asvs.md").read_text())
    assert named
    for file, function in named:
        assert re.search(rf"^(async )?def {function}\(", (ROOT / file).read_text(), re.MULTILINE), (
            f"{file} has no {function}"
        )
