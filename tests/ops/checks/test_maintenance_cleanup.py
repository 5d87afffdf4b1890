"""Files that are safe to delete."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chitlaq.core import ids
from chitlaq.core.installation.home import Home
from chitlaq.ops.actions import cleanup
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.runner import Run
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import run_history
from tests.ops.checks.run_check import run_check

DAY = 86_400.0


async def test_deletable_files_are_listed_without_those_in_use(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.logs.mkdir(parents=True)
    then = time.time() - 8 * DAY
    for name, is_old in (
        ("a.log", True),
        ("a.log.1", False),
        ("a.log.3.gz", True),
        ("x.draft", True),
    ):
        (home.logs / name).write_bytes(b"x" * 100)
        if is_old:
            os.utime(home.logs / name, (then, then))
    found = await run_check(home, "cleanup.candidates")
    assert found.verdict == Verdict.OK
    assert found.values["files"].value == 2
    assert found.values["bytes"].value == 200


async def test_clock_that_is_ahead_makes_no_file_old(tmp_path: Path) -> None:
    """By 30 days: what is two days old in truth looks a month old, and nobody recorded anything since."""
    home, now = Home(tmp_path), datetime.now(UTC)
    home.logs.mkdir(parents=True)
    with OpsDatabase(home) as database:
        for days in (0, *range(30, 42)):
            run = Run(
                ids.new(), "morning", now - timedelta(days=days), 1.0, Verdict.OK, "ada", "vm", []
            )
            assert await run_history.store(database, run) == ""
    for name, days in (("a.log.2", 32), ("a.log.3", 41), ("x.draft", 30), ("y.draft", 32)):
        then = (now - timedelta(days=days)).timestamp()
        (home.logs / name).write_bytes(b"x")
        os.utime(home.logs / name, (then, then))
    found = await cleanup.candidates(home)
    assert {one.path.name for one in found} == {"a.log.3", "y.draft"}
