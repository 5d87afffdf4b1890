"""Updates of the machine: counted from recent package lists, and installed as they were counted.

apt-get is a script that prints the real one's output, since a test cannot choose which updates a machine
has. The lists' age is that of real files.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.actions.machine import APT_UPGRADE
from chitlaq.ops.actions.model import ActionContext
from chitlaq.ops.actions.registry import ACTIONS
from chitlaq.ops.checks import maintenance
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.sources import system
from tests.ops.checks.conftest import Programs
from tests.ops.checks.run_check import run_check

DAY = 86_400.0
OK, WARNING, CRITICAL, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN

PLAIN = "echo 'Inst a [1] (2 Debian:12/stable [amd64])'"
SAFETY = "echo 'Inst a [1] (2 Debian-Security:12/stable-security [amd64])'"
BOTH = ["updates.all", "updates.security"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """apt's lists, one of them just fetched."""
    folder = tmp_path / "lists"
    folder.mkdir()
    monkeypatch.setattr(maintenance, "APT_LISTS", folder)
    monkeypatch.setattr(maintenance, "APT_STAMPS", tmp_path / "periodic")
    for name, days in (("mirror_stable_InRelease", 90.0), ("mirror_security_InRelease", 0.0)):
        (folder / name).touch()
        age(folder / name, days)
    return folder


def age(path: Path, days: float) -> None:
    os.utime(path, (time.time() - days * DAY,) * 2)


@pytest.mark.parametrize(
    ("check", "script", "verdict"),
    [
        ("updates.all", "exit 0", OK),
        ("updates.security", "exit 0", OK),
        ("updates.all", PLAIN, OK),
        ("updates.security", PLAIN, OK),
        ("updates.security", SAFETY, WARNING),
        (
            "updates.security",
            'for n in $(seq 30); do echo "Inst a$n (2 Debian-Security:12/x [amd64])"; done',
            CRITICAL,
        ),
        ("updates.all", 'for n in $(seq 60); do echo "Inst a$n (2 x)"; done', WARNING),
        ("updates.all", 'for n in $(seq 600); do echo "Inst a$n (2 x)"; done', CRITICAL),
        ("updates.all", "echo 'E: broken' >&2; exit 100", UNKNOWN),
        ("updates.security", "echo 'E: broken' >&2; exit 100", UNKNOWN),
    ],
)
async def test_updates_are_judged_by_their_number(
    home: Home, lists: Path, programs: Programs, check: str, script: str, verdict: Verdict
) -> None:
    programs("apt-get", script)
    assert (await run_check(home, check)).verdict == verdict


@pytest.mark.parametrize("check", BOTH)
async def test_apt_has_the_time_that_it_takes_on_a_busy_first_morning(
    home: Home, lists: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    """Nobody waits for it: only apt's own limit ends it, and that says what took so long."""
    assert CHECKS[check].timeout_seconds > system.PROGRAM_SECONDS >= 60
    programs("apt-get", "exec sleep 60")
    monkeypatch.setattr(system, "PROGRAM_SECONDS", 0.2)
    found = await run_check(home, check)
    assert found.verdict == UNKNOWN
    assert "apt-get" in found.summary


@pytest.mark.parametrize("check", BOTH)
async def test_missing_package_lists_are_unknown(
    home: Home, lists: Path, programs: Programs, check: str
) -> None:
    programs("apt-get", "exit 0")
    for one in lists.iterdir():
        one.unlink()
    (lists / "lock").touch()
    found = await run_check(home, check)
    assert found.verdict == UNKNOWN
    assert "no package lists" in found.summary
    assert "sudo apt update" in found.summary
    assert "chitlaq ops do updates" in found.summary


@pytest.mark.parametrize("check", BOTH)
async def test_old_package_lists_are_unknown_unless_apt_found_none_newer(
    home: Home, lists: Path, programs: Programs, tmp_path: Path, check: str
) -> None:
    programs("apt-get", "exit 0")
    newest = lists / "mirror_security_InRelease"
    age(newest, 6)
    assert (await run_check(home, check)).verdict == OK
    age(newest, 8)
    found = await run_check(home, check)
    assert found.verdict == UNKNOWN
    assert "8 d old" in found.summary
    (tmp_path / "periodic").mkdir()
    (tmp_path / "periodic" / "update-success-stamp").touch()
    assert (await run_check(home, check)).verdict == OK


async def test_kept_back_update_is_counted_and_reported(
    home: Home, lists: Path, programs: Programs
) -> None:
    """An update that `upgrade` does not install, because it removes another package."""
    more = 'echo "Remv c [1]"; echo "Inst b [1] (2 x)"'
    programs(
        "apt-get",
        f'{PLAIN}; for word; do [ "$word" = dist-upgrade ] && {{ {more}; }}; done; exit 0',
    )
    found = await run_check(home, "updates.all")
    assert found.values["waiting"].value == 2
    assert found.values["kept_back"].value == 1
    assert "1 of them kept back" in found.summary


async def test_action_fetches_the_lists_and_then_installs_what_the_check_counted(
    home: Home, lists: Path, programs: Programs, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    programs("apt-get", f'echo "$@" >> {said}; {PLAIN}; echo "Remv c [1]"')
    context = ActionContext(home, Settings())
    plan = await ACTIONS["updates"].plan(context, "")
    assert plan == [
        "fetch the package lists, which may add further updates",
        "update a [1] (2 Debian:12/stable [amd64])",
    ]
    await run_check(home, "updates.all")
    planned, *counted = said.read_text().splitlines()
    words = " ".join(APT_UPGRADE)
    assert planned in counted
    assert planned.endswith(f" {words}")
    said.unlink()
    if os.geteuid() != 0:
        with pytest.raises(OperatorError, match="root"):
            await ACTIONS["updates"].do(context, "")
        return
    await ACTIONS["updates"].do(context, "")
    fetching, installing = said.read_text().splitlines()
    assert fetching.endswith(" update")
    assert installing == f"-y {words}"


async def test_action_installs_nothing_if_the_lists_cannot_be_fetched(
    home: Home, lists: Path, programs: Programs, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("this user may not update the machine")
    said = tmp_path / "said"
    programs("apt-get", f'echo "$@" >> {said}; echo "E: no network"; exit 100')
    with pytest.raises(OperatorError, match="no network"):
        await ACTIONS["updates"].do(ActionContext(home, Settings()), "")
    assert len(said.read_text().splitlines()) == 1
