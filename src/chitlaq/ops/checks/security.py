"""The audit log, sign-ins to ChitLaq, and certificates."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime
from functools import partial

from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import count, duration, share
from chitlaq.monitoring.exporter import certificates as certificate_files
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Lines,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
    worst,
)
from chitlaq.ops.checks.sources.judged_by import JUDGED_BY
from chitlaq.ops.checks.sources.prometheus import promql
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.stack.acme import renewal

SHOWN = 20
DAY_SECONDS = 86_400.0
FEW_ATTEMPTS = 20
# type=AVC msg=audit(1763971200.123:42): avc:  denied { read } …
_REFUSED = re.compile(
    r"^type=(?:AVC\b.*(?:\bdenied\b|DENIED)|APPARMOR_DENIED\b|USER_AUTH\b.*\bres=(?:failed|0)|ANOM_ABEND\b)"
)


@check(
    "security.audit",
    "Audit log",
    section=Section.SECURITY,
    looks_at="ausearch: all of today by type; denied accesses, failed logins and crashes are judged",
    commands=("sudo ausearch -ts today | tail -20", "sudo ausearch -i -ts today --success no"),
    remedy="`ausearch -i -a EVENT` shows what was attempted, and by whom.",
    timeout_seconds=10.0,
)
async def audit(system: SystemView) -> CheckOutcome:
    # Read its own log, whatever standard input is. (With --raw it does not report that nothing matched.)
    result = await system.command_result(
        "ausearch", "--input-logs", "-ts", "today", package="auditd"
    )  # fmt: skip
    if result.code and "no matches" not in result.stdout + result.stderr:
        reason = (result.stderr or result.stdout).strip().splitlines()
        raise UnknownResult(f"ausearch failed: {reason[-1] if reason else 'no output'}")
    records = [line for line in result.stdout.split("\n") if line.startswith("type=")]
    types = Counter(line.split(" ", 1)[0].removeprefix("type=") for line in records)
    refused = [line for line in records if _REFUSED.search(line)]
    return outcome(
        f"{count(len(records), 'record')} today, {len(refused)} of them of a denial, a failure or a crash"
        if records
        else "no record today",
        {"records": Value(len(records)), "refused": Value(len(refused))},
        Table(
            "by type",
            ["times", "type"],
            [[f"{times:,}", kind] for kind, times in types.most_common(SHOWN)],
        ),
        Lines("last denials, failures and crashes", refused[-SHOWN:]),
        Lines("last", records[-SHOWN:]),
        least=Verdict.WARNING if refused else Verdict.OK,
    )


@check(
    "security.logins",
    "Member sign-ins",
    section=Section.SECURITY,
    looks_at="auth_attempts_total, over one hour",
    commands=(promql("sum by (result) (rate(auth_attempts_total[5m]))"),),
    remedy="For the source of many failures: `chitlaq ops check nginx.addresses`. Attempts are rate limited.",
    samples_of=("auth-service",),
)
async def logins(system: SystemView) -> CheckOutcome:
    found = await system.prometheus.query("sum by (result) (increase(auth_attempts_total[1h]))")
    times = {one.metric.get("result", ""): one.number for one in found}
    # Who is asked for a second factor tries again with it.
    total = sum(times.values()) - times.get("incomplete", 0.0)
    failed = total - times.get("success", 0.0)
    ratio = failed / total if total else 0.0
    threshold = system.thresholds.login_failures_ratio
    return outcome(
        f"{share(ratio)} of {count(round(total), 'attempt')} within one hour failed"
        if round(total)
        else "no attempts within one hour",
        {
            "failed": Value(ratio, "ratio", *(threshold if total >= FEW_ATTEMPTS else ())),
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
    looks_at="nginx's certificate, in its file and as served, its renewal by ACME, and each file and endpoint"
    " in monitoring.certificates: the whole chain",
    commands=(
        "openssl s_client -connect HOST:443 </dev/null | openssl x509 -noout -enddate",
        promql("ssl_certificate_expiry_seconds"),
        "chitlaq certificates",
    ),
    remedy="By ACME: `chitlaq certificates renew --write` once the reason is mended. Another: renew it"
    " (`certbot renew`), then run `chitlaq restart nginx`, which interrupts no request.",
    stands_on=(JUDGED_BY["nginx"],),
)
async def certificates(system: SystemView) -> CheckOutcome:
    watched = await system.blocking(
        partial(certificate_files.watched, system.home, system.settings)
    )
    if not watched:
        raise NotApplicable("nginx has no certificate here, and monitoring.certificates is empty")
    found = dict(
        zip(
            watched,
            await asyncio.gather(
                *(certificate_files.read(name, one) for name, one in watched.items()),
                return_exceptions=True,
            ),
            strict=True,
        )
    )
    unread = {
        name: str(one) or type(one).__name__
        for name, one in found.items()
        if isinstance(one, BaseException)
    }
    known = {name: one for name, one in found.items() if not isinstance(one, BaseException)}
    rows = [[name, "cannot be read", reason] for name, reason in unread.items()]
    rows += [[name, _expiry(one), one.fault] for name, one in known.items()]
    expired = [name for name, one in known.items() if one.seconds_left < 0]
    wrong = [f"{name}: {one.fault}" for name, one in known.items() if one.fault]
    said = []
    if expired:
        said.append(f"{', '.join(expired)} {'has' if len(expired) == 1 else 'have'} expired")
    said += wrong
    if unread:
        said.append(f"{', '.join(unread)} cannot be read")
    failing = await asyncio.to_thread(_renewal_fault, system)
    if failing:
        said.append(failing)
    if not said:
        name, first = min(known.items(), key=lambda pair: pair[1].seconds_left)
        whose = f", for that of {first.expires_first} ends first" if first.expires_first else ""
        said.append(f"next expiry: {name} in {duration(first.seconds_left)}{whose}")
    return outcome(
        "; ".join(said),
        {
            name: Value(one.seconds_left / DAY_SECONDS, "days", *system.thresholds.certificate_days)
            for name, one in known.items()
        },
        Table("certificates", ["certificate", "state", "reason"], rows),
        least=worst(
            (
                Verdict.CRITICAL if wrong else Verdict.UNKNOWN if unread else Verdict.OK,
                Verdict.WARNING if failing else Verdict.OK,
            )
        ),
    )


def _renewal_fault(system: SystemView) -> str:
    """Why nginx's certificate is not renewed by ACME; empty if it is, or does not come so."""
    if not renewal.is_wanted(system.settings):
        return ""
    now = datetime.now(UTC)
    wanted = renewal.plan(system.home, system.settings, now)
    if not wanted.failures:
        return ""
    until = (wanted.at - now).total_seconds()
    again = f"in {duration(until)}" if until > 0 else "within ten minutes"
    failed = count(wanted.failures, "failed try", "failed tries")
    return f"{failed} to renew nginx's certificate, the next one {again}: {wanted.failure}"


def _expiry(chain: certificate_files.Chain) -> str:
    left = chain.seconds_left
    said = "expired" if left < 0 else f"{duration(left)} left"
    return f"{said} ({chain.expires_first})" if chain.expires_first else said
