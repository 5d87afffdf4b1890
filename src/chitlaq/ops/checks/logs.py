"""The logs of the last 24 hours: errors by pattern, slow lines, and the system journal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from chitlaq import inventory
from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import count
from chitlaq.logs import analysis
from chitlaq.logs.analysis import ComponentLog, Group
from chitlaq.ops.checks import ended
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
from chitlaq.ops.checks.sources.judged_by import JUDGED_BY, SERVING
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.database.database import moment
from chitlaq.stack import containers

HOURS = 24
SYSTEMD = "/run/systemd/system"
SHOWN = 10
JOURNAL_ENTRIES = 20_000
"""How many of the newest entries of a day are grouped."""
REASON_WIDTH = 300

_QUIET_HINT = "Pass -q to turn off this notice."

COMPONENTS = {
    **{row.setting: row.name for row in inventory.SERVICES},
    "database": "postgres",
    "redis": "redis",
}
"""The components whose logs are read, by the short name of their check."""
SERVICES = {row.name for row in inventory.SERVICES}


async def _component(system: SystemView, service: str) -> ComponentLog:
    since = datetime.now(UTC) - timedelta(hours=HOURS)
    slow = system.settings.logs.slow_seconds
    if containers.are_used(system.home):
        raise UnknownResult(
            f"the container engine has the log, which no container can read: {_of_engine(service)}"
        )
    if nodes := system.settings.elsewhere(service):
        raise NotApplicable(f"{service} runs on other machines of the site: {', '.join(nodes)}")
    if not (system.home.logs / f"{service}.log").exists():
        raise UnknownResult(
            f"there is no log of {service} in {system.home.logs}", JUDGED_BY[service]
        )

    async def read() -> ComponentLog:
        return await system.blocking(partial(analysis.component, system.home, service, since, slow))

    return await system.once(f"log {service}", read)


def _of_engine(service: str) -> str:
    return f"`chitlaq logs {service} --since {HOURS}h`"


async def _counted(system: SystemView, service: str) -> CheckOutcome:
    """Judge the errors that a service has counted, where only the container engine has their lines."""
    await system.prometheus.require_alive((service,))
    logged = f'log_lines_total{{service="{service}",level="error"}}'
    total, lately = [
        round(await system.prometheus.number(f"sum(increase({logged}[{hours}h]))"))
        for hours in (HOURS, 1)
    ]
    return outcome(
        f"{count(total, 'error')} within {HOURS} h, {lately:,} of them within the last, as {service} counts"
        f" them; the container engine has the lines: {_of_engine(service)}",
        {
            "errors": Value(total, "", *(system.thresholds.log_errors_a_day if lately else ())),
            "lately": Value(lately),
        },
    )


def grouped(title: str, groups: Sequence[Group], new: frozenset[str] = frozenset()) -> Evidence:
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


def reach(since: datetime | None) -> str:
    """Return how far back the log was read, if that was not the whole day."""
    return f" (read back to {since.astimezone():%m-%d %H:%M})" if since else ""


def least(since: datetime | None) -> Verdict:
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
        looks_at=f"logs/{service}.log, the last {HOURS} hours"
        + ("; in containers log_lines_total" if service in SERVICES else ""),
        commands=(
            f"chitlaq logs {service} --tail 100",
            f"chitlaq logs {service} --errors --since {HOURS}h",
            f"chitlaq logs {service} --slow --since {HOURS}h",
        ),
        remedy="Start with new patterns. To follow a line's request ID: `chitlaq logs --grep ID`.",
        is_heavy=True,
        stands_on=("database.ready", "redis.ready", JUDGED_BY[service]),
    )
    async def one_log(system: SystemView) -> CheckOutcome:
        if containers.are_used(system.home) and service in SERVICES:
            return await _counted(system, service)
        found = await _component(system, service)
        errors, slow = list(found.errors.values()), list(found.slow.values())
        total = sum(group.count for group in errors)
        slow_total = sum(group.count for group in slow)
        new = await _new_patterns(system, errors)
        said = _errors_said(errors, new)
        trouble, slowness = ended.of(errors), ended.of(slow)
        said += f"{ended.said(trouble)}; {slow_total:,} slow{ended.said(slowness)};"
        said += f" {count(found.lines, 'line')}{reach(found.since)}"
        evidence = [grouped("errors", errors, new or frozenset())] if errors else []
        if slow:
            evidence.append(grouped("slow", slow))
        if found.connections:
            evidence.append(grouped("connections", list(found.connections.values())))
        return outcome(
            said,
            {
                "errors": Value(
                    total, "", *ended.limits(system.thresholds.log_errors_a_day, trouble)
                ),
                "slow": Value(
                    slow_total, "", *ended.limits(system.thresholds.slow_lines_a_day, slowness)
                ),
                "new_patterns": Value(len(new or ())),
                "lines": Value(found.lines),
            },
            *evidence,
            least=worst((least(found.since), _least_of_new(errors, new))),
        )

    return one_log


def _least_of_new(errors: Sequence[Group], new: frozenset[str] | None) -> Verdict:
    """Return WARNING while new patterns come."""
    trouble = ended.of(one for one in errors if one.pattern in (new or ()))
    return Verdict.WARNING if trouble is not None and not trouble.is_over else Verdict.OK


LOGS = tuple(_log(name, component) for name, component in COMPONENTS.items())


@check(
    "nginx.errors",
    "nginx's error log",
    section=Section.LOGS,
    looks_at=f"logs/nginx.log, the last {HOURS} hours",
    commands=("chitlaq logs nginx --errors --since 24h",),
    remedy="`connect() failed` names a service that was down: `chitlaq ps`, then its log at that time.",
    is_heavy=True,
    stands_on=SERVING,
)
async def nginx_errors(system: SystemView) -> CheckOutcome:
    found = await _component(system, "nginx")
    total = sum(group.count for group in found.errors.values())
    trouble = ended.of(found.errors.values())
    return outcome(
        f"{count(total, 'error')} in {count(len(found.errors), 'pattern')}{ended.said(trouble)}"
        + reach(found.since),
        {"errors": Value(total, "", *ended.limits(system.thresholds.log_errors_a_day, trouble))},
        grouped("errors", list(found.errors.values())),
        least=least(found.since),
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
    trouble = ended.of(found.tls.values())
    return outcome(
        f"{count(total, 'line')} about TLS{ended.said(trouble)}{reach(found.since)}",
        {"lines": Value(total, "", *ended.limits(system.thresholds.log_errors_a_day, trouble))},
        grouped("TLS", list(found.tls.values())),
        least=least(found.since),
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
    trouble = ended.of(errors)
    said = f"{_errors_said(errors, new)}{ended.said(trouble)}; {count(warned, 'warning')} in"
    return outcome(
        f"{said} {count(len(warnings), 'pattern')}{reach(since)}",
        {
            "errors": Value(
                sum(group.count for group in errors),
                "",
                *ended.limits(system.thresholds.log_errors_a_day, trouble),
            ),
            "warnings": Value(warned),
            "new_patterns": Value(len(new or ())),
        },
        grouped("errors", errors, new or frozenset()),
        grouped("warnings", warnings),
        least=worst((least(since), _least_of_new(errors, new))),
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
    return text.removesuffix("\n").split("\n") if text else []
