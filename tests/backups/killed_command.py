"""Kill a command with SIGKILL in the middle of a step: by itself, at a given system call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import Stack

# Python raises an audit event before each call that touches a file.
_PROGRAM = """
import os, signal, sys
wanted, part = sys.argv[1:3]
def hear(event, arguments):
    if event == wanted and any(part in str(one) for one in arguments):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hear)
sys.argv = ["chitlaq", *sys.argv[3:]]
from chitlaq.__main__ import main
main()
"""


def killed_at(stack: Stack, call: str, part: str, *words: str) -> None:
    """Run ``chitlaq backup WORDS`` and kill it when a call such as ``os.rename`` is about to touch a path.

    Only the process itself is killed: its children live on unless something else ends them.
    """
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, call, part, "backup", *words],
        capture_output=True, text=True, env=stack.environment, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == -9, done.stdout + done.stderr


def leftovers(stack: Stack) -> list[Path]:
    """What scratch servers left in the stack's own temporary folder."""
    return list(Path(stack.environment["TMPDIR"]).glob("chitlaq_drill_*"))


def own_temporary_folder(stack: Stack) -> None:
    folder = stack.home / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    stack.environment["TMPDIR"] = str(folder)
