"""Logins over SSH, from the journal or from auth.log."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import count
from chitlaq.ops.checks.logs import journal_lines
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Lines,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
)
from chitlaq.ops.checks.sources import openssh
from chitlaq.ops.checks.sources.system import SystemView

SHOWN = 20

AUTH_LOG = Path("/var/log/auth.log")

_CLASSIC = re.compile(r"(\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d) ")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


async def _ssh_lines(system: SystemView) -> list[str]:
    """Return the last 24 hours of the SSH server's log: from the journal, or else from a file.

    Raises:
        NotApplicable: this machine has neither.
        UnknownResult: this user cannot read it, or nothing is written to it.
    """

    async def read() -> list[str]:
        since = datetime.now(UTC) - timedelta(days=1)
        try:
            return await journal_lines(system, "-u", "ssh", "-u", "sshd")
        except (NotApplicable, UnknownResult) as reason:
            # Without a journal, or with one that stores nothing, the log is in the file.
            try:
                return await system.blocking(partial(_read_auth_log, AUTH_LOG, since))
            except (NotApplicable, UnknownResult):
                if isinstance(reason, UnknownResult):
                    raise reason from None
                raise

    return await system.once("ssh", read)


def _read_auth_log(path: Path, since: datetime) -> list[str]:
    """Return the SSH server's lines since a moment, from the file and its predecessor.

    Raises:
        NotApplicable: there is no such file.
        UnknownResult: it cannot be read, or has no line since then, so nothing is written to it.
    """
    found, is_written = [], False
    files = [one for one in (path.with_name(f"{path.name}.1"), path) if one.exists()]
    if not files:
        raise NotApplicable(
            f"this machine has neither a journal (systemd-sysv) nor {path} (the package rsyslog)"
        )
    for file in files:
        if file.stat().st_mtime < since.timestamp():
            continue
        try:
            with file.open(errors="replace", newline="\n") as log:
                for line in log:
                    at = _stamp(line, datetime.now().astimezone())
                    if at is None or at < since:
                        continue
                    is_written = True
                    found.append(line.rstrip("\n"))
        except PermissionError:
            raise UnknownResult(f"this user cannot read {file}: add it to the group adm") from None
    if not is_written:
        raise UnknownResult(f"{path} has no line of the last 24 hours: is rsyslog running?")
    return found


def _stamp(line: str, now: datetime) -> datetime | None:
    """Parse the time of a line: RFC 3339, or `Nov 24 16:43:01` in local time and without a year."""
    head, _, _ = line.partition(" ")
    if head[:1].isdigit():
        try:
            at = datetime.fromisoformat(head)
        except ValueError:
            return None
        return at if at.tzinfo else at.astimezone()
    found = _CLASSIC.match(line)
    if found is None or found[1] not in _MONTHS:
        return None
    # The latest year in which it is not in the future, with an hour for a clock that was set back.
    for year in (now.year, now.year - 1):
        try:
            at = datetime.fromisoformat(
                f"{year}-{_MONTHS.index(found[1]) + 1:02}-{int(found[2]):02}T{found[3]}"
            ).astimezone()
        except ValueError:
            continue  # 29 February
        if at <= now + timedelta(hours=1):
            return at
    return None


def _sources(times: Counter[str]) -> Table:
    rows = [[f"{number:,}", address] for address, number in times.most_common(SHOWN)]
    return Table("by address", ["times", "from"], rows)


@check(
    "security.ssh_failed",
    "Failed SSH logins",
    section=Section.SECURITY,
    looks_at="the journal of ssh over 24 hours; without one, /var/log/auth.log and auth.log.1",
    commands=(
        'sudo journalctl -u ssh --since "24 hours ago" | grep -i "failed\\|invalid" | tail -20',
    ),
    remedy="Allow only keys (PasswordAuthentication no), and let fail2ban ban repeat offenders.",
    timeout_seconds=10.0,
)
async def ssh_failed(system: SystemView) -> CheckOutcome:
    found = openssh.failures(await _ssh_lines(system))
    by_address: Counter[str] = Counter()
    for failure in found:
        by_address[failure.address] += failure.attempts
    return outcome(
        f"{count(by_address.total(), 'failed attempt')}",
        {"failed": Value(by_address.total(), "", *system.thresholds.ssh_failures_a_day)},
        _sources(by_address),
        Lines("last", [failure.line for failure in found[-SHOWN:]]),
    )


@check(
    "security.ssh_accepted",
    "SSH logins",
    section=Section.SECURITY,
    looks_at="the journal of ssh over 24 hours; without one, /var/log/auth.log and auth.log.1",
    commands=('sudo journalctl -u ssh --since "24 hours ago" | grep -i "accepted" | tail -20',),
    remedy="If the login is unexplained, disconnect the machine from the network and open a P0 incident.",
    timeout_seconds=10.0,
)
async def ssh_accepted(system: SystemView) -> CheckOutcome:
    found = openssh.logins(await _ssh_lines(system))
    by_password = sum(login.method == "password" for login in found)
    said = f"{count(len(found), 'login')}"
    if by_password:
        said += f", {by_password} of them with a password"
    return outcome(
        said,
        {"accepted": Value(len(found)), "by_password": Value(by_password)},
        _sources(Counter(login.address for login in found)),
        Lines("last", [login.line for login in found[-SHOWN:]]),
        least=Verdict.WARNING if by_password else Verdict.OK,
    )
