"""Barman as it is run on machines that have little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Backups, Settings
from chitlaq.stack.servers import barman


def test_archived_wal_is_looked_at_without_programs_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images have no `file`, with which Barman looks whether it has encrypted a file of WAL."""
    monkeypatch.setenv("PATH", "/nonexistent")
    home = Home(tmp_path)
    secrets.ensure(home)
    barman.prepare(home, Settings(backups=Backups(folder=str(tmp_path / "backups"))))
    words = barman.command(home)
    begin = words[: words.index(sys.executable) + 1]
    code = (
        "from barman.encryption import GPGEncryption as one; print(one.recognize_encryption('x'))"
    )
    found = subprocess.run([*begin, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout == "False\n", found.stderr
