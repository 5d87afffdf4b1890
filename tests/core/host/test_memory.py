"""A folder in memory is made and removed with its link, and nothing else is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chitlaq.core.host import memory


def test_folder_is_in_memory_and_new_each_time(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics"
    memory.link(path)
    first = path.readlink()
    assert first.parent == memory.PLACE
    assert first.stat().st_mode & 0o777 == 0o700
    (path / "service").mkdir()
    memory.link(path)
    assert not first.exists()
    assert list(path.glob("[!.]*")) == []
    second = path.readlink()
    memory.remove(path)
    assert not second.exists()
    assert not path.is_symlink()


@pytest.mark.parametrize("kind", ["none", "folder", "broken link"])
def test_whatever_is_there_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "metrics"
    if kind == "folder":
        (path / "service").mkdir(parents=True)
    elif kind == "broken link":
        path.symlink_to(memory.PLACE / f"{memory.PREFIX}after-a-reboot")
    memory.link(path)
    assert list(path.glob("[!.]*")) == []
    memory.remove(path)


def test_link_of_somebody_elses_choice_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    path = tmp_path / "metrics"
    path.symlink_to(tmp_path / "precious")
    memory.link(path)
    assert (tmp_path / "precious").exists()
    memory.remove(path)


def test_without_memory_that_stays_it_is_an_ordinary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is none, and where logind would remove it at the end of a session."""
    path = tmp_path / "metrics"
    with monkeypatch.context() as changed:
        changed.setattr(memory, "PLACE", tmp_path / "nowhere")
        memory.link(path)
        assert path.is_dir()
        assert not path.is_symlink()
    with monkeypatch.context() as changed:
        changed.setattr(memory, "SYSTEMD", tmp_path)
        changed.setattr(memory, "LAST_SYSTEM_USER", -1)
        memory.link(path)
        assert path.is_dir()
        assert not path.is_symlink()


def left_by_a_killed_process(path: Path) -> Path:
    """A folder whose process was killed, and could not remove it."""
    source = (
        "import os, sys; from pathlib import Path; from chitlaq.core.host import memory;"
        "memory.link(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", source, path], check=False, timeout=60)
    return path.readlink()


def test_what_belongs_to_nobody_is_swept_and_nothing_else(tmp_path: Path) -> None:
    def linked(name: str) -> Path:
        path = tmp_path / name / "metrics"
        memory.link(path)
        return path.readlink()

    used = linked("of a living process whose home is gone")
    shutil.rmtree(used.joinpath(memory.LINK).readlink().parent)
    killed = left_by_a_killed_process(tmp_path / "killed" / "metrics")
    gone = left_by_a_killed_process(tmp_path / "gone" / "metrics")
    (gone / "service").mkdir()
    shutil.rmtree(tmp_path / "gone")
    unknown = memory.PLACE / f"{memory.PREFIX}test-of-unknown-origin"
    unknown.mkdir()
    try:
        memory.sweep()
        found = [one.exists() for one in (used, killed, gone, unknown)]
        assert found == [True, True, False, True]
    finally:
        unknown.rmdir()
        shutil.rmtree(used)
        memory.remove(tmp_path / "killed" / "metrics")
