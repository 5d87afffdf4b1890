"""Who tries to get in: logins to the machine and to ChitLaq, bans, the audit, certificates."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from chitlaq.ops import certificates as certificate_files
from chitlaq.ops.checks.check import (
    Finding,
    Lines,
    NotHere,
    Section,
    Table,
    Unseen,
    Value,
    Verdict,
    check,
    finding,
    judged,
)
from chitlaq.ops.checks.logs import journal_lines
from chitlaq.ops.checks.system import System, promql
from chitlaq.ops.checks.words import count, duration, share

SHOWN = 20
DAY_SECONDS = 86_400.0
FEW_ATTEMPTS = 20
AUTH_LOG = Path("/var/log/auth.log")

_FAILED = re.compile(r"failed password|invalid user|authentication failure", re.IGNORECASE)
_ACCEPTED = re.compile(r"accepted (?:publickey|password|keyboard-interactive)", re.IGNORECASE)
_FROM = re.compile(r"\bfrom (\S+)")


async def _ssh_lines(system: System) -> list[str]:
    """What the SSH server said today: in the journal, or in a file where there is none.

    Raises:
        NotHere: this machine has neither.
        Unseen: this user may not read it.
    """

    async def read() -> list[str]:
        try:
            return await journal_lines(system, "-u", "ssh", "-u", "sshd")
        except NotHere:
            text = await system.blocking(partial(_read_auth_log, AUTH_LOG))
        return [line for line in text.splitlines() if "sshd" in line]

    return await system.once("ssh", read)


def _read_auth_log(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        raise NotHere(f"this machine has neither a journal nor {path}") from None
    except PermissionError:
        raise Unseen(f"{path} cannot be read by this user: add it to the group adm") from None


def _sources(lines: Sequence[str]) -> Table:
    times = Counter(found[1] for line in lines if (found := _FROM.search(line)))
    rows = [[f"{number:,}", address] for address, number in times.most_common(SHOWN)]
    return Table("by address", ["times", "from"], rows)


@check(
    "security.ssh_failed",
    "Failed logins over SSH",
    section=Section.SECURITY,
    looks_at="the journal of ssh, the last 24 hours; /var/log/auth.log without systemd",
    commands=(
        'sudo journalctl -u ssh --since "24 hours ago" | grep -i "failed\\|invalid" | tail -20',
    ),
    remedy="Keys instead of passwords (PasswordAuthentication no), and fail2ban for those who go on.",
    seconds=10.0,
)
async def ssh_failed(system: System) -> Finding:
    lines = [line for line in await _ssh_lines(system) if _FAILED.search(line)]
    return finding(
        f"{count(len(lines), 'attempt')} failed",
        {"failed": judged(len(lines), "", system.limits.ssh_failures_a_day)},
        _sources(lines),
        Lines("last", lines[-SHOWN:]),
    )


@check(
    "security.ssh_accepted",
    "Logins over SSH",
    section=Section.SECURITY,
    looks_at="the journal of ssh, the last 24 hours; /var/log/auth.log without systemd",
    commands=('sudo journalctl -u ssh --since "24 hours ago" | grep -i "accepted" | tail -20',),
    remedy="Somebody whom nobody knows: take the machine off the network, then incident P0.",
    seconds=10.0,
)
async def ssh_accepted(system: System) -> Finding:
    lines = [line for line in await _ssh_lines(system) if _ACCEPTED.search(line)]
    by_password = [line for line in lines if "accepted password" in line.lower()]
    said = f"{count(len(lines), 'login')}"
    if by_password:
        said += f", {len(by_password)} of them with a password"
    return finding(
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
    looks_at="fail2ban-client status",
    commands=(
        "sudo fail2ban-client status",
        "sudo fail2ban-client status sshd",
        'sudo journalctl -u fail2ban --since "24 hours ago" | tail -20',
    ),
    remedy="`sudo systemctl start fail2ban`; `sudo fail2ban-client -t` checks its configuration.",
)
async def fail2ban(system: System) -> Finding:
    text = await system.run("fail2ban-client", "status", package="fail2ban")
    found = re.search(r"Jail list:\s*(.*)", text)
    jails = [jail.strip() for jail in found[1].split(",") if jail.strip()] if found else []
    return finding(
        f"watching {', '.join(jails)}" if jails else "it runs, and watches nothing",
        {"jails": Value(len(jails))},
        Lines("status", text.splitlines()),
        least=Verdict.OK if jails else Verdict.WARNING,
    )


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
async def bans(system: System) -> Finding:
    path = Path(system.settings.monitoring.fail2ban_database)
    rows = await system.blocking(partial(_bans, path))
    total = sum(times for _, times, _ in rows)
    return finding(
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
    looks_at="ausearch, refused accesses and anomalies of today",
    commands=("sudo ausearch -ts today | tail -20",),
    remedy="`ausearch -i -a EVENT` tells what was tried, by whom.",
    seconds=10.0,
)
async def audit(system: System) -> Finding:
    try:
        text = await system.run(
            "ausearch", "-ts", "today", "-m", "avc,anom_abend,user_auth", "--success", "no",
            package="auditd",
        )  # fmt: skip
    except Unseen as error:
        if "no matches" in str(error):
            return finding("nothing was refused today", {"events": Value(0)})
        raise
    events = [line for line in text.splitlines() if line.startswith("type=")]
    return finding(
        f"{count(len(events), 'event')} refused today",
        {"events": Value(len(events))},
        Lines("last", events[-SHOWN:]),
        least=Verdict.WARNING if events else Verdict.OK,
    )


@check(
    "security.logins",
    "Logins of members",
    section=Section.SECURITY,
    looks_at="auth_attempts_total over an hour",
    commands=(promql("sum by (result) (rate(auth_attempts_total[5m]))"),),
    remedy="Many failures: who? `chitlaq ops check nginx.addresses`; accounts are limited by themselves.",
)
async def logins(system: System) -> Finding:
    found = await system.query("sum by (result) (increase(auth_attempts_total[1h]))")
    times = {one.metric.get("result", ""): one.number for one in found}
    total = sum(times.values())
    failed = total - times.get("success", 0.0)
    ratio = failed / total if total else 0.0
    return finding(
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
async def certificates(system: System) -> Finding:
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
    if unread:
        said = f"{', '.join(unread)} cannot be read"
    else:
        name, seconds = min(known.items(), key=lambda pair: pair[1])
        said = f"{name} has expired" if seconds < 0 else f"{name} the first, in {duration(seconds)}"
    return finding(
        said,
        {
            name: judged(one / DAY_SECONDS, "days", system.limits.certificate_days)
            for name, one in known.items()
        },
        Table("certificates", ["certificate", "state", "reason"], rows),
        least=Verdict.UNKNOWN if unread else Verdict.OK,
    )
