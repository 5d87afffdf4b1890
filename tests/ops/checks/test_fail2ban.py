"""Intruders: the real fail2ban with its own jail."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks import logs
from chitlaq.ops.checks.model import Lines, Table, Verdict
from tests.conftest import eventually
from tests.debian_programs import unpacked
from tests.ops.checks.conftest import Programs, program
from tests.ops.checks.run_check import run_check

OK, WARNING = Verdict.OK, Verdict.WARNING
UNKNOWN, SKIPPED = Verdict.UNKNOWN, Verdict.SKIPPED

SERVER = """\
[Definition]
loglevel = INFO
logtarget = {target}
syslogsocket = auto
socket = {folder}/socket
pidfile = {folder}/pid
dbfile = {folder}/bans.sqlite3
dbpurgeage = 1d
dbmaxmatches = 10
allowipv6 = auto
"""
JAIL = """\
[sshd]
enabled = true
filter = sshd
backend = polling
logpath = {folder}/auth.log
maxretry = 1
bantime = 600
findtime = 600
action =
"""

Running = Callable[..., AbstractContextManager[Path]]
"""Runs fail2ban, and gives the folder that it works in."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def fail2ban(tmp_path: Path, programs: Programs) -> Running:
    """The real fail2ban; its jail bans in its database and in no firewall."""
    real = unpacked("fail2ban", "fail2ban-client", "usr/bin/fail2ban-client")
    root = real.path.parents[2]
    is_unpacked = (root / "usr/lib/python3/dist-packages/fail2ban").exists()
    modules = str(root / "usr/lib/python3/dist-packages") if is_unpacked else ""
    filters = (root if is_unpacked else Path("/")) / "etc/fail2ban/filter.d"
    folder = tmp_path / "fail2ban"
    (folder / "filter.d").mkdir(parents=True)
    for name in ("sshd.conf", "common.conf"):
        (folder / "filter.d" / name).write_text((filters / name).read_text())
    (folder / "auth.log").touch()
    environment = ["env", f"PYTHONPATH={modules}", "/usr/bin/python3"]
    client = [*environment, str(real.path), "-c", str(folder)]
    programs("fail2ban-client", f'exec {shlex.join(client)} "$@"')

    @contextmanager
    def running(jails: str = JAIL, target: str = "{folder}/fail2ban.log") -> Iterator[Path]:
        target = target.format(folder=folder)
        (folder / "fail2ban.conf").write_text(SERVER.format(folder=folder, target=target))
        (folder / "jail.conf").write_text(jails.format(folder=folder))
        server = str(real.path.with_name("fail2ban-server"))
        with program(folder, *environment, server, "-c", str(folder), "-f", "start"):
            yield folder

    return running


def asked(*words: str) -> str:
    done = subprocess.run(["fail2ban-client", *words], capture_output=True, text=True, check=False)
    return done.stdout


async def test_jails_are_shown_with_bans_and_the_end_of_the_log(
    home: Home, fail2ban: Running
) -> None:
    with fail2ban() as folder:
        await eventually(lambda: "sshd" in asked("status"))
        with (folder / "auth.log").open("a") as log:
            for number in (1, 2):
                log.write(
                    f"{datetime.now().astimezone():%b %d %H:%M:%S} vm sshd[71]:"
                    f" Failed password for root from 203.0.113.{number} port 22 ssh2\n"
                )
        await eventually(lambda: "Currently banned:\t2" in asked("status", "sshd"))
        found = await run_check(home, "security.fail2ban")
        assert found.verdict == OK
        assert found.summary == "jails: sshd; 2 addresses banned now"
        table, shown = found.evidence
        assert isinstance(table, Table)
        assert [list(row) for row in table.rows] == [
            ["sshd", "0", "2", "2", "2", "203.0.113.1 203.0.113.2"]
        ]
        assert isinstance(shown, Lines)
        assert any("Ban 203.0.113.2" in line for line in shown.lines)
        database = folder / "bans.sqlite3"
        bans = await run_check(
            home, "security.bans", CHITLAQ_MONITORING_FAIL2BAN_DATABASE=str(database)
        )
        assert (bans.verdict, bans.values["bans"].value) == (OK, 2)


async def test_fail2ban_without_jails_is_a_warning(home: Home, fail2ban: Running) -> None:
    with fail2ban(jails=""):
        await eventually(lambda: "Number of jail" in asked("status"))
        found = await run_check(home, "security.fail2ban")
    assert (found.verdict, found.summary) == (WARNING, "it runs without any jail")


async def test_log_of_fail2ban_is_also_searched_in_the_journal(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail2ban: Running
) -> None:
    monkeypatch.setattr(logs, "SYSTEMD", str(tmp_path / "no-systemd"))
    with fail2ban(target="STDOUT"):
        await eventually(lambda: "sshd" in asked("status"))
        found = await run_check(home, "security.fail2ban")
    assert found.verdict == OK
    shown = found.evidence[-1]
    assert isinstance(shown, Lines)
    assert "not available: this machine has no journal" in shown.lines[0]


async def test_stopped_fail2ban_is_unknown(home: Home, fail2ban: Running) -> None:
    found = await run_check(home, "security.fail2ban")
    assert found.verdict == UNKNOWN
    assert "Is fail2ban running?" in found.summary


async def test_bans_of_a_day_are_read_from_fail2bans_database(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "fail2ban.sqlite3"
    variable = {"CHITLAQ_MONITORING_FAIL2BAN_DATABASE": str(path)}
    assert (await run_check(home, "security.bans", **variable)).verdict == SKIPPED
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bans (jail TEXT, ip TEXT, timeofban INTEGER, bantime INTEGER)")
    now = int(time.time())
    connection.executemany(
        "INSERT INTO bans VALUES ('sshd', ?, ?, 600)",
        [("203.0.113.1", now - 60), ("203.0.113.2", now - 3600), ("203.0.113.3", now - 2 * 86_400)],
    )
    connection.commit()
    connection.close()
    found = await run_check(home, "security.bans", **variable)
    assert (found.verdict, found.values["bans"].value) == (OK, 2)
    path.write_text("no database at all, but a long enough text to be looked at" * 50)
    assert (await run_check(home, "security.bans", **variable)).verdict == UNKNOWN
