"""Run checks concurrently, each within its own timeout and independent of the others."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from chitlaq.core import ids
from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.telemetry import logs
from chitlaq.ops.checks.model import (
    WORST_FIRST,
    Check,
    CheckOutcome,
    Evidence,
    Section,
    Value,
    Verdict,
    worst,
)
from chitlaq.ops.checks.sources.system import SystemView

log = logs.get("routines")


class Note(msgspec.Struct, frozen=True):
    """What an operator wrote about a check; an acknowledgement holds until the check is OK again."""

    check: str
    kind: str
    text: str
    operator: str
    created_at: datetime
    ended_at: datetime | None


class Result(msgspec.Struct, frozen=True):
    """The result of one check in one run, with the operators' notes on it."""

    check: str
    title: str
    section: Section
    verdict: Verdict
    summary: str
    values: dict[str, Value]
    evidence: list[Evidence]
    remedy: str
    duration_seconds: float
    notes: list[Note] = []


class Run(msgspec.Struct, frozen=True):
    """One run of a routine; results are worst first, then in the routine's order."""

    id: UUID
    routine: str
    started_at: datetime
    duration_seconds: float
    verdict: Verdict
    started_by: str
    host: str
    results: list[Result]


OnResult = Callable[[Result, int, int], None]
"""Receives each result as it arrives, how many there are, and how many there will be."""


async def run(
    system: SystemView,
    name: str,
    checks: Sequence[Check],
    started_by: str,
    on_result: OnResult = lambda _result, _done, _total: None,
) -> Run:
    """Run checks concurrently, each within its own timeout; none can stop the others.

    Heavy checks run last, because they would distort time measurements beside them.
    """
    system.prepare()
    started_at, started = datetime.now(UTC), time.perf_counter()
    results: list[Result] = []

    async def one(check: Check) -> None:
        result = await judge(check, system)
        results.append(result)
        on_result(result, len(results), len(checks))

    for is_heavy in (False, True):
        await asyncio.gather(*(one(check) for check in checks if check.is_heavy == is_heavy))
    order = [check.id for check in checks]
    results.sort(key=lambda one: (WORST_FIRST.index(one.verdict), order.index(one.check)))
    return Run(
        ids.new(),
        name,
        started_at,
        round(time.perf_counter() - started, 3),
        worst(result.verdict for result in results),
        started_by,
        socket.gethostname(),
        results,
    )


async def judge(check: Check, system: SystemView) -> Result:
    """Run one check and always return a result: UNKNOWN, with the reason, if it fails or hangs."""
    started = time.perf_counter()
    looking = asyncio.ensure_future(check.judge(system))
    # Not `wait_for`: that waits until the cancelled task ends, which a server that hangs can delay.
    await asyncio.wait({looking}, timeout=check.timeout_seconds)
    if looking.done():
        found = printable(_found(looking))
    else:
        looking.cancel()
        looking.add_done_callback(_forget)
        found = CheckOutcome(Verdict.UNKNOWN, f"timed out after {check.timeout_seconds:g} s")
    return Result(
        check.id,
        check.title,
        check.section,
        found.verdict,
        found.summary,
        found.values,
        found.evidence,
        _remedy(check, found.verdict),
        round(time.perf_counter() - started, 3),
    )


def _remedy(check: Check, verdict: Verdict) -> str:
    """Return what to do; if nothing could be seen, the source needs to be fixed first."""
    if verdict == Verdict.UNKNOWN:
        return f"Fix what it reads ({check.looks_at}), then run `chitlaq ops check {check.id}`."
    return check.remedy


def _found(looking: asyncio.Future[CheckOutcome]) -> CheckOutcome:
    try:
        return looking.result()
    except NotApplicable as error:
        return CheckOutcome(Verdict.SKIPPED, str(error))
    except UnknownResult as error:
        return CheckOutcome(Verdict.UNKNOWN, str(error))
    except (Exception, asyncio.CancelledError) as error:
        # A bug in the check says nothing about what it looks at.
        log.error("check failed", fault=error)
        return CheckOutcome(
            Verdict.UNKNOWN, f"the check itself failed: {type(error).__name__}: {error}"
        )


# A log line must not control an operator's terminal, and PostgreSQL stores no NUL.
_UNPRINTABLE = {
    code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}


def printable(found: CheckOutcome) -> CheckOutcome:
    """Return an outcome with each control character replaced by U+FFFD."""
    return msgspec.convert(_printable(msgspec.to_builtins(found)), CheckOutcome)


def _printable(value: object) -> object:
    match value:
        case str():
            return value.translate(_UNPRINTABLE)
        case list():
            return [_printable(one) for one in value]
        case dict():
            return {_printable(key): _printable(one) for key, one in value.items()}
        case _:
            return value


def _forget(looking: asyncio.Future[CheckOutcome]) -> None:
    with suppress(BaseException):
        looking.result()
