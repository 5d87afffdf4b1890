"""The logs of the last 24 hours: errors in groups, what was slow, who asked, and the system's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from chitlaq.ops import reading
from chitlaq.ops.checks.check import (
    Check,
    Evidence,
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
from chitlaq.ops.checks.system import System
from chitlaq.ops.checks.words import count, share, size
from chitlaq.ops.reading import Component, Group, Traffic

HOURS = 24
SYSTEMD = "/run/systemd/system"
SHOWN = 10
FEW_REQUESTS = 1000
ROTATION_SLACK = 1.5

COMPONENTS = {
    "gateway": "api-gateway",
    "websocket": "websocket",
    "feed": "feed-service",
    "search": "search-service",
    "auth": "auth-service",
    "ops": "ops-service",
    "database": "postgres",
    "redis": "redis",
}
"""The checks' short names of the components whose logs are read."""


async def _component(system: System, service: str) -> Component:
    since = datetime.now(UTC) - timedelta(hours=HOURS)
    slow = system.settings.logs.slow_seconds
    if not (system.home.logs / f"{service}.log").exists():
        raise Unseen(f"there is no log of {service} in {system.home.logs}")

    async def read() -> Component:
        return await system.blocking(partial(reading.component, system.home, service, since, slow))

    return await system.once(f"log {service}", read)


async def _traffic(system: System) -> Traffic:
    since = datetime.now(UTC) - timedelta(hours=HOURS)
    if not system.home.access_log.exists():
        raise Unseen(f"there is no access log at {system.home.access_log}")

    async def read() -> Traffic:
        return await system.blocking(partial(reading.traffic, system.home, since))

    return await system.once("access log", read)


def _groups(title: str, groups: Sequence[Group], new: frozenset[str] = frozenset()) -> Evidence:
    ordered = sorted(groups, key=lambda group: -group.count)
    return Table(
        title,
        ["times", "first", "last", "new", "pattern"],
        [
            [
                f"{group.count:,}",
                f"{group.first.astimezone():%m-%d %H:%M}",
                f"{group.last.astimezone():%m-%d %H:%M}",
                "new" if group.pattern in new else "",
                group.pattern,
            ]
            for group in ordered[:SHOWN]
        ],
    )


def _reach(since: datetime | None) -> str:
    """How far back was read, where that was not all the day."""
    return f" (read back to {since.astimezone():%m-%d %H:%M})" if since else ""


async def _new_patterns(system: System, groups: Sequence[Group]) -> frozenset[str] | None:
    """Patterns that no routine saw before today; None where PostgreSQL cannot tell."""
    if not groups:
        return frozenset()
    try:
        rows = await system.rows(
            "note_patterns",
            [group.service for group in groups],
            [group.pattern for group in groups],
            [group.last for group in groups],
        )
    except Unseen:
        return None
    return frozenset(row["pattern"] for row in rows if row["is_new"])


def _log(name: str, service: str) -> Check:
    @check(
        f"{name}.log",
        f"Log of {service}",
        section=Section.LOGS,
        looks_at=f"logs/{service}.log, the last {HOURS} hours",
        commands=(
            f"chitlaq logs {service} --tail 100",
            f"chitlaq logs {service} --errors --since {HOURS}h",
            f"chitlaq logs {service} --slow --since {HOURS}h",
        ),
        remedy="Begin with the patterns marked new; a line's request id leads on: `chitlaq logs --grep ID`.",
        is_heavy=True,
    )
    async def one_log(system: System) -> Finding:
        found = await _component(system, service)
        errors, slow = list(found.errors.values()), list(found.slow.values())
        total = sum(group.count for group in errors)
        slow_total = sum(group.count for group in slow)
        new = await _new_patterns(system, errors)
        said = f"{count(total, 'error')} in {count(len(errors), 'pattern')}"
        if new:
            said += f", {len(new)} of them new"
        elif new is None and errors:
            said += ", whether new is not known without PostgreSQL"
        said += f"; {slow_total:,} slow; {count(found.lines, 'line')}{_reach(found.since)}"
        evidence = [_groups("errors", errors, new or frozenset())] if errors else []
        if slow:
            evidence.append(_groups("slow", slow))
        if found.connections:
            evidence.append(_groups("connections", list(found.connections.values())))
        return finding(
            said,
            {
                "errors": judged(total, "", system.limits.log_errors_a_day),
                "slow": judged(slow_total, "", system.limits.slow_lines_a_day),
                "new_patterns": Value(len(new or ())),
                "lines": Value(found.lines),
            },
            *evidence,
            least=Verdict.WARNING if new else Verdict.OK,
        )

    return one_log


