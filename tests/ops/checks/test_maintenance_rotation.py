"""Log rotation: ChitLaq's logs by their size, the machine's by the real logrotate."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chitlaq.core.host import programs as host_programs
from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Verdict
from tests.debian_programs import unpacked
from tests.ops.checks.conftest import Programs
from tests.ops.checks.run_check import run_check

DAY = 86_400.0
OK, WARNING, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.UNKNOWN

Settle = Callable[[str], Path]
"""Gives the machine's logrotate its settings, and returns where it keeps its state."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.logs.mkdir(parents=True)
    (home.logs / "feed-service.log").write_bytes(b"x" * 900)
    return home


@pytest.fixture
def no_logrotate(programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(host_programs, "SYSTEM_FOLDERS", (str(tmp_path / "bin"),))


@pytest.fixture
def logrotate(tmp_path: Path, programs: Programs) -> Settle:
    """The real logrotate, with the test's configuration instead of the machine's."""
    real = unpacked("logrotate", "logrotate", "usr/sbin/logrotate")
    settings, state = tmp_path / "logrotate.conf", tmp_path / "status"
    libraries = real.environment.get("LD_LIBRARY_PATH", "")
    programs(
        "logrotate",
        f'test "$*" = "-d /etc/logrotate.conf" || exit 9\n'
        f'LD_LIBRARY_PATH="{libraries}" exec {real.path} -d -s {state} {settings}',
    )

    def settle(text: str) -> Path:
        settings.write_text(text)
        settings.chmod(0o644)
        subprocess.run(
            [real.path, "-s", state, settings],
            env=dict(real.environment),
            check=False,
            capture_output=True,
        )
        return state

    return settle


@pytest.mark.usefixtures("no_logrotate")
@pytest.mark.parametrize(("size", "verdict"), [(900, OK), (1600, WARNING)])
async def test_overdue_rotation_is_found(home: Home, size: int, verdict: Verdict) -> None:
    (home.logs / "feed-service.log").write_bytes(b"x" * size)
    found = await run_check(home, "logs.rotation", CHITLAQ_LOGS_MAX_BYTES="1000")
    assert found.verdict == verdict
    assert "it is in the package logrotate" in found.summary


async def test_rotation_without_logs_is_unknown(tmp_path: Path) -> None:
    assert (await run_check(Home(tmp_path / "none"), "logs.rotation")).verdict == UNKNOWN


async def test_logrotate_is_judged_by_when_it_last_ran(home: Home, logrotate: Settle) -> None:
    state = logrotate("weekly\n")
    found = await run_check(home, "logs.rotation")
    assert found.verdict == OK, found.summary
    assert "logrotate ran" in found.summary
    os.utime(state, (time.time() - 3 * DAY,) * 2)
    found = await run_check(home, "logs.rotation")
    assert found.verdict == WARNING
    assert "logrotate ran 3 d ago" in found.summary
    state.unlink()
    found = await run_check(home, "logs.rotation")
    assert found.verdict == WARNING
    assert "logrotate has never run" in found.summary


async def test_invalid_logrotate_configuration_is_a_warning(
    home: Home, logrotate: Settle, tmp_path: Path
) -> None:
    logrotate(f"{tmp_path}/no-such.log {{\n  rotat 3\n}}\n")
    found = await run_check(home, "logs.rotation")
    assert found.verdict == WARNING
    assert "logrotate reports 2 errors" in found.summary
    said = "\n".join(found.evidence[-1].lines)  # type: ignore[union-attr]
    assert "unknown option 'rotat'" in said
    assert "no-such.log" in said


@pytest.mark.parametrize(
    ("complaint", "verdict", "said"),
    [
        ("error: stat of /var/log/x/y failed: Permission denied", UNKNOWN, "check as root"),
        (
            "error: error opening state file {state}; assuming empty state: Permission denied",
            OK,
            "logrotate ran",
        ),
        ("", OK, "logrotate ran"),
    ],
)
async def test_unreadable_logrotate_configuration_is_unknown_except_its_last_run(
    home: Home, tmp_path: Path, programs: Programs, complaint: str, verdict: Verdict, said: str
) -> None:
    """A script prints what the real one prints to an ordinary user: root, as in CI, can read everything."""
    state = tmp_path / "status"
    state.touch()
    words = complaint.format(state=state)
    programs("logrotate", f"echo 'Reading state from file: {state}\n{words}' >&2")
    found = await run_check(home, "logs.rotation")
    assert (found.verdict, said in found.summary) == (verdict, True), found.summary
