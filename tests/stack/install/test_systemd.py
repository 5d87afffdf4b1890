"""The unit for systemd: it is valid, confines the stack, and leads to this home whatever its name is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chitlaq.cli.app import app
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
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


def test_unit_is_of_the_owner_of_the_home(tmp_path: Path) -> None:
    found = systemd.of(Home(tmp_path), Settings())
    assert (found.home, found.needs_low_ports) == (tmp_path, False)
    assert found.user


def test_command_prints_the_unit_of_its_home(tmp_path: Path) -> None:
    environment = {"CHITLAQ_HOME": str(tmp_path)}
    answer = CliRunner().invoke(app, ["install", "systemd"], env=environment)
    assert answer.exit_code == 0, answer.output
    assert answer.output == systemd.unit(systemd.of(Home(tmp_path), Settings()))
