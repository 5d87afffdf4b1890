"""Programs for development: what is on PATH is taken, and nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from chitlaq.stack.install import unpacked_programs


def test_chromium_on_path_serves_until_its_shell_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("chromium", "chromium-headless-shell"):
        (tmp_path / name).touch(0o755)
        assert unpacked_programs.headless_chromium().path == tmp_path / name
