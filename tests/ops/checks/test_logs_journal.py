"""The machine's logs: the real journalctl on prepared journals, and files of rsyslog."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks import logs, ssh
from chitlaq.ops.checks.model import Lines, Table, Verdict
from tests.debian_programs import unpacked
from tests.ops.checks.conftest import Programs
from tests.ops.checks.run_check import run_check

OK, WARNING, CRITICAL = Verdict.OK, Verdict.WARNING, Verdict.CRITICAL
UNKNOWN, SKIPPED = Verdict.UNKNOWN, Verdict.SKIPPED
NOBODY = 65534
ERROR, CAUTION, NOTICE = 3, 4, 5
"""syslog's priorities."""
SSH = ["security.ssh_failed", "security.ssh_accepted"]

BAD = "Failed password for root from 203.0.113.9 port 22 ssh2"
STRANGE = "Invalid user admin from 203.0.113.9 port 22"
KEY = "Accepted publickey for ada from 198.51.100.7 port 22 ssh2"
PASSWORD = KEY.replace("publickey", "password")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(autouse=True)
def no_logs_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "SYSTEMD", str(tmp_path / "no-systemd"))
    monkeypatch.setattr(ssh, "AUTH_LOG", tmp_path / "auth.log")


@dataclass(frozen=True)
class Journal:
    """A machine's journal: the files of a folder that every user may enter."""

    folder: Path
    receiver: tuple[str, ...]
    environment: dict[str, str]
    now: datetime

    def keep(
        self, *entries: tuple[int, str, str, float], name: str = "system", mode: int = 0o644
    ) -> Path:
        """Store (priority, who, what, minutes ago), in that order; others may read it or not."""
        export = ""
        for priority, who, what, minutes_ago in entries:
            at = self.now - timedelta(minutes=minutes_ago)
            export += (
                f"__REALTIME_TIMESTAMP={at.timestamp() * 1e6:.0f}\n"
                f"__MONOTONIC_TIMESTAMP={(10_000 - minutes_ago) * 6e7:.0f}\n_BOOT_ID={1:032x}\n"
                f"_MACHINE_ID={2:032x}\n_HOSTNAME=vm\nPRIORITY={priority}\n"
                f"SYSLOG_IDENTIFIER={who}\n_SYSTEMD_UNIT={who.replace('sshd', 'ssh')}.service\n"
                f"_PID=7\nMESSAGE={what}\n\n"
            )
        path = self.folder / f"{name}.journal"
        subprocess.run(
            [*self.receiver, "-o", path, "-"],
            input=export,
            text=True,
            check=True,
            capture_output=True,
            env=self.environment,
        )
        path.chmod(mode)
        return path


@pytest.fixture
def journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Programs
) -> Iterator[Journal]:
    """An empty journal, which the real journalctl reads as an unprivileged user."""
    reader = unpacked("systemd", "journalctl", "bin/journalctl")
    name = "systemd-journal-remote"
    receiver = unpacked(name, name, f"lib/systemd/{name}")
    monkeypatch.setattr(logs, "SYSTEMD", str(tmp_path))
    # Not below pytest's own folder, which is private.
    folder = Path(tempfile.mkdtemp(prefix="chitlaq-journal-"))
    folder.chmod(0o755)
    changing = (
        f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups" if os.geteuid() == 0 else ""
    )
    libraries = reader.environment.get("LD_LIBRARY_PATH", "")
    programs(
        "journalctl",
        f'LD_LIBRARY_PATH="{libraries}" exec {changing} {reader.path} --directory={folder} "$@"',
    )
    # Its private library is beside systemd, if that is installed.
    beside = f"{receiver.environment.get('LD_LIBRARY_PATH', '')}:/lib/systemd"
    environment = {**receiver.environment, "LD_LIBRARY_PATH": beside}
    try:
        yield Journal(folder, (str(receiver.path),), environment, datetime.now().astimezone())
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(("errors", "verdict"), [(0, OK), (1, OK), (3, WARNING), (5, CRITICAL)])
async def test_journal_is_judged_by_its_errors_of_a_day(
    home: Home, journal: Journal, errors: int, verdict: Verdict
) -> None:
    journal.keep(
        *((ERROR, "kernel", "too long ago", 60 * 25) for _ in range(9)),
        *((NOTICE, "systemd", "Started a thing.", 200) for _ in range(9)),
        *((ERROR, "kernel", f"I/O error, sector {n}", 5 - n) for n in range(errors)),
    )
    found = await run_check(home, "system.journal", CHITLAQ_CHECKS_LOG_ERRORS_A_DAY="2,5")
    assert found.verdict == verdict, found.summary
    assert found.values["errors"].value == errors


