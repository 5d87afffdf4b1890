"""The targets of the Makefile and the timeout of the tests do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_SQL_LINE = 125

HANGS = """
    import asyncio

    async def test_event_that_never_comes():
        await asyncio.get_running_loop().create_future()

    async def test_next_one():
        await asyncio.sleep(0)
"""


def make(*words: str) -> str:
    """Run make with this Python's programs, without installing anything."""
    folder = Path(sys.executable).parent
    kept = ("-o", ".venv/.run", "-o", ".venv/.dev")
    return subprocess.run(
        ["make", "--silent", *kept, f"BIN={folder}", *words],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


def test_help_lists_every_target_with_a_sentence() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.M)
    assert phony
    listed = dict(line.split(maxsplit=1) for line in make("help").splitlines())
    assert set(listed) == set(phony[1].split())
    assert all(listed.values())


def test_make_docs_writes_the_pages_that_are_committed(tmp_path: Path) -> None:
    make("docs", f"DOCS={tmp_path}")
    written = sorted(tmp_path.iterdir())
    assert [page.name for page in written] == ["alerts.md", "metrics.md", "runbook.md"]
    for page in written:
        assert page.read_text() == (ROOT / "docs" / page.name).read_text(), "run `make docs`"


def test_sql_has_lines_that_can_be_read() -> None:
    """Nothing formats SQL; Python's lines are held by ruff."""
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "src").rglob("*.sql")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > MAX_SQL_LINE
    ]
    assert long == []


def test_hanging_test_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    lines = [line.removeprefix("    ") for line in HANGS.splitlines()]
    (tmp_path / "test_hangs.py").write_text("\n".join(lines))
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]
    answer = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), "--timeout=1", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Timeout (>1.0s)" in answer.stdout
    assert "1 failed, 1 passed" in answer.stdout
