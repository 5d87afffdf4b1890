"""The observers' programs are used only once they are complete."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chitlaq.core.errors import MissingProgramError
from chitlaq.core.installation.home import Home
from chitlaq.stack.install import apt_unpack
from chitlaq.stack.servers import observers


def test_program_of_an_interrupted_fetch_is_not_used(tmp_path: Path) -> None:
    if any(shutil.which(file) for file in observers.PROGRAMS["alertmanager"]):
        pytest.skip("the program is on this machine's PATH")
    home = Home(tmp_path)
    half = home.packages / "usr" / "bin" / "prometheus-alertmanager"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half of it")
    with pytest.raises(MissingProgramError):
        observers.program(home, "alertmanager")
    (home.packages / apt_unpack.FETCHED).touch()
    assert observers.program(home, "alertmanager") == half
