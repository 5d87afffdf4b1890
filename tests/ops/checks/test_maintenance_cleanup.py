"""Files that are safe to delete."""

from __future__ import annotations

import os
import time
from pathlib import Path

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Verdict
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
