"""Whatever root types, nothing of ours runs, listens or writes as root."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import chitlaq
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.stack.install import privileges, reachable_code, users
from chitlaq.stack.supervisor import leftovers
from tests.conftest import Stack, start_stack, stop_stack
from tests.disks import small_disk

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root up")

COMMANDS = (
    ("ps",),
    ("logs", "--tail", "1"),
    ("backup", "run", "full"),
    ("ops", "check", "host.load"),
    ("ops", "do", "prune", "--yes", "--why", "a test"),
    ("rotate",),
    ("config", "nginx", "--write"),
)


def owned_by_root(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.rglob("*")) if path.lstat().st_uid == 0]


def processes_of(stack: Stack) -> list[psutil.Process]:
    """The supervisor and everything that it started."""
    found = psutil.Process(stack.ps()["postgres"]["pid"]).parent()
    assert found is not None
    return [found, *found.children(recursive=True)]


def assert_nothing_is_root(stack: Stack) -> None:
    processes = processes_of(stack)
    assert len(processes) > 15
    for process in processes:
        state = Path(f"/proc/{process.pid}/status").read_text()
        (groups,) = re.findall(r"^Groups:(.*)$", state, re.MULTILINE)
        numbers = (*process.uids(), *process.gids(), *map(int, groups.split()))
        assert 0 not in numbers, process.cmdline()
    listeners = {
        tuple(connection.laddr)[1]: connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    for name in ("postgres", "redis", "edge", "gateway", "auth", "feed"):
        pid = listeners[stack.ports[name]]
        assert pid is not None
        assert psutil.Process(pid).uids().real != 0, name


def typed(stack: Stack, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as root does, in a process of its own that then gives root up."""
    command = [sys.executable, "-m", "chitlaq", *words]
    return subprocess.run(
        command, env=stack.environment | variables, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def low_port() -> int:
    # Another run on this machine looks for one too.
    for port in random.sample(range(81, 1024), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port below 1024")


@pytest.fixture(scope="module")
def taken_over() -> Iterator[Stack]:
    """A home that root made and wrote to, with the edge on a port that only root may take."""
    stack = start_stack(CHITLAQ_BACKUPS_ARCHIVE="on")
    stack.ports["edge"] = low_port()
    stack.environment["CHITLAQ_PORTS_EDGE"] = str(stack.ports["edge"])
    outside = stack.home.with_name(f"{stack.home.name}-backups")
    stack.environment["CHITLAQ_BACKUPS_FOLDER"] = str(outside)
    for folder in (stack.home / "logs", stack.home / "ops", outside / "physical"):
        folder.mkdir(mode=0o700, parents=True)
        (folder / "of-root").touch(mode=0o600)
    (stack.home / "chitlaq.toml").touch(mode=0o600)
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)
        shutil.rmtree(outside)


def test_nothing_runs_or_listens_as_root(stack: Stack) -> None:
    assert_nothing_is_root(stack)
    for process in processes_of(stack):
        # Without a low port, not even the right to those is kept.
        assert "CapPrm:\t0000000000000000" in Path(f"/proc/{process.pid}/status").read_text()


def test_no_group_of_root_is_kept(taken_over: Stack) -> None:
    command = [sys.executable, "-m", "chitlaq", "exec", "postgres", "psql", "-c", r"\! id -G"]
    answer = subprocess.run(
        command, env=taken_over.environment, capture_output=True, text=True, timeout=120,
        check=False, extra_groups=[0, 4],
    )  # fmt: skip
    user = users.service_user()
    assert user is not None
    expected = set(os.getgrouplist(user.pw_name, user.pw_gid))
    assert set(map(int, answer.stdout.split())) == expected, answer.stderr


def test_home_of_root_is_taken_over_with_its_backups_and_a_low_port(taken_over: Stack) -> None:
    assert_nothing_is_root(taken_over)
    assert owned_by_root(taken_over.home) == []
    assert owned_by_root(Path(taken_over.environment["CHITLAQ_BACKUPS_FOLDER"])) == []


def test_right_to_low_ports_is_the_only_one_that_is_kept(taken_over: Stack) -> None:
    for process in processes_of(taken_over):
        state = Path(f"/proc/{process.pid}/status").read_text()
        assert "CapEff:\t0000000000000400" in state


def test_commands_of_root_leave_no_file_of_root(taken_over: Stack) -> None:
    for words in COMMANDS:
        answer = taken_over.command(*words)
        assert answer.returncode in {0, 3}, (words, answer.stderr)
    assert owned_by_root(taken_over.home) == []
    assert owned_by_root(Path(taken_over.environment["CHITLAQ_BACKUPS_FOLDER"])) == []


def test_command_that_stays_root_leaves_no_file_of_root_in_the_home(taken_over: Stack) -> None:
    folder = taken_over.home / "grafana"
    answer = typed(taken_over, "config", "grafana", str(folder))
    assert answer.returncode == 0, answer.stderr
    assert any(folder.iterdir())
    assert owned_by_root(taken_over.home) == []


def test_environment_of_another_user_names_nothing_of_root(tmp_path: Path) -> None:
    user = users.service_user()
    assert user is not None
    of_root = {"HOME": "/root", "USER": "root", "XDG_DATA_HOME": "/root/data", "LANG": "C.UTF-8"}
    of_root["TMPDIR"] = str(tmp_path / "none")
    given = privileges.environment_of(user, Home(tmp_path), of_root)
    assert given["HOME"] != "/root"
    assert {"XDG_DATA_HOME", "TMPDIR"}.isdisjoint(given)
    assert (given["USER"], given["LOGNAME"], given["LANG"]) == (
        user.pw_name,
        user.pw_name,
        "C.UTF-8",
    )
    # Whom the record of actions names.
    assert given["SUDO_USER"] == "root"
    given = privileges.environment_of(user, Home(tmp_path), of_root | {"SUDO_USER": "alice"})
    assert given["SUDO_USER"] == "alice"


def test_command_of_root_names_itself_and_root_as_usual(taken_over: Stack) -> None:
    answer = typed(taken_over, "ps", "--none")
    assert answer.returncode == 2
    assert "Usage: chitlaq ps" in answer.stderr


def test_file_that_only_root_may_read_is_read(taken_over: Stack, tmp_path: Path) -> None:
    file = tmp_path / "universities.csv"
    file.write_text("name,domain\nSecret University,secret.example\n")
    file.chmod(0o600)
    answer = typed(taken_over, "universities", "import", str(file))
    assert (answer.returncode, answer.stderr) == (0, "")


def test_shared_folder_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "somebody's").touch()
    # Folders of a system have names that a home has too.
    like_var = Path(tempfile.mkdtemp(prefix="chitlaq-var-"))
    for name in ("run", "backups", "log", "lib"):
        (like_var / name).mkdir(parents=True)
    setting = "CHITLAQ_HOME"
    # As /tmp, and empty.
    shared = Path(tempfile.mkdtemp(prefix="chitlaq-shared-"))
    shared.chmod(0o1777)
    for place in (tmp_path, like_var, shared, Path("/tmp")):
        before = place.stat()
        stack = start_stack(CHITLAQ_HOME=str(place))
        answer = stack.command("up", "--detach")
        stack.home.rmdir()
        assert answer.returncode == 1
        assert (
            f"{setting} is {place}, which belongs to root and holds other things" in answer.stderr
        )
        assert (place.stat().st_uid, place.stat().st_mode) == (before.st_uid, before.st_mode)
    shutil.rmtree(like_var)
    shared.rmdir()