gateway_log = _log("gateway", "api-gateway")
websocket_log = _log("websocket", "websocket")
feed_log = _log("feed", "feed-service")
search_log = _log("search", "search-service")
auth_log = _log("auth", "auth-service")
ops_log = _log("ops", "ops-service")
database_log = _log("database", "postgres")
redis_log = _log("redis", "redis")


@check(
    "nginx.addresses",
    "Who asks most",
    section=Section.LOGS,
    looks_at=f"nginx's access log, the last {HOURS} hours",
    commands=(
        "chitlaq logs nginx --json --since 24h | jq -r .remote_addr | sort | uniq -c | sort -nr | head -10",
    ),
    remedy="Lower `limits.address_requests_per_second`, or ban the address in the firewall.",
    is_heavy=True,
)
async def addresses(system: System) -> Finding:
    found = await _traffic(system)
    # Those that no limit binds are monitoring and this host itself.
    strangers = {
        address: times
        for address, times in found.addresses.items()
        if address not in system.settings.limits.unlimited_addresses
    }
    total = sum(strangers.values())
    busiest, most = max(strangers.items(), key=lambda pair: pair[1], default=("", 0))
    ratio = most / total if total else 0.0
    is_enough = total >= FEW_REQUESTS
    said = f"{count(found.requests, 'request')} of {count(len(found.addresses), 'address', 'addresses')}"
    if busiest:
        said += f", {busiest} the busiest with {share(ratio)}"
    return finding(
        said + _reach(found.since),
        {
            "busiest": judged(ratio, "ratio", system.limits.address_share)
            if is_enough
            else Value(ratio, "ratio"),
            "addresses": Value(len(found.addresses)),
            "requests": Value(found.requests),
        },
        Table(
            "busiest addresses",
            ["requests", "address"],
            [[f"{times:,}", address] for address, times in found.addresses.most_common(SHOWN)],
        ),
    )


@check(
    "nginx.statuses",
    "Answers by status",
    section=Section.LOGS,
    looks_at=f"nginx's access log, the last {HOURS} hours",
    commands=(
        "chitlaq logs nginx --tail 20",
        "chitlaq logs nginx --json --since 24h | jq -r .status | sort | uniq -c | sort -nr",
    ),
    remedy="5xx: the route names the service, `chitlaq logs SERVICE --errors`. 4xx: `api.refusals`.",
    is_heavy=True,
)
async def statuses(system: System) -> Finding:
    found = await _traffic(system)
    failed = sum(times for status, times in found.statuses.items() if status >= 500)
    refused = sum(times for status, times in found.statuses.items() if 400 <= status < 500)
    ratio = failed / found.requests if found.requests else 0.0
    return finding(
        f"{failed:,} of {count(found.requests, 'request')} failed, {refused:,} refused"
        + _reach(found.since),
        {
            "failed": judged(ratio, "ratio", system.limits.server_errors_ratio)
            if found.requests >= FEW_REQUESTS
            else Value(ratio, "ratio"),
            "refused": Value(refused),
            "requests": Value(found.requests),
        },
        Table(
            "statuses",
            ["status", "requests"],
            [[str(status), f"{times:,}"] for status, times in sorted(found.statuses.items())],
        ),
        _groups("failed and refused", list(found.failures.values())),
    )


@check(
    "nginx.errors",
    "nginx's error log",
    section=Section.LOGS,
    looks_at=f"logs/nginx.log, the last {HOURS} hours",
    commands=("chitlaq logs nginx --errors --since 24h",),
    remedy="`connect() failed` names a service that was away: `chitlaq ps`, and its log at that time.",
    is_heavy=True,
)
async def nginx_errors(system: System) -> Finding:
    found = await _component(system, "nginx")
    total = sum(group.count for group in found.errors.values())
    return finding(
        f"{count(total, 'error')} in {count(len(found.errors), 'pattern')}{_reach(found.since)}",
        {"errors": judged(total, "", system.limits.log_errors_a_day)},
        _groups("errors", list(found.errors.values())),
    )


