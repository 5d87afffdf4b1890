"""What members are told: what waits, and what push services and mail servers do not take."""

from __future__ import annotations

from chitlaq.core.formatting import count, duration, share
from chitlaq.ops.checks.model import CheckOutcome, Section, Value, check, outcome
from chitlaq.ops.checks.sources.datastores import psql
from chitlaq.ops.checks.sources.prometheus import promql
from chitlaq.ops.checks.sources.system import SystemView

FEW = 20
"""Of fewer attempts a day, a share says nothing."""

_PUSHES = "sum by (result) (increase(notification_pushes_total[1d]))"
_MAILS = "sum by (result) (increase(mails_total[1d]))"
_FAILED = frozenset({"refused", "deferred", "unreachable"})


@check(
    "notifications.queues",
    "Waiting notifications",
    section=Section.SERVICES,
    looks_at="the jobs that find out what to tell members, the digests that are due, and announcements",
    commands=(
        psql(
            "SELECT * FROM jobs.backlog WHERE kind IN ('notify', 'push', 'mail_digest', 'announce');"
        ),
        psql("SELECT * FROM websocket.digest_backlog, websocket.announcement_backlog;"),
    ),
    remedy="`chitlaq logs websocket --since 1h` and `chitlaq jobs list` say why they wait. Nothing is lost:"
    " what is told late is told once. `chitlaq announce resume` goes on with what stands still.",
)
async def queues(system: SystemView) -> CheckOutcome:
    (row,) = await system.postgres.rows("notification_queues")
    thresholds = system.thresholds
    return outcome(
        f"{count(row['notify'], 'job')} and {count(row['digests'], 'digest')} wait,"
        f" for up to {duration(max(row['oldest_notify'], row['oldest_digest']))};"
        f" {count(row['announcements'], 'announcement')} under way",
        {
            "notify": Value(row["notify"]),
            "oldest_notify": Value(
                row["oldest_notify"], "seconds", *thresholds.notification_wait_seconds
            ),
            "digests": Value(row["digests"]),
            "oldest_digest": Value(
                row["oldest_digest"], "seconds", *thresholds.digest_wait_seconds
            ),
            "announcements": Value(row["announcements"]),
            "announcement_still": Value(
                row["announcement_still"], "seconds", *thresholds.notification_wait_seconds
            ),
        },
    )


@check(
    "notifications.deliveries",
    "Pushes and mails",
    section=Section.SERVICES,
    looks_at="notification_pushes_total and mails_total, over a day",
    commands=tuple(map(promql, (_PUSHES, _MAILS))),
    remedy="`chitlaq logs websocket --since 24h | grep push` names the push services,"
    " `chitlaq jobs list` says what the mail server answered. Is the internet reachable"
    " (`chitlaq ops check host.reachability`)?",
    samples_of=("websocket",),
)
async def deliveries(system: SystemView) -> CheckOutcome:
    values, said = {}, []
    for name, expression in (("pushes", _PUSHES), ("mails", _MAILS)):
        # Without a mail server, there is no series of mails; those of pushes begin with the service.
        ask = system.prometheus.query if name == "pushes" else system.prometheus.samples
        found = {one.metric["result"]: one.number for one in await ask(expression)}
        total = sum(found.values())
        ratio = sum(found.get(result, 0.0) for result in _FAILED) / total if total else 0.0
        threshold = system.thresholds.undelivered_ratio if total >= FEW else ()
        values[f"{name}_failed"] = Value(ratio, "ratio", *threshold)
        values |= {f"{name}_{result}": Value(number) for result, number in sorted(found.items())}
        said.append(f"{share(ratio)} of {total:.0f} {name} failed")
    return outcome("; ".join(said), values)