def test_help_takes_nothing_over() -> None:
    stack = start_stack()
    answer = stack.command("up", "--help")
    assert answer.returncode == 0
    assert stack.home.stat().st_uid == 0
    stack.home.rmdir()


def test_settings_that_a_service_could_change_give_nothing_away(
    taken_over: Stack, tmp_path: Path
) -> None:
    assert typed(taken_over, "down").stdout == "Stopped.\n"
    for folder in (tmp_path / "roots", tmp_path / "roots" / "new"):
        folder.parent.mkdir(exist_ok=True)
        tmp_path.chmod(0o755)
        for setting in ("folder", "copy_to"):
            environment = {f"CHITLAQ_BACKUPS_{setting.upper()}": str(folder)}
            if setting == "folder" and folder.name == "roots":
                folder.mkdir()
            answer = typed(taken_over, "up", "--detach", **environment)
            assert answer.returncode == 1
            assert f"the setting backups.{setting} names: `mkdir -p {folder}`" in answer.stderr
    assert owned_by_root(tmp_path) == [tmp_path, tmp_path / "roots"]
    assert list((tmp_path / "roots").iterdir()) == []
    assert typed(taken_over, "up", "--detach").returncode == 0


def test_root_ends_what_a_killed_supervisor_with_a_right_has_left(taken_over: Stack) -> None:
    supervisor, *others = processes_of(taken_over)
    for process in others:
        process.suspend()
    supervisor.kill()
    answer = typed(taken_over, "down")
    assert (answer.returncode, answer.stdout) == (0, "Stopped.\n"), answer.stderr
    assert leftovers.marked(Home(taken_over.home)) == {}
    assert typed(taken_over, "up", "--detach").returncode == 0