async def test_journal_is_grouped_and_warnings_are_read_too(home: Home, journal: Journal) -> None:
    journal.keep(
        (ERROR, "kernel", "I/O error, dev sda, sector 17", 180),
        (CAUTION, "ntpd", "no reply from 192.0.2.1", 120),
        (ERROR, "kernel", "I/O error, dev sda, sector 4711", 60),
        (CAUTION, "ntpd", "no reply from 192.0.2.9", 30),
        (CAUTION, "cron", "no mail transport", 20),
    )
    found = await run_check(home, "system.journal")
    assert found.verdict == OK
    assert found.summary.startswith("2 errors in 1 pattern")
    assert "3 warnings in 2 patterns" in found.summary
    assert found.values["warnings"].value == 3
    errors, warnings = (one for one in found.evidence if isinstance(one, Table))

    def at(minutes_ago: int) -> str:
        return f"{journal.now - timedelta(minutes=minutes_ago):%m-%d %H:%M}"

    assert [list(row) for row in errors.rows] == [
        ["2", at(180), at(60), "", "kernel: I/O error, dev sda, sector <n>"]
    ]
    assert [list(row) for row in warnings.rows] == [
        ["2", at(120), at(30), "", "ntpd: no reply from <address>"],
        ["1", at(20), at(20), "", "cron: no mail transport"],
    ]


async def test_partly_read_journal_says_so(
    home: Home, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "JOURNAL_ENTRIES", 5)
    entries = [(CAUTION, "cron", "no mail transport", 60.0 * (23 - n)) for n in range(20)]
    journal.keep(*entries[:5])
    found = await run_check(home, "system.journal")
    assert (found.verdict, "read back to" in found.summary) == (WARNING, True)
    journal.keep(*entries[5:], name="later")
    found = await run_check(home, "system.journal")
    assert (found.verdict, "read back to" in found.summary) == (UNKNOWN, True)


@pytest.mark.parametrize("check", ["system.journal", *SSH])
async def test_missing_journal_is_unknown(home: Home, journal: Journal, check: str) -> None:
    found = await run_check(home, check)
    assert found.verdict == UNKNOWN
    assert "No journal files were found" in found.summary


@pytest.mark.parametrize("check", ["system.journal", *SSH])
async def test_journal_is_unknown_to_users_without_access(
    home: Home, journal: Journal, check: str
) -> None:
    journal.keep((ERROR, "kernel", "trouble", 5), mode=0o000)
    found = await run_check(home, check)
    assert found.verdict == UNKNOWN
    assert "insufficient permissions" in found.summary


@pytest.mark.parametrize("check", ["system.journal", *SSH])
async def test_user_who_sees_only_own_entries_gets_unknown(
    home: Home, journal: Journal, check: str
) -> None:
    """journalctl exits with 0 then, and its standard output looks normal."""
    journal.keep((ERROR, "kernel", "trouble", 5), mode=0o000)
    journal.keep((NOTICE, "app", "my own", 5), name=f"user-{os.geteuid() or NOBODY}")
    found = await run_check(home, check)
    assert found.verdict == UNKNOWN
    assert "not seeing messages from other users and the system" in found.summary
    assert "systemd-journal" in found.summary


async def test_journal_with_a_corrupt_file_is_unknown(home: Home, journal: Journal) -> None:
    journal.keep((NOTICE, "app", "well", 5))
    (journal.folder / "older.journal").write_bytes(b"LPKSHHRH" + bytes(40))
    found = await run_check(home, "system.journal")
    assert found.verdict == UNKNOWN
    assert "older.journal" in found.summary


@pytest.mark.parametrize("check", ["system.journal", *SSH])
async def test_machine_without_systemd_is_skipped_naming_the_package(
    home: Home, check: str
) -> None:
    found = await run_check(home, check)
    assert found.verdict == SKIPPED
    assert "systemd-sysv" in found.summary
    assert ("rsyslog" in found.summary) == (check in SSH)


JUDGED = [
    ("security.ssh_failed", [KEY], "1,2", OK),
    ("security.ssh_failed", [BAD, STRANGE, KEY], "5,10", OK),
    ("security.ssh_failed", [BAD, STRANGE, KEY], "2,10", WARNING),
    ("security.ssh_failed", [BAD, STRANGE, KEY], "1,2", CRITICAL),
    ("security.ssh_accepted", [BAD], "5,10", OK),
    ("security.ssh_accepted", [BAD, KEY], "5,10", OK),
    ("security.ssh_accepted", [BAD, KEY, PASSWORD], "5,10", WARNING),
]


