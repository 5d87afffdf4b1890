"""Install the machine's package updates with apt."""

from __future__ import annotations

import asyncio
import os
import shutil

from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import duration
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.checks.model import Section

UPDATE_SECONDS = 3600.0
APT_UPGRADE = ("--with-new-pkgs", "upgrade")
"""Like `apt upgrade`: it installs new packages (a kernel) and removes none."""


async def _apt(*words: str, seconds: float) -> str:
    program = shutil.which("apt-get")
    if program is None:
        raise OperatorError("This machine has no apt-get: use its own package manager.")
    process = await asyncio.create_subprocess_exec(
        program,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate()
    except TimeoutError:
        raise OperatorError(f"apt-get timed out after {duration(seconds)}.") from None
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    text = said.decode(errors="replace")
    if process.returncode:
        raise OperatorError(f"apt-get failed: {text.strip()[-500:]}")
    return text


async def _plan_updates(_context: ActionContext, _target: str) -> list[str]:
    text = await _apt("-s", "-o", "Debug::NoLocking=1", *APT_UPGRADE, seconds=120)
    known = [line for line in text.splitlines() if line.startswith("Inst ")]
    return [
        "fetch the package lists, which may add further updates",
        *(line.replace("Inst", "update", 1) for line in known),
    ]


async def _updates(_context: ActionContext, _target: str) -> str:
    if os.geteuid() != 0:
        raise OperatorError("Updating packages needs root: use sudo.")
    # By default, apt continues with old lists when it cannot fetch new ones, and reports success.
    fetched = await _apt("-o", "APT::Update::Error-Mode=any", "update", seconds=UPDATE_SECONDS)
    return fetched + await _apt("-y", *APT_UPGRADE, seconds=UPDATE_SECONDS)


UPDATES = Action(
    "updates",
    "Install the machine's pending package updates",
    Section.MAINTENANCE,
    "",
    ("sudo apt update", "sudo apt upgrade"),
    _plan_updates,
    _updates,
)
