"""fail2ban: its jails, its log, and the bans of the last 24 hours."""

from __future__ import annotations

import os
import re
import sqlite3
from datetime import UTC, datetime
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
from chitlaq.ops.checks.sources.prometheus import promql
from chitlaq.ops.checks.sources.system import SystemView

SHOWN = 20
DAY_SECONDS = 86_400.0

LOG_END_BYTES = 8192
# `   |- Currently failed:	3`
_FACT = re.compile(r"[|`]- ([\w ]+):\s*(.*)")
_JAIL_FACTS = (
    "Currently failed",
    "Total failed",
    "Currently banned",
    "Total banned",
    "Banned IP list",
)


@check(
    "security.fail2ban",
    "fail2ban",
    section=Section.SECURITY,
    looks_at="fail2ban-client, the status of each jail, and the last lines of fail2ban's log",
    commands=(
        "sudo fail2ban-client status",
        "sudo fail2ban-client status sshd",
        'sudo journalctl -u fail2ban --since "24 hours ago" | tail -20',
        "sudo tail -20 /var/log/fail2ban.log",
    ),
    remedy="`sudo systemctl start fail2ban`; `sudo fail2ban-client -t` checks its configuration.",
    timeout_seconds=10.0,
)
async def fail2ban(system: SystemView) -> CheckOutcome:
    text = await system.run("fail2ban-client", "status", package="fail2ban")
    found = re.search(r"Jail list:\s*(.*)", text)
    jails = [jail.strip() for jail in found[1].split(",") if jail.strip()] if found else []
    rows, banned = [], 0
    for jail in jails:
        status = await system.run("fail2ban-client", "status", jail, package="fail2ban")
        facts = {key.strip(): value.strip() for key, value in _FACT.findall(status)}
        if not facts.keys() >= set(_JAIL_FACTS):
            raise UnknownResult(f"unexpected output from fail2ban-client for {jail}")
        rows.append([jail, *(facts[fact] for fact in _JAIL_FACTS)])
        banned += int(facts["Currently banned"])
    return outcome(
        f"jails: {', '.join(jails)}; {count(banned, 'address', 'addresses')} banned now"
        if jails
        else "it runs without any jail",
        {"jails": Value(len(jails)), "banned": Value(banned)},
        Table("jails", ["jail", *(fact.lower() for fact in _JAIL_FACTS)], rows),
        Lines("log", await _fail2bans_log(system)),
        least=Verdict.OK if jails else Verdict.WARNING,
    )


async def _fail2bans_log(system: SystemView) -> list[str]:
    """Return the last lines of fail2ban's log, wherever it is, or why they cannot be shown."""
    target = await system.run("fail2ban-client", "get", "logtarget", package="fail2ban")
    path = Path(target.strip().rpartition("`- ")[2])
    try:
        if path.is_absolute():
            return await system.blocking(partial(_end_of, path))
        return (await journal_lines(system, "-u", "fail2ban"))[-SHOWN:]
    except (NotApplicable, UnknownResult) as error:
        return [f"not available: {error}"]


def _end_of(path: Path) -> list[str]:
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_END_BYTES))
            return log.read().decode(errors="replace").removesuffix("\n").split("\n")[-SHOWN:]
    except OSError as error:
        raise UnknownResult(str(error)) from None


@check(
    "security.bans",
    "Banned addresses",
    section=Section.SECURITY,
    looks_at="fail2ban's own database, over 24 hours",
    commands=("sudo fail2ban-client banned", promql("rate(fail2ban_banned_total[5m])")),
    remedy="To lift a mistaken ban: `sudo fail2ban-client set JAIL unbanip ADDRESS`.",
)
async def bans(system: SystemView) -> CheckOutcome:
    path = Path(system.settings.monitoring.fail2ban_database)
    rows = await system.blocking(partial(_bans, path))
    total = sum(times for _, times, _ in rows)
    return outcome(
        f"{count(total, 'ban')} within 24 hours",
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
        raise NotApplicable(
            f"fail2ban's database {path} does not exist: it is in the package fail2ban"
        )
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
        raise UnknownResult(f"cannot read {path}: {error}") from None