@pytest.mark.parametrize(("check", "lines", "limit", "verdict"), JUDGED)
async def test_logins_over_ssh_are_read_from_the_journal(
    home: Home, journal: Journal, check: str, lines: list[str], limit: str, verdict: Verdict
) -> None:
    journal.keep(
        (NOTICE, "sshd", BAD, 60 * 30),
        (NOTICE, "sshd", PASSWORD, 60 * 30),
        (NOTICE, "other", f"{BAD} {PASSWORD}", 60),
        *((NOTICE, "sshd", line, 30) for line in lines),
    )
    found = await run_check(home, check, CHITLAQ_CHECKS_SSH_FAILURES_A_DAY=limit)
    assert found.verdict == verdict, found.summary
    wanted = "failed" if check == "security.ssh_failed" else "accepted"
    marks = ("Failed", "Invalid") if wanted == "failed" else ("Accepted",)
    expected = sum(line.startswith(marks) for line in lines)
    assert found.values[wanted].value == expected
    (last,) = [one for one in found.evidence if isinstance(one, Lines)]
    assert len(last.lines) == expected


def rfc3339(hours_ago: float) -> str:
    return (datetime.now().astimezone() - timedelta(hours=hours_ago)).isoformat()


def rfc3339_elsewhere(hours_ago: float) -> str:
    return (
        (datetime.now().astimezone() - timedelta(hours=hours_ago))
        .astimezone(UTC)
        .isoformat()
        .replace("+00:00", "Z")
    )


def classic(hours_ago: float) -> str:
    at = datetime.now().astimezone() - timedelta(hours=hours_ago)
    return f"{at:%b} {at.day:>2} {at:%H:%M:%S}"


@pytest.mark.parametrize("stamp", [rfc3339, rfc3339_elsewhere, classic])
@pytest.mark.parametrize(("check", "lines", "limit", "verdict"), JUDGED)
async def test_logins_over_ssh_are_read_from_files_without_a_journal(
    home: Home, tmp_path: Path, stamp: object, check: str, lines: list[str], limit: str,
    verdict: Verdict,
) -> None:  # fmt: skip
    """Only those of the last day, in any time format, including rotated ones."""
    assert callable(stamp)

    def said(hours_ago: float, line: str) -> str:
        return f"{stamp(hours_ago)} vm sshd[71]: {line}\n"

    old = [said(25, BAD), said(24.1, PASSWORD), said(24 * 364, BAD)]
    (tmp_path / "auth.log.1").write_text("".join([*old, *(said(23, line) for line in lines[:1])]))
    (tmp_path / "auth.log").write_text("".join(said(1, line) for line in lines[1:]))
    found = await run_check(home, check, CHITLAQ_CHECKS_SSH_FAILURES_A_DAY=limit)
    assert found.verdict == verdict, found.summary
    (last,) = [one for one in found.evidence if isinstance(one, Lines)]
    marks = ("Failed", "Invalid") if check == "security.ssh_failed" else ("Accepted",)
    assert len(last.lines) == sum(line.startswith(marks) for line in lines)


@pytest.mark.parametrize("check", SSH)
async def test_file_without_new_lines_for_a_day_is_unknown(
    home: Home, tmp_path: Path, check: str
) -> None:
    (tmp_path / "auth.log").write_text(f"{rfc3339(30)} vm sshd[71]: {KEY}\n")
    found = await run_check(home, check)
    assert found.verdict == UNKNOWN
    assert "rsyslog" in found.summary
    (tmp_path / "auth.log").write_text(f"{rfc3339(2)} vm CRON[9]: session opened\n")
    assert (await run_check(home, check)).verdict == OK


@pytest.mark.parametrize("check", SSH)
async def test_file_is_read_if_the_journal_stores_nothing(
    home: Home, journal: Journal, tmp_path: Path, check: str
) -> None:
    (tmp_path / "auth.log").write_text(f"{rfc3339(2)} vm sshd[71]: {BAD}\n")
    assert (await run_check(home, check)).verdict == OK


def test_time_without_a_year_is_the_most_recent() -> None:
    new_year = datetime(2027, 1, 1, 0, 5).astimezone()

    def read(text: str) -> datetime | None:
        return ssh._stamp(f"{text} vm sshd[1]: x", new_year)

    assert read("Dec 31 23:50:00") == datetime(2026, 12, 31, 23, 50).astimezone()
    assert read("Jan  1 00:01:00") == datetime(2027, 1, 1, 0, 1).astimezone()
    assert read("Feb 29 12:00:00") is None
    assert read("no time") is None
    assert read("2027-13-45T12:00:00Z") is None