@check(
    "nginx.tls",
    "TLS errors",
    section=Section.LOGS,
    looks_at=f"logs/nginx.log, the last {HOURS} hours",
    commands=("chitlaq logs nginx --since 24h --grep 'ssl|tls|certificate|handshake'",),
    remedy="Old clients are theirs to mend; a certificate is ours: `security.certificates`.",
    is_heavy=True,
)
async def tls_errors(system: System) -> Finding:
    found = await _component(system, "nginx")
    total = sum(group.count for group in found.tls.values())
    return finding(
        f"{count(total, 'line')} about TLS{_reach(found.since)}",
        {"lines": judged(total, "", system.limits.log_errors_a_day)},
        _groups("TLS", list(found.tls.values())),
    )


@check(
    "system.journal",
    "System journal",
    section=Section.LOGS,
    looks_at="journalctl, priority error and worse, the last 24 hours",
    commands=(
        'sudo journalctl --since "24 hours ago" -p err | tail -20',
        'sudo journalctl --since "24 hours ago" -p warning | tail -20',
    ),
    remedy="`journalctl -u UNIT -e` for the unit that complains.",
    seconds=10.0,
)
async def journal(system: System) -> Finding:
    lines = await journal_lines(system, "-p", "err")
    return finding(
        f"{count(len(lines), 'line')} of errors",
        {"errors": judged(len(lines), "", system.limits.log_errors_a_day)},
        Lines("last errors", lines[-20:]),
    )


async def journal_lines(system: System, *words: str) -> list[str]:
    """Return the journal's lines of a day.

    Raises:
        NotHere: this machine has no systemd.
        Unseen: this user may not read it.
    """
    if not os.path.isdir(SYSTEMD):  # noqa: PTH112, ASYNC240 - one look at a tmpfs
        raise NotHere("this machine is not run by systemd: it has no journal")
    text = await system.run(
        "journalctl", "--since", "24 hours ago", "--no-pager", "-q", "-o", "short-iso", *words,
        package="systemd",
    )  # fmt: skip
    return text.splitlines()


@check(
    "logs.rotation",
    "Rotation of logs",
    section=Section.MAINTENANCE,
    looks_at="CHITLAQ_HOME/logs: size and age of each file that is written to",
    commands=("ls -la $CHITLAQ_HOME/logs", "sudo logrotate -d /etc/logrotate.d/chitlaq"),
    remedy="`chitlaq rotate`; if it does not help, the supervisor does not run, or the disk is full.",
)
async def rotation(system: System) -> Finding:
    files = await system.blocking(lambda: _files(system.home.logs))
    written = {name: state for name, state in files.items() if name.endswith(".log")}
    if not written:
        raise Unseen(f"there are no logs in {system.home.logs}")
    name, largest = max(written.items(), key=lambda pair: pair[1].st_size)
    is_late = largest.st_size > system.settings.logs.max_bytes * ROTATION_SLACK
    total = sum(state.st_size for state in files.values())
    rows = [
        [
            one,
            size(state.st_size),
            f"{datetime.fromtimestamp(state.st_mtime).astimezone():%m-%d %H:%M}",
        ]
        for one, state in sorted(written.items())
    ]
    return finding(
        f"{name} has {size(largest.st_size)}, and should have been rotated"
        if is_late
        else f"{count(len(files), 'file')}, {size(total)} in all, {name} the largest",
        {"total": Value(total, "bytes"), "largest": Value(largest.st_size, "bytes")},
        Table("files that are written to", ["file", "size", "last written"], rows),
        least=Verdict.WARNING if is_late else Verdict.OK,
    )


def _files(folder: Path) -> dict[str, os.stat_result]:
    found = {}
    for file in folder.glob("*.log*"):
        with suppress(FileNotFoundError):  # rotated away while we looked
            found[file.name] = file.stat()
    return found
