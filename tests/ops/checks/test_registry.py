"""All checks: none is OK on an installation that never ran or without its program."""

from __future__ import annotations

from pathlib import Path

import pytest

from chitlaq.core.host import programs as host_programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings_loading import load
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import run
from chitlaq.ops.checks.sources.system import SystemView
from tests.conftest import PORTS, free_ports
from tests.ops.checks.run_check import run_check

OF_THE_MACHINE = (
    "host.",  # CPU, memory, disks, network and clock exist before ChitLaq
    "updates.",  # the distribution's packages
    "system.",  # the journal
    "cleanup.",  # temporary files and the package cache; nothing to delete is OK
    "security.ssh_",  # the machine's own log of logins
    "security.fail2ban",
    "security.bans",
    "security.audit",
)
"""Checks that look at the machine alone, and are right to find it well without an installation."""


async def test_no_check_is_ok_on_an_installation_never_started(tmp_path: Path) -> None:
    home = Home(tmp_path / "never")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    environment = {f"CHITLAQ_PORTS_{name.upper()}": str(port) for name, port in ports.items()} | {
        "CHITLAQ_BACKUPS_FOLDER": str(tmp_path / "none")
    }
    system = SystemView(home, load(home, environment))
    try:
        done = await run(system, "all", list(CHECKS.values()), "a test")
    finally:
        await system.close()
    green = {one.check: one.summary for one in done.results if one.verdict is Verdict.OK}
    wrong = {name: said for name, said in green.items() if not name.startswith(OF_THE_MACHINE)}
    assert not wrong
    alone = {one.check for one in done.problems if not one.check.startswith(OF_THE_MACHINE)}
    assert alone - {"backup.database", "backup.physical", "backup.configuration"} == {
        "services.processes"
    }, "all else does not answer because nothing runs"
    late = {
        one.check: one.duration_seconds
        for one in done.results
        if one.duration_seconds > CHECKS[one.check].timeout_seconds + 1
    }
    assert not late, "each ends within its time"
    assert not home.root.exists(), "to look leaves nothing behind"


@pytest.mark.parametrize(
    "check",
    [
        "security.fail2ban",
        "security.audit",
        "updates.all",
        "updates.security",
        "services.containers",
    ],
)
async def test_missing_program_is_skipped_naming_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(host_programs, "SYSTEM_FOLDERS", ("/nonexistent",))
    found = await run_check(Home(tmp_path), check)
    assert found.verdict == Verdict.SKIPPED
    assert "package" in found.summary
