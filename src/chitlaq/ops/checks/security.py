"""Who tries to get in: logins to the machine and to ChitLaq, bans, the audit, certificates."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from chitlaq.core.formatting import count, duration, share
from chitlaq.core.unseen import NotHere, Unseen
from chitlaq.monitoring.exporter import certificates as certificate_files
from chitlaq.ops.checks.logs import journal_lines
from chitlaq.ops.checks.model import (
    Lines,
    Outcome,
    Section,
    Table,
    Value,
    Verdict,
    check,
    judged,
    outcome,
)
from chitlaq.ops.checks.system import SystemView, promql

SHOWN = 20
DAY_SECONDS = 86_400.0
FEW_ATTEMPTS = 20
LOG_END_BYTES = 8192
AUTH_LOG = Path("/var/log/auth.log")

_FAILED = re.compile(r"failed password|invalid user|authentication failure", re.IGNORECASE)
_ACCEPTED = re.compile(r"accepted (?:publickey|password|keyboard-interactive)", re.IGNORECASE)
_CLASSIC = re.compile(r"(\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d) ")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# `   |- Currently failed:	3`
_FACT = re.compile(r"[|`]- ([\w ]+):\s*(.*)")
_JAIL_FACTS = (
    "Currently failed",
    "Total failed",
    "Currently banned",
    "Total banned",
    "Banned IP list",
)
# type=AVC msg=audit(1763971200.123:42): avc:  denied { read } …
_REFUSED = re.compile(
    r"^type=(?:AVC\b.*(?:\bdenied\b|DENIED)|APPARMOR_DENIED\b|USER_AUTH\b.*\bres=(?:failed|0)|ANOM_ABEND\b)"
)
_FROM = re.compile(r"\bfrom (\S+)")


async def _ssh_lines(system: SystemView) -> list[str]:
    """What the SSH server said today: in the journal, or in a file where there is none.

    Raises:
        NotHere: this machine has neither.
        Unseen: this user may not read it, or nothing was written to it.
    """

    async def read() -> list[str]:
        since = datetime.now(UTC) - timedelta(days=1)
        try:
            return await journal_lines(system, "-u", "ssh", "-u", "sshd")
        except (NotHere, Unseen) as reason:
            # A journal that is not there, or keeps nothing, leaves all to the file.
            try:
                return await system.blocking(partial(_read_auth_log, AUTH_LOG, since))
            except (NotHere, Unseen):
                if isinstance(reason, Unseen):
                    raise reason from None
                raise

    return await system.once("ssh", read)


def _read_auth_log(path: Path, since: datetime) -> list[str]:
    """Return the SSH server's lines since then, out of the file and the one before it.

    Raises:
        NotHere: there is no such file.
        Unseen: it cannot be read, or has no line of the time: then nothing is written to it.
    """
    found, is_written = [], False
    files = [one for one in (path.with_name(f"{path.name}.1"), path) if one.exists()]
    if not files:
        raise NotHere(
            f"this machine has neither a journal (systemd-sysv) nor {path} (the package rsyslog)"
        )
    for file in files:
        if file.stat().st_mtime < since.timestamp():
            continue
        try:
            with file.open(errors="replace") as log:
                for line in log:
                    at = _stamp(line, datetime.now().astimezone())
                    if at is None or at < since:
                        continue
                    is_written = True
                    if "sshd" in line:
                        found.append(line.rstrip("\n"))
        except PermissionError:
            raise Unseen(f"{file} cannot be read by this user: add it to the group adm") from None
    if not is_written:
        raise Unseen(f"{path} has no line of the last 24 hours: is rsyslog running?")
    return found


def _stamp(line: str, now: datetime) -> datetime | None:
    """When a line was written: RFC 3339, or `Nov 24 16:43:01` in local time and without its year."""
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
    # The newest year in which it is not yet to come, but for a clock that was set back.
    for year in (now.year, now.year - 1):
        try:
            at = datetime.fromisoformat(
                f"{year}-{_MONTHS.index(found[1]) + 1:02}-{int(found[2]):02}T{found[3]}"
            ).astimezone()
        except ValueError:
            continue  # February the 29th
        if at <= now + timedelta(hours=1):
            return at
    return None


def _sources(lines: Sequence[str]) -> Table:
    times = Counter(found[1] for line in lines if (found := _FROM.search(line)))
    rows = [[f"{number:,}", address] for address, number in times.most_common(SHOWN)]
    return Table("by address", ["times", "from"], rows)


@check(
    "security.ssh_failed",
    "Failed logins over SSH",
    section=Section.SECURITY,
    looks_at="the journal of ssh, the last 24 hours; /var/log/auth.log and auth.log.1 without one",
    commands=(
        'sudo journalctl -u ssh --since "24 hours ago" | grep -i "failed\\|invalid" | tail -20',
    ),
    remedy="Keys instead of passwords (PasswordAuthentication no), and fail2ban for those who go on.",
    timeout_seconds=10.0,
)
async def ssh_failed(system: SystemView) -> Outcome:
    lines = [line for line in await _ssh_lines(system) if _FAILED.search(line)]
    return outcome(
        f"{count(len(lines), 'attempt')} failed",
        {"failed": judged(len(lines), "", system.limits.ssh_failures_a_day)},
        _sources(lines),
        Lines("last", lines[-SHOWN:]),
    )


@check(
    "security.ssh_accepted",
    "Logins over SSH",
    section=Section.SECURITY,
    looks_at="the journal of ssh, the last 24 hours; /var/log/auth.log and auth.log.1 without one",
    commands=('sudo journalctl -u ssh --since "24 hours ago" | grep -i "accepted" | tail -20',),
    remedy="Somebody whom nobody knows: take the machine off the network, then incident P0.",
    timeout_seconds=10.0,
)
async def ssh_accepted(system: SystemView) -> Outcome:
    lines = [line for line in await _ssh_lines(system) if _ACCEPTED.search(line)]
    by_password = [line for line in lines if "accepted password" in line.lower()]
    said = f"{count(len(lines), 'login')}"
    if by_password:
        said += f", {len(by_password)} of them with a password"
    return outcome(
        said,
        {"accepted": Value(len(lines)), "by_password": Value(len(by_password))},
        _sources(lines),
        Lines("last", lines[-SHOWN:]),
        least=Verdict.WARNING if by_password else Verdict.OK,
    )


@check(
    "security.fail2ban",
    "fail2ban",
    section=Section.SECURITY,
    looks_at="fail2ban-client, the status of each jail, and the end of fail2ban's log",
    commands=(
        "sudo fail2ban-client status",
        "sudo fail2ban-client status sshd",
        'sudo journalctl -u fail2ban --since "24 hours ago" | tail -20',
        "sudo tail -20 /var/log/fail2ban.log",
    ),
    remedy="`sudo systemctl start fail2ban`; `sudo fail2ban-client -t` checks its configuration.",
    timeout_seconds=10.0,
)
async def fail2ban(system: SystemView) -> Outcome:
    text = await system.run("fail2ban-client", "status", package="fail2ban")
    found = re.search(r"Jail list:\s*(.*)", text)
    jails = [jail.strip() for jail in found[1].split(",") if jail.strip()] if found else []
    rows, banned = [], 0
    for jail in jails:
        status = await system.run("fail2ban-client", "status", jail, package="fail2ban")
        facts = {key.strip(): value.strip() for key, value in _FACT.findall(status)}
        if not facts.keys() >= set(_JAIL_FACTS):
            raise Unseen(f"fail2ban-client does not tell of {jail} as it should")
        rows.append([jail, *(facts[fact] for fact in _JAIL_FACTS)])
        banned += int(facts["Currently banned"])
    return outcome(
        f"watching {', '.join(jails)}; {count(banned, 'address', 'addresses')} banned now"
        if jails
        else "it runs, and watches nothing",
        {"jails": Value(len(jails)), "banned": Value(banned)},
        Table("jails", ["jail", *(fact.lower() for fact in _JAIL_FACTS)], rows),
        Lines("log", await _fail2bans_log(system)),
        least=Verdict.OK if jails else Verdict.WARNING,
    )


async def _fail2bans_log(system: SystemView) -> list[str]:
    """The last lines of what fail2ban says, wherever it says it; or why they cannot be shown."""
    target = await system.run("fail2ban-client", "get", "logtarget", package="fail2ban")
    path = Path(target.strip().rpartition("`- ")[2])
    try:
        if path.is_absolute():
            return await system.blocking(partial(_end_of, path))
        return (await journal_lines(system, "-u", "fail2ban"))[-SHOWN:]
    except (NotHere, Unseen) as error:
        return [f"cannot be shown: {error}"]


def _end_of(path: Path) -> list[str]:
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_END_BYTES))
            return log.read().decode(errors="replace").splitlines()[-SHOWN:]
    except OSError as error:
        raise Unseen(str(error)) from None


@check(
    "security.bans",
    "Banned addresses",
    section=Section.SECURITY,
    looks_at="fail2ban's own database, the last 24 hours",
    commands=(
        "sudo fail2ban-client banned",
        promql("rate(fail2ban_banned_total[5m])"),
    ),
    remedy="Banned by mistake: `sudo fail2ban-client set JAIL unbanip ADDRESS`.",
)
async def bans(system: SystemView) -> Outcome:
    path = Path(system.settings.monitoring.fail2ban_database)
    rows = await system.blocking(partial(_bans, path))
    total = sum(times for _, times, _ in rows)
    return outcome(
        f"{count(total, 'ban')} within a day",
        {"bans": Value(total)},
        Table(
            "by jail",
            ["jail", "bans", "last"],
            [
                [jail, f"{times:,}", f"{datetime.fromtimestamp(last).astimezone():%m-%d %H:%M}"]
                for jail, times, last in rows
            ],
        ),
    )


def _bans(path: Path) -> list[tuple[str, int, int]]:
    if not path.exists():
        raise NotHere(f"fail2ban's database {path} is not on this machine: the package is fail2ban")
    since = datetime.now(UTC).timestamp() - DAY_SECONDS
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)
        try:
            return connection.execute(
                "SELECT jail, count(*), max(timeofban) FROM bans WHERE timeofban > ?"
                " GROUP BY jail ORDER BY 2 DESC",
                [since],
            ).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Unseen(f"{path} cannot be read: {error}") from None


@check(
    "security.audit",
    "Audit",
    section=Section.SECURITY,
    looks_at="ausearch: all of today by type; refused accesses, failed logins and crashes are judged",
    commands=("sudo ausearch -ts today | tail -20", "sudo ausearch -i -ts today --success no"),
    remedy="`ausearch -i -a EVENT` tells what was tried, by whom.",
    timeout_seconds=10.0,
)
async def audit(system: SystemView) -> Outcome:
    # Its own log and no other, whatever standard input is. (Raw, it does not say that nothing matched.)
    result = await system.command_result(
        "ausearch", "--input-logs", "-ts", "today", package="auditd"
    )  # fmt: skip
    if result.code and "no matches" not in result.stdout + result.stderr:
        reason = (result.stderr or result.stdout).strip().splitlines()
        raise Unseen(f"ausearch failed: {reason[-1] if reason else 'it said nothing'}")
    records = [line for line in result.stdout.splitlines() if line.startswith("type=")]
    types = Counter(line.split(" ", 1)[0].removeprefix("type=") for line in records)
    refused = [line for line in records if _REFUSED.search(line)]
    return outcome(
        f"{count(len(records), 'record')} today, {len(refused)} of them of something refused or broken"
        if records
        else "nothing was recorded today",
        {"records": Value(len(records)), "refused": Value(len(refused))},
        Table(
            "by type",
            ["times", "type"],
            [[f"{times:,}", kind] for kind, times in types.most_common(SHOWN)],
        ),
        Lines("last refused", refused[-SHOWN:]),
        Lines("last", records[-SHOWN:]),
        least=Verdict.WARNING if refused else Verdict.OK,
    )


@check(
    "security.logins",
    "Logins of members",
    section=Section.SECURITY,
    looks_at="auth_attempts_total over an hour",
    commands=(promql("sum by (result) (rate(auth_attempts_total[5m]))"),),
    remedy="Many failures: who? `chitlaq ops check nginx.addresses`; accounts are limited by themselves.",
)
async def logins(system: SystemView) -> Outcome:
    found = await system.query("sum by (result) (increase(auth_attempts_total[1h]))")
    times = {one.metric.get("result", ""): one.number for one in found}
    total = sum(times.values())
    failed = total - times.get("success", 0.0)
    ratio = failed / total if total else 0.0
    return outcome(
        f"{share(ratio)} of {count(round(total), 'attempt')} within an hour failed"
        if round(total)
        else "nobody tried within an hour",
        {
            "failed": judged(ratio, "ratio", system.limits.login_failures_ratio)
            if total >= FEW_ATTEMPTS
            else Value(ratio, "ratio"),
            "attempts": Value(round(total)),
        },
        Table(
            "by result",
            ["result", "attempts"],
            [[result, f"{number:.0f}"] for result, number in sorted(times.items())],
        ),
    )


@check(
    "security.certificates",
    "Certificates",
    section=Section.SECURITY,
    looks_at="each file and endpoint of the setting monitoring.certificates",
    commands=(
        "openssl s_client -connect HOST:443 </dev/null | openssl x509 -noout -enddate",
        promql("ssl_certificate_expiry_seconds"),
    ),
    remedy="Renew it (`certbot renew`), then `chitlaq restart nginx`, which reloads without a pause.",
)
async def certificates(system: SystemView) -> Outcome:
    watched = system.settings.monitoring.certificates
    if not watched:
        raise NotHere("no certificate is named in monitoring.certificates")
    left = await asyncio.gather(
        *(certificate_files.seconds_left(name) for name in watched), return_exceptions=True
    )
    unread = {
        name: str(one) or type(one).__name__
        for name, one in zip(watched, left, strict=True)
        if isinstance(one, BaseException)
    }
    known = {
        name: one
        for name, one in zip(watched, left, strict=True)
        if not isinstance(one, BaseException)
    }
    rows = [[name, "cannot be read", reason] for name, reason in unread.items()]
    rows += [
        [name, "expired" if one < 0 else f"{duration(one)} left", ""] for name, one in known.items()
    ]
    expired = [name for name, seconds in known.items() if seconds < 0]
    said = []
    if expired:
        said.append(f"{', '.join(expired)} {'has' if len(expired) == 1 else 'have'} expired")
    if unread:
        said.append(f"{', '.join(unread)} cannot be read")
    if not said:
        name, seconds = min(known.items(), key=lambda pair: pair[1])
        said.append(f"{name} the first, in {duration(seconds)}")
    return outcome(
        "; ".join(said),
        {
            name: judged(one / DAY_SECONDS, "days", system.limits.certificate_days)
            for name, one in known.items()
        },
        Table("certificates", ["certificate", "state", "reason"], rows),
        least=Verdict.UNKNOWN if unread else Verdict.OK,
    )
