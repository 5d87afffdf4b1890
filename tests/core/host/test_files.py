"""A written file has the old content or the new one, whatever happens meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from chitlaq.core.host import files

WRITES_AND_DIES = """
import os, signal, sys
from pathlib import Path
from chitlaq.core.host import files
with files.draft(Path(sys.argv[1])) as draft:
    draft.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The flushed and renamed paths, by name, in order."""
    seen: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        seen.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def noted_rename(source: Path, target: Path) -> None:
        seen.append(f"rename {Path(source).name} {Path(target).name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    monkeypatch.setattr(os, "urandom", lambda count: b"\0" * count)
    return seen


def test_writer_killed_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    files.write(path, "old")
    killed = subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = tmp_path.glob("*.draft")
    assert left.read_text() == "half"
    # Its leftovers do no harm.
    files.write(path, "new")
    assert path.read_text() == "new"


def test_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    files.write(path, "old")
    with suppress(ZeroDivisionError), files.draft(path) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, events: list[str]
) -> None:
    files.write(tmp_path / "a", b"content")
    assert events == [
        "fsync a.00000000.draft",
        "rename a.00000000.draft a",
        f"fsync {tmp_path.name}",
    ]


def test_write_that_is_not_durable_flushes_nothing(tmp_path: Path, events: list[str]) -> None:
    files.write(tmp_path / "a", b"content", is_durable=False)
    assert events == ["rename a.00000000.draft a"]


def test_draft_has_its_mode_before_its_content(tmp_path: Path) -> None:
    with files.draft(tmp_path / "secret", mode=0o600) as draft:
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
        assert draft.read_bytes() == b""
        draft.write_text("secret")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_draft_has_its_owner_before_its_content(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    with files.draft(tmp_path / "token", owner=nobody) as draft:
        assert draft.stat().st_uid == nobody.pw_uid
    assert (tmp_path / "token").stat().st_uid == nobody.pw_uid


def _write_own(path: Path) -> str:
    files.write_once(path, f"{os.getpid()}")
    return path.read_text()


def test_write_once_has_one_winner_and_all_read_its_content(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with multiprocessing.get_context("fork").Pool(8) as pool:
        read = pool.map(_write_own, [path] * 32, chunksize=1)
    assert len(set(read)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_folder_is_complete_or_absent(tmp_path: Path, events: list[str]) -> None:
    path = tmp_path / "data"
    with suppress(ZeroDivisionError), files.draft_folder(path) as draft:
        (draft / "half").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    # Left by a killed process.
    (tmp_path / "data.draft" / "old").mkdir(parents=True)
    with files.draft_folder(path, mode=0o700) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "file").write_text("x")
        (draft / "link").symlink_to("nowhere")
        assert not path.exists()
    assert {one.name for one in path.iterdir()} == {"inner", "link"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    renamed = events.index("rename data.draft data")
    assert {"fsync file", "fsync inner", "fsync data.draft"} <= set(events[:renamed])
    assert events[renamed + 1 :] == [f"fsync {tmp_path.name}"]


def test_link_points_to_the_old_or_the_new_target(tmp_path: Path, events: list[str]) -> None:
    link = tmp_path / "latest"
    files.point_to(link, Path("first"))
    files.point_to(link, Path("second"))
    assert link.readlink() == Path("second")
    assert events[-2:] == ["rename latest.00000000.draft latest", f"fsync {tmp_path.name}"]
    assert [one.name for one in tmp_path.iterdir()] == ["latest"]


def test_moved_file_is_flushed_before_and_its_new_folder_after(
    tmp_path: Path, events: list[str]
) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "from" / "a").write_text("x")
    files.durable_rename(tmp_path / "from" / "a", tmp_path / "to" / "b")
    assert events == ["fsync a", "rename a b", "fsync to"]


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "\U0001f600" * 63])
def test_longest_name_that_the_file_system_takes_is_written(tmp_path: Path, name: str) -> None:
    files.write(tmp_path / name, "x")
    files.write_once(tmp_path / name, "y")
    assert (tmp_path / name).read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    target, link = tmp_path / "kept" / "settings", tmp_path / "settings"
    link.symlink_to("kept/settings")
    for content in ("first", "second"):
        files.write(link, content)
        assert link.is_symlink()
        assert target.read_text() == content


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_link_that_another_user_made_leads_root_nowhere(tmp_path: Path) -> None:
    target, link = tmp_path / "precious", tmp_path / "settings"
    target.write_text("old")
    link.symlink_to(target)
    os.lchown(link, 65_534, 65_534)
    files.write(link, "new")
    assert target.read_text() == "old"
    assert not link.is_symlink()


def test_file_that_is_generated_at_each_start_is_written_only_if_it_differs(tmp_path: Path) -> None:
    path = tmp_path / "generated"
    files.ensure(path, "content", mode=0o600)
    first = path.stat()
    files.ensure(path, "content", mode=0o600)
    assert path.stat().st_ino == first.st_ino
    path.chmod(0o644)
    files.ensure(path, "content", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files.ensure(path, "another", mode=0o600)
    assert path.read_text() == "another"