@pytest.mark.parametrize(
    ("line", "is_so"),
    [
        ("ops do updates", True),
        ("ops do --yes updates --why now", True),
        ("ops do --why=prune updates", True),
        ("ops do --why updates prune", False),
        ("ops do prune --why updates", False),
        ("exec postgres config grafana", False),
        ("backup key", True),
        ("logs --grep backup key", False),
        ("backup run key", False),
    ],
)
def test_only_the_words_of_a_command_keep_root(line: str, is_so: bool) -> None:
    assert privileges.stays_root(line.split()) is is_so


def test_program_that_is_asked_for_help_is_not_run_as_root(taken_over: Stack) -> None:
    words = ["exec", "postgres", "psql", "-d", "chitlaq", "-c", r"\! id -u"]
    answer = typed(taken_over, *words, "-h", str(taken_over.home / "run" / "postgres"))
    assert answer.stdout.strip() not in {"", "0"}, answer.stderr


def test_links_out_of_the_home_give_nothing_away(tmp_path: Path) -> None:
    user = users.service_user()
    assert user is not None
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    for name in ("shadow", "alone"):
        (outside / name).touch()
    (home / "folder").symlink_to(outside)
    (home / "file").symlink_to(outside / "shadow")
    os.link(outside / "shadow", home / "second-name")
    opened = os.open(home, os.O_RDONLY)
    privileges.hand_over(opened, user)
    os.close(opened)
    assert home.stat().st_uid == user.pw_uid
    assert {*owned_by_root(outside)} == {outside, outside / "shadow", outside / "alone"}


def test_other_file_system_in_the_home_is_not_given_away(tmp_path: Path) -> None:
    user = users.service_user()
    assert user is not None
    home = tmp_path / "home"
    home.mkdir()
    with small_disk(1, home) as disk:
        (disk / "of-root").touch()
        opened = os.open(home, os.O_RDONLY)
        privileges.hand_over(opened, user)
        os.close(opened)
        assert owned_by_root(home) == [disk, disk / "of-root"]


def test_closed_code_is_copied_readable_and_kept_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = users.service_user()
    assert user is not None
    closed = tmp_path / "closed"
    shutil.copytree(
        Path(chitlaq.__file__).parent / "core",
        closed / "chitlaq" / "core",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (closed / "chitlaq" / "__init__.py").write_text("WORD = 'first'\n")
    for folder in (closed, closed / "mine"):
        folder.mkdir(exist_ok=True)
        (folder / "key").touch()
    closed.chmod(0o700)
    copies = Path(f"/tmp/chitlaq-copies-{os.getpid()}")
    monkeypatch.setattr(reachable_code, "COPIES", copies)
    source = str(Path(chitlaq.__file__).parents[1])
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != source])
    monkeypatch.setattr(chitlaq, "__file__", str(closed / "chitlaq" / "__init__.py"))

    def said() -> str:
        python, variables = reachable_code.launch(user, is_refreshed=True)
        return subprocess.run(
            [python, "-P", "-c", "import chitlaq, chitlaq.core.errors; print(chitlaq.WORD)"],
            env=variables, user=user.pw_uid, group=user.pw_gid, cwd="/",
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout.strip()  # fmt: skip

    try:
        assert said() == "first"
        (closed / "chitlaq" / "__init__.py").write_text("WORD = 'second'\n")
        shutil.rmtree(closed / "chitlaq" / "core" / "http")
        assert said() == "second"
        copied = copies / closed.relative_to("/") / "chitlaq"
        assert not (copied / "core" / "http").exists()
        # Compiled by root, since the user may not write there.
        assert list((copied / "core" / "__pycache__").glob("errors.*.pyc"))
        assert {path.stat().st_uid for path in copies.rglob("*")} == {0}
        assert not list(copies.rglob("key"))
        # Scripts and modules may lie anywhere, also among what is nobody else's business.
        monkeypatch.setattr(sys, "path", [*sys.path, str(closed / "mine")])
        with pytest.raises(OperatorError, match="take it out of PYTHONPATH"):
            said()
        with pytest.raises(PermissionError):
            reachable_code.reach(closed / "mine", user)
        assert not list(copies.rglob("key"))
    finally:
        shutil.rmtree(copies)
