"""A folder in memory is made and removed with its link, and nothing else is."""

from __future__ import annotations

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
    assert list(path.iterdir()) == []
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
    assert list(path.iterdir()) == []
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
