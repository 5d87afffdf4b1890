"""The unit for systemd: it is valid, confines the stack, and leads to this home whatever its name is."""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chitlaq.cli.app import app
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Backups, Media, Settings, StatusPage
from chitlaq.stack.install import systemd
from chitlaq.stack.install.systemd import Installation
from tests.debian_programs import unpacked

NAMES = ("chitlaq", "with space", 'with "quotes" and 100 % $HOME', "Üniversite\\x20")


def analyze(folder: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What ``systemd-analyze`` says of a unit, without a running systemd."""
    program = unpacked("systemd", "systemd-analyze", "usr/bin/systemd-analyze")
    path = folder / systemd.UNIT
    path.write_text(text)
    return subprocess.run(
        [str(program.path), *words, str(path)],
        env=dict(program.environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_unit_is_valid_for_any_home(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    home.mkdir()
    answer = analyze(tmp_path, systemd.unit(Installation(home, "daemon", False)), "verify")
    # What else it says is of this machine's other units.
    assert systemd.UNIT not in answer.stderr, answer.stderr


@pytest.mark.parametrize("name", NAMES)
def test_folders_of_the_settings_outside_the_home_are_writable(tmp_path: Path, name: str) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / name
    settings = Settings(
        media=Media(url=str(elsewhere / "media")),
        backups=Backups(folder=str(elsewhere), copy_to="s3://bucket/copies"),
        statuspage=StatusPage(copy_to=str(home / "status")),
    )
    wanted = systemd.of(Home(home), settings)
    assert wanted.folders == (elsewhere, elsewhere / "media")
    text = systemd.unit(wanted)
    assert text.count("ReadWritePaths=") == 3
    answer = analyze(tmp_path, text, "verify")
    assert systemd.UNIT not in answer.stderr, answer.stderr


def test_homes_are_open_to_a_unit_that_has_a_folder_there() -> None:
    def protected(*folders: Path) -> bool:
        return "ProtectHome=yes" in systemd.unit(
            Installation(Path("/srv/chitlaq"), "chitlaq", False, folders)
        )

    assert not protected(Path("/home/operator/backups"))
    assert protected(Path("/mnt/backups")) == protected()


def test_mistake_in_the_unit_would_be_seen(tmp_path: Path) -> None:
    unit = systemd.unit(Installation(tmp_path, "daemon", False)).replace("notify", "notifies")
    assert systemd.UNIT in analyze(tmp_path, unit, "verify").stderr


def test_unit_confines_the_stack_as_far_as_it_can_be(tmp_path: Path) -> None:
    unit = systemd.unit(Installation(Path("/srv/chitlaq"), "chitlaq", False))
    answer = analyze(tmp_path, unit, "security", "--offline=true", "--json=short")
    found = json.loads(answer.stdout)
    open_still = {
        one["json_field"]: one["exposure"] for one in found if float(one["exposure"] or 0) >= 0.1
    }
    # It serves a network, and its checks read /proc; JIT compilers write what they run; the supervisor is not
    # the unit's first process; commands of the same user may have servers of their own.
    assert open_still.keys() <= {
        "PrivateNetwork",
        "PrivateUsers",
        "IPAddressDeny",
        "RestrictAddressFamilies_AF_INET_INET6",
        "RestrictAddressFamilies_AF_NETLINK",
        "RestrictAddressFamilies_AF_UNIX",
        "ProtectProc",
        "ProcSubset",
        "MemoryDenyWriteExecute",
        "SystemCallFilter_resources",
        "RootDirectoryOrRootImage",
        "NotifyAccess",
        "RemoveIPC",
        "DeviceAllow",
    }, open_still


def test_unit_that_its_user_could_not_run_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(OperatorError, match="daemon cannot"):
        systemd.write(Installation(closed, "daemon", False), tmp_path)
    assert not list(tmp_path.glob("*.service"))


def test_folder_of_the_settings_that_is_missing_is_said(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "not there"
    home.mkdir()
    home.chmod(0o777)
    with pytest.raises(OperatorError, match=re.escape(f"cannot write in {folder}")):
        systemd.write(Installation(home, "daemon", False, (folder,)), tmp_path)


@pytest.mark.parametrize(
    ("user", "folder", "said"),
    [("daemon", "missing", "no such folder"), ("no-such-user", ".", "no user no-such-user")],
)
def test_what_keeps_the_unit_from_being_written_is_said(
    tmp_path: Path, user: str, folder: str, said: str
) -> None:
    with pytest.raises(OperatorError, match=said):
        systemd.write(Installation(tmp_path / "home", user, False), tmp_path / folder)
    assert not (tmp_path / "home").exists()


def test_command_of_another_than_root_says_who_may(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    daemon = pwd.getpwnam("daemon")
    child = os.fork()
    if child == 0:
        os.setgid(daemon.pw_gid)
        os.setuid(daemon.pw_uid)
        try:
            systemd.write(Installation(tmp_path / "home", "daemon", False), closed)
        except OperatorError as error:
            os._exit(0 if "only root may" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_home_of_nobody_is_said(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives folders away")
    os.chown(tmp_path, 54_321, 54_321)
    with pytest.raises(OperatorError, match="user id 54321"):
        systemd.of(Home(tmp_path), Settings())


def test_unit_is_of_the_owner_of_the_home(tmp_path: Path) -> None:
    found = systemd.of(Home(tmp_path), Settings())
    assert (found.home, found.needs_low_ports) == (tmp_path, False)
    assert found.user


def test_command_prints_the_unit_of_its_home(tmp_path: Path) -> None:
    environment = {"CHITLAQ_HOME": str(tmp_path)}
    answer = CliRunner().invoke(app, ["install", "systemd"], env=environment)
    assert answer.exit_code == 0, answer.output
    assert answer.output == systemd.unit(systemd.of(Home(tmp_path), Settings()))
