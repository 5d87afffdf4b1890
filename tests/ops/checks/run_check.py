"""Run checks that need no running stack, from the test's own home."""

from __future__ import annotations

from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result, judge
from chitlaq.ops.checks.sources.system import SystemView


async def run_check(home: Home, check: str, **environment: str) -> Result:
    """Run one check with the default settings, except for these variables."""
    system = SystemView(home, settings_loading.load(home, {"NOTHING": "", **environment}))
    try:
        return await judge(CHECKS[check], system)
    finally:
        await system.close()
