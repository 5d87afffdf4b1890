"""The logs of the last 24 hours: errors by pattern, slow lines, traffic, and the system journal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address

import msgspec

from chitlaq import inventory
from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import count, share
from chitlaq.logs import analysis
from chitlaq.logs.analysis import ComponentLog, Group, Traffic
from chitlaq.ops.checks.model import (
    Check,
    CheckOutcome,
    Evidence,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
    worst,
)
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.database.database import moment

HOURS = 24
SYSTEMD = "/run/systemd/system"
SHOWN = 10
FEW_REQUESTS = 1000
MOST = 0.5
JOURNAL_ENTRIES = 20_000
"""How many of the newest entries of a day are grouped."""
REASON_WIDTH = 300
COUNTED_SECONDS = analysis.COUNT_SECONDS + 5

_QUIET_HINT = "Pass -q to turn off this notice."

COMPONENTS = {
    **{row.setting: row.name for row in inventory.SERVICES},
    "database": "postgres",
    "redis": "redis",
}
"""The components whose logs are read, by the short name of their check."""


async def _component(system: SystemView, service: str) -> ComponentLog:
    since = datetime.now(UTC) - timedelta(hours=HOURS)
    slow = system.settings.logs.slow_seconds
    if not (system.home.logs / f"{service}.log").exists():
        raise UnknownResult(f"there is no log of {service} in {system.home.logs}")

    async def read() -> ComponentLog:
        return await system.blocking(partial(analysis.component, system.home, service, since, slow))

    return await system.once(f"log {service}", read)


async def _traffic(system: SystemView) -> Traffic:
    since = datetime.now(UTC) - timedelta(hours=HOURS)
    if not system.home.access_log.exists():
        raise UnknownResult(f"there is no access log at {system.home.access_log}")

    keep_files = system.settings.logs.keep_files

    async def read() -> Traffic:
        return await system.blocking(partial(analysis.traffic, system.home, since, keep_files))

    return await system.once("access log", read)


def _left_out(found: Traffic) -> str:
    """Return what the figures of the day leave out."""
    own = f"; {found.benchmark:,} more from the benchmark" if found.benchmark else ""
    return own + _reach(found.since)


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
    """Return how far back the log was read, if that was not the whole day."""
    return f" (read back to {since.astimezone():%m-%d %H:%M})" if since else ""


def _least(since: datetime | None) -> Verdict:
    """Return WARNING if a part of the day was not read, and UNKNOWN if most of it was not."""
    if since is None:
        return Verdict.OK
    hours = (datetime.now(UTC) - since).total_seconds() / 3600
    return Verdict.UNKNOWN if hours < HOURS / 2 else Verdict.WARNING


def _errors_said(errors: Sequence[Group], new: frozenset[str] | None) -> str:
    """Return how many errors there are, in how many patterns, and how many of those are new."""
    said = (
        f"{count(sum(group.count for group in errors), 'error')} in {count(len(errors), 'pattern')}"
    )
    if new:
        said += f", {len(new)} of them new"
    elif new is None and errors:
        said += ", new ones unknown without the operations database"
    return said


async def _new_patterns(system: SystemView, groups: Sequence[Group]) -> frozenset[str] | None:
    """Return the patterns that no run has seen before today, or None if their history is unavailable."""
    if not groups:
        return frozenset()
    now = datetime.now(UTC)
    seen = [[group.service, group.pattern, moment(group.last)] for group in groups]
    try:
        rows = await system.recorded(
            "note_patterns", msgspec.json.encode(seen).decode(), now, now - timedelta(hours=HOURS)
        )
    except UnknownResult:
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
        remedy="Start with new patterns. To follow a line's request ID: `chitlaq logs --grep ID`.",
        is_heavy=True,
    )
    async def one_log(system: SystemView) -> CheckOutcome:
        found = await _component(system, service)
        errors, slow = list(found.errors.values()), list(found.slow.values())
        total = sum(group.count for group in errors)
        slow_total = sum(group.count for group in slow)
        new = await _new_patterns(system, errors)
        said = _errors_said(errors, new)
        said += f"; {slow_total:,} slow; {count(found.lines, 'line')}{_reach(found.since)}"
        evidence = [_groups("errors", errors, new or frozenset())] if errors else []
        if slow:
            evidence.append(_groups("slow", slow))
        if found.connections:
            evidence.append(_groups("connections", list(found.connections.values())))
        return outcome(
            said,
            {
                "errors": Value(total, "", *system.thresholds.log_errors_a_day),
                "slow": Value(slow_total, "", *system.thresholds.slow_lines_a_day),
                "new_patterns": Value(len(new or ())),
                "lines": Value(found.lines),
            },
            *evidence,
            least=worst((_least(found.since), Verdict.WARNING if new else Verdict.OK)),
        )

    return one_log


LOGS = tuple(_log(name, component) for name, component in COMPONENTS.items())


@check(
    "nginx.addresses",
    "Busiest addresses",
    section=Section.LOGS,
    looks_at=f"nginx's access log, the last {HOURS} hours",
    commands=(
        # It also has lines of nginx's error log, which are not JSON.
        (
            "chitlaq logs nginx --json --since 24h | jq -Rr 'fromjson? | .remote_addr'"
            " | sort | uniq -c | sort -nr | head -10"
        ),
    ),
    remedy=(
        "Nothing, if many of its requests are signed in: a campus behind one address is normal. For what"
        " limits refused: `chitlaq ops check nginx.limits --details`. If members seem to ask from this"
        " machine, a TLS proxy on it does not say for whom it asks, and all are exempt from the limits: let"
        " it set X-Forwarded-For, and list it in `trusted_proxies`."
    ),
    timeout_seconds=COUNTED_SECONDS,
    is_heavy=True,
)
async def addresses(system: SystemView) -> CheckOutcome:
    found = await _traffic(system)
    said = f"{count(found.requests, 'request')} from {count(len(found.addresses), 'address', 'addresses')}"
    ratio = 0.0
    for busiest, most in found.addresses.most_common(1):
        ratio = most / found.requests
        said += f", {busiest} the busiest with {share(ratio)}"
    local = _local_share_of_members(found)
    is_proxied = bool(system.settings.public_url) and local > MOST
    if is_proxied:
        said += (
            f"; {share(local)} of the requests of signed-in members seem to come from this machine"
        )
    return outcome(
        said + _left_out(found),
        {
            # Not judged: the more members share an address, the larger it is.
            "busiest": Value(ratio, "ratio"),
            "addresses": Value(len(found.addresses)),
            "requests": Value(found.requests),
        },
        Table(
            "busiest addresses",
            ["requests", "signed in", "address"],
            [
                [f"{times:,}", share(found.signed_in[address] / times), address]
                for address, times in found.addresses.most_common(SHOWN)
            ],
        ),
        least=worst((_least(found.since), Verdict.WARNING if is_proxied else Verdict.OK)),
    )


def _local_share_of_members(found: Traffic) -> float:
    """The share of this machine's own addresses in the requests of signed-in members; 0 if these are few."""
    total = found.signed_in.total()
    if total < FEW_REQUESTS:
        return 0.0
    local = (times for address, times in found.signed_in.items() if _is_local(address))
    return sum(local) / total


