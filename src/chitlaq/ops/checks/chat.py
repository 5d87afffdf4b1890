"""Chat: whether messages arrive, and whether the path in real time and the numbering stayed whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chitlaq.core.errors import OperatorError, UnknownResult
from chitlaq.core.formatting import count, duration, share
from chitlaq.monitoring.round_trip import measure
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.datastores import psql
from chitlaq.ops.checks.sources.judged_by import SERVING
from chitlaq.ops.checks.sources.prometheus import promql
from chitlaq.ops.checks.sources.system import SystemView

LOOKED_BACK = timedelta(hours=26)
"""The check runs daily. A million messages take PostgreSQL 1.3 s."""
FEW_MESSAGES = 100
SHOWN = 20

_SENT = 'sum(increase(websocket_messages_total{direction="in",type="send"}[1d]))'
_REPAIRED = "sum(increase(websocket_messages_repaired_total[1d]))"
_GAPS = 'sum(increase(websocket_resumes_total{result="gap"}[1d]))'
_SLOW = 'sum(increase(websocket_closed_total{code="1013"}[1d]))'
_DEAF = "max_over_time(sum(websocket_processes_deaf)[1d:1m])"
_IS_SEEN = "0 * sum(websocket_connections_active)"
"""A counter without a count has no series; this tells zero from a service that is not observed."""

_FAULTS = {
    "missing": "numbers are missing",
    "end": "the last number is not that of the last message",
    "marker": "a marker is beyond the last message",
    "participants": "a pair does not have two participants",
}


@check(
    "websocket.round_trip",
    "A message and its answer",
    section=Section.SERVICES,
    looks_at="two synthetic members, who write to each other through the edge",
    commands=("chitlaq ops check websocket.round_trip",),
    remedy="`chitlaq ops check websocket.ping database.ready redis.ready`, then"
    " `chitlaq logs websocket --since 15m`.",
    timeout_seconds=8.0,
    is_timed=True,
    stands_on=SERVING,
)
async def round_trip(system: SystemView) -> CheckOutcome:
    from chitlaq.client.errors import ClientError

    try:
        seconds = await measure(system.home, system.settings)
    except ClientError as error:
        return outcome(f"a message did not arrive: {error}", least=Verdict.CRITICAL)
    except OperatorError as error:
        raise UnknownResult(str(error)) from None
    return outcome(
        f"arrived after {duration(seconds)}, in the slower of both directions",
        {"seconds": Value(seconds, "seconds", *system.thresholds.round_trip_seconds)},
    )


@check(
    "websocket.numbering",
    "Numbers of messages",
    section=Section.SERVICES,
    looks_at="the conversations of a day: missing numbers, ends, read markers, participants",
    commands=(psql("SELECT * FROM websocket.numbering_faults(now() - interval '1 day');"),),
    remedy="Members miss messages, or wait for ones that never come. Find out what else wrote to these"
    " conversations, and compare them with a restored backup.",
)
async def numbering(system: SystemView) -> CheckOutcome:
    since = datetime.now(UTC) - LOOKED_BACK
    rows = await system.postgres.rows("numbering_faults", since)
    found = {kind: sum(row["fault"] == kind for row in rows) for kind in _FAULTS}
    return outcome(
        "; ".join(f"{_FAULTS[kind]}: {number}" for kind, number in found.items() if number)
        or "without a gap",
        {kind: Value(number, "", 1, 1) for kind, number in found.items()},
        Table(
            "conversations",
            ["conversation", "fault", "expected", "found"],
            [
                [
                    str(row["conversation_id"]),
                    _FAULTS[row["fault"]],
                    str(row["expected"]),
                    "-" if row["found"] is None else str(row["found"]),
                ]
                for row in rows[:SHOWN]
            ],
        ),
    )


@check(
    "websocket.repairs",
    "Repaired messages",
    section=Section.PERFORMANCE,
    looks_at="websocket_messages_repaired_total and what else shows that messages were late, over a day",
    commands=tuple(map(promql, (_REPAIRED, _DEAF, _GAPS, _SLOW))),
    remedy="What processes published was lost: `chitlaq logs redis --since 24h`, and Valkey's output buffers."
    " Readers that are closed are slow themselves.",
    samples_of=("websocket",),
)
async def repairs(system: SystemView) -> CheckOutcome:
    async def counted(expression: str) -> float:
        return await system.prometheus.number(f"{expression} or {_IS_SEEN}")

    sent, repaired = await counted(_SENT), await counted(_REPAIRED)
    deaf, gaps, slow = await counted(_DEAF), await counted(_GAPS), await counted(_SLOW)
    ratio = repaired / sent if sent else 0.0
    # A process that starts reads a few; of few messages, these are many.
    threshold = system.thresholds.repaired_ratio if sent >= FEW_MESSAGES else ()
    return outcome(
        f"{repaired:.0f} repaired, {share(ratio)} of {sent:.0f} sent;"
        f" {count(round(gaps), 'gap')} left to HTTP, {count(round(slow), 'slow reader')} closed",
        {
            "ratio": Value(ratio, "ratio", *threshold),
            "repaired": Value(repaired),
            "sent": Value(sent),
            "deaf": Value(deaf),
            "gaps": Value(gaps),
            "slow_readers": Value(slow),
        },
    )
