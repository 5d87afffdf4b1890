"""Kill a command with SIGKILL in the middle of a step."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Stack


def killed_at(stack: Stack, call: str, part: str, *words: str) -> None:
    """Run ``chitlaq backup WORDS`` and kill it when a call such as ``os.rename`` is about to touch a path.

    Only the process itself is killed: its children live on unless something else ends them.
    """
    done = stack.command("backup", *words, killed_at=(call, part))
    assert done.returncode == -9, done.stdout + done.stderr


def leftovers(stack: Stack) -> list[Path]:
    """What scratch servers left in the stack's own temporary folder."""
    return list(Path(stack.environment["TMPDIR"]).glob("chitlaq_drill_*"))


def own_temporary_folder(stack: Stack) -> None:
    folder = stack.home / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    stack.environment["TMPDIR"] = str(folder)