def _is_local(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


@check(
    "nginx.limits",
    "Requests refused by limits (429)",
    section=Section.LOGS,
    looks_at=f"nginx's access log, the last {HOURS} hours",
    commands=(
        (
            "chitlaq logs nginx --json --since 24h"
            ' | jq -Rr \'fromjson? | select(.limit != "") | .limit + " " + .remote_addr\''
            " | sort | uniq -c | sort -nr | head -10"
        ),
    ),
    remedy=(
        "An address with many members behind it (see its signed-in share): raise the limit that is named,"
        " `limits.address_*`; never ban it. One with none: block it in the firewall. `account`, `login`: one"
        " member's program asks too often. If the address is our own TLS proxy: `trusted_proxies`."
    ),
    timeout_seconds=COUNTED_SECONDS,
    is_heavy=True,
)
async def limits(system: SystemView) -> CheckOutcome:
    found = await _traffic(system)
    refused = {limit: sum(times.values()) for limit, times in found.limited.items()}
    # Refused connections made no request.
    total = found.requests + refused.get("connections", 0)
    worst_limit, most = max(refused.items(), key=lambda pair: pair[1], default=("", 0))
    ratio = most / total if total else 0.0
    by_members = found.signed_in.total()
    # Their share is their own: no flood of others makes it small.
    affected = found.refused_members.total() / by_members if by_members else 0.0
    said = "no limit was reached"
    if worst_limit:
        addresses = found.limited[worst_limit]
        said = (
            f"{count(sum(refused.values()), 'request')} of {total:,} refused; the limit"
            f" {worst_limit} refused {share(ratio)},"
            f" from {count(len(addresses), 'address', 'addresses')}; of the requests of signed-in members,"
            f" {share(affected)} were refused"
        )
    is_enough = total >= FEW_REQUESTS
    return outcome(
        said + _left_out(found),
        {
            "refused": Value(
                ratio, "ratio", *(system.thresholds.limited_ratio if is_enough else ())
            ),
            "members": Value(
                affected,
                "ratio",
                *(system.thresholds.limited_ratio if by_members >= FEW_REQUESTS else ()),
            ),
            "affected": Value(len({one for times in found.limited.values() for one in times})),
            "requests": Value(total),
        },
        Table(
            "limits",
            ["limit", "refused", "of all", "of members'", "addresses"],
            [
                [
                    limit,
                    f"{times:,}",
                    share(times / total),
                    share(found.refused_members[limit] / max(by_members, 1)),
                    str(len(found.limited[limit])),
                ]
                for limit, times in sorted(refused.items(), key=lambda pair: -pair[1])
            ],
        ),
        Table(
            "most refused",
            ["limit", "refused", "of its requests", "signed in", "address"],
            _most_refused(found),
        ),
        least=_least(found.since),
    )


def _most_refused(found: Traffic) -> list[list[str]]:
    rows = [
        (times, limit, address)
        for limit, by_address in found.limited.items()
        for address, times in by_address.items()
    ]
    return [
        [
            limit,
            f"{times:,}",
            share(times / max(found.addresses[address], times)),
            share(found.signed_in[address] / max(found.addresses[address], 1)),
            address,
        ]
        for times, limit, address in sorted(rows, reverse=True)[:SHOWN]
    ]


@check(
    "nginx.statuses",
    "Responses by status",
    section=Section.LOGS,
    looks_at=f"nginx's access log, the last {HOURS} hours",
    commands=(
        "chitlaq logs nginx --tail 20",
        "chitlaq logs nginx --json --since 24h | jq -Rr 'fromjson? | .status' | sort | uniq -c | sort -nr",
    ),
    remedy="5xx: the route tells the service, see `chitlaq logs SERVICE --errors`. 4xx: see `api.refusals`.",
    timeout_seconds=COUNTED_SECONDS,
    is_heavy=True,
)
async def statuses(system: SystemView) -> CheckOutcome:
    found = await _traffic(system)
    failed = sum(times for status, times in found.statuses.items() if status >= 500)
    refused = sum(times for status, times in found.statuses.items() if 400 <= status < 500)
    ratio = failed / found.requests if found.requests else 0.0
    threshold = system.thresholds.server_errors_ratio
    is_enough = found.requests >= FEW_REQUESTS
    return outcome(
        f"{failed:,} of {count(found.requests, 'request')} failed, {refused:,} refused"
        + _left_out(found),
        {
            "failed": Value(ratio, "ratio", *(threshold if is_enough else ())),
            "refused": Value(refused),
            "requests": Value(found.requests),
        },
        Table(
            "statuses",
            ["status", "requests"],
            [[str(status), f"{times:,}"] for status, times in sorted(found.statuses.items())],
        ),
        _groups("failed and refused", list(found.failures.values())),
        least=_least(found.since),
    )


@check(
    "nginx.errors",
    "nginx's error log",
    section=Section.LOGS,
    looks_at=f"logs/nginx.log, the last {HOURS} hours",
    commands=("chitlaq logs nginx --errors --since 24h",),
    remedy="`connect() failed` names a service that was down: `chitlaq ps`, then its log at that time.",
    is_heavy=True,
)
async def nginx_errors(system: SystemView) -> CheckOutcome:
    found = await _component(system, "nginx")
    total = sum(group.count for group in found.errors.values())
    return outcome(
        f"{count(total, 'error')} in {count(len(found.errors), 'pattern')}{_reach(found.since)}",
        {"errors": Value(total, "", *system.thresholds.log_errors_a_day)},
        _groups("errors", list(found.errors.values())),
        least=_least(found.since),
    )


@check(
    "nginx.tls",
    "TLS errors",
    section=Section.LOGS,
    looks_at=f"logs/nginx.log, the last {HOURS} hours",
    commands=("chitlaq logs nginx --since 24h --grep 'ssl|tls|certificate|handshake'",),
    remedy="Outdated clients must be fixed by their owners; for our certificate: `security.certificates`.",
    is_heavy=True,
)
async def tls_errors(system: SystemView) -> CheckOutcome:
    found = await _component(system, "nginx")
    total = sum(group.count for group in found.tls.values())
    return outcome(
        f"{count(total, 'line')} about TLS{_reach(found.since)}",
        {"lines": Value(total, "", *system.thresholds.log_errors_a_day)},
        _groups("TLS", list(found.tls.values())),
        least=_least(found.since),
    )


@check(
    "system.journal",
    "System journal",
    section=Section.LOGS,
    looks_at="journalctl, priority warning and above, the last 24 hours",
    commands=(
        'sudo journalctl --since "24 hours ago" | tail -50',
        'sudo journalctl --since "24 hours ago" -p err | tail -20',
        'sudo journalctl --since "24 hours ago" -p warning | tail -20',
    ),
    remedy="`journalctl -u UNIT -e` shows the log of one unit.",
    timeout_seconds=20.0,
    is_heavy=True,
)
async def journal(system: SystemView) -> CheckOutcome:
    # Newest first: together with --since, -n alone means the oldest entries in some versions.
    lines = await _journal(
        system, "-p", "warning", "-r", "-n", str(JOURNAL_ENTRIES), "-o", "json",
        f"--output-fields={','.join(analysis.JOURNAL_FIELDS)}",
    )  # fmt: skip
    try:
        found = await system.blocking(partial(analysis.journal, lines[::-1]))
    except msgspec.DecodeError as error:
        raise UnknownResult(f"unexpected output from journalctl: {error}") from None
    errors, warnings = list(found.errors.values()), list(found.warnings.values())
    new = await _new_patterns(system, errors)
    since = found.first if found.entries >= JOURNAL_ENTRIES else None
    warned = sum(group.count for group in warnings)
    said = f"{_errors_said(errors, new)}; {count(warned, 'warning')} in"
    return outcome(
        f"{said} {count(len(warnings), 'pattern')}{_reach(since)}",
        {
            "errors": Value(
                sum(group.count for group in errors), "", *system.thresholds.log_errors_a_day
            ),
            "warnings": Value(warned),
            "new_patterns": Value(len(new or ())),
        },
        _groups("errors", errors, new or frozenset()),
        _groups("warnings", warnings),
        least=worst((_least(since), Verdict.WARNING if new else Verdict.OK)),
    )


async def journal_lines(system: SystemView, *words: str) -> list[str]:
    """Return the journal's lines of the last 24 hours.

    Raises:
        NotApplicable: this machine has no systemd.
        UnknownResult: there is no journal, or this user cannot read all of it.
    """
    return await _journal(system, "-o", "short-iso", *words)


async def _journal(system: SystemView, *words: str) -> list[str]:
    if not os.path.isdir(SYSTEMD):  # noqa: PTH112, ASYNC240 - a tmpfs
        raise NotApplicable(
            "this machine has no journal because it does not run systemd (package systemd-sysv)"
        )

    async def require_all_of_it() -> None:
        # It exits with 0 even without any file, with only the user's own entries, or with corrupt files.
        # It warns about each of these, but not if its output is JSON.
        result = await system.command_result(
            "journalctl", "-n", "1", "--no-pager", package="systemd"
        )
        if result.code or result.stderr:
            reason = " ".join((result.stderr or result.stdout).replace(_QUIET_HINT, "").split())
            raise UnknownResult(f"journalctl cannot read everything: {reason[:REASON_WIDTH]}")

    await system.once("journal", require_all_of_it)
    text = await system.run(
        "journalctl", "--since", "24 hours ago", "--no-pager", "-q", *words, package="systemd"
    )
    return text.splitlines()
