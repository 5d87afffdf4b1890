"""Run checks concurrently, each within its own timeout and independent of the others."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import msgspec

from chitlaq.core import ids
from chitlaq.core.errors import NotApplicable, NotYet, UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import logs
from chitlaq.ops.checks.causes import Causes, verdicts
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
from chitlaq.stack import commands

QUIET_SECONDS = 3.0
"""How long what measures time may have the process for itself; healthy servers need a tenth of that."""

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
    explained_by: str = ""
    """The check whose problem explains this one's: mending that mends this."""


class Run(msgspec.Struct, frozen=True):
    """One run of a routine; results are worst first, causes before what they explain."""

    id: UUID
    routine: str
    started_at: datetime
    duration_seconds: float
    verdict: Verdict
    started_by: str
    host: str
    results: list[Result]

    @property
    def problems(self) -> list[Result]:
        """What is to be mended: problems that no other one explains."""
        return [one for one in self.results if one.verdict.is_problem and not one.explained_by]

    def effects(self, of: Result) -> list[Result]:
        """Return the problems that this one explains."""
        return [one for one in self.results if one.explained_by == of.check]


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

    Those that measure time come first, each alone as long as all answer soon: in one process, dozens of
    others would make a server of 1 ms seem to take half a second. Heavy ones run last.
    """
    system.prepare()
    started_at, started = datetime.now(UTC), time.perf_counter()
    found: dict[str, tuple[CheckOutcome, float]] = {}

    # At once they would use up each other's time.
    heavy = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(check: Check) -> None:
        async with heavy if check.is_heavy else nullcontext():
            found[check.id] = seen, seconds = await _look(check, system)
        on_result(_result(check, seen, seconds, system.home), len(found), len(checks))

    until = time.perf_counter() + QUIET_SECONDS
    running = []
    for check in (each for each in checks if each.is_timed):
        running.append(asyncio.create_task(one(check)))
        if (left := until - time.perf_counter()) > 0:
            await asyncio.wait(running, timeout=left)
    others = [check for check in checks if not check.is_timed]
    await asyncio.gather(*running, *(one(check) for check in others if not check.is_heavy))
    await asyncio.gather(*(one(check) for check in others if check.is_heavy))
    results = _explained(checks, found, system.home)
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
    return _result(check, *await _look(check, system), system.home)


async def _look(check: Check, system: SystemView) -> tuple[CheckOutcome, float]:
    """Return what a check finds, and after how many seconds."""
    started = time.perf_counter()
    looking = asyncio.ensure_future(check.look(system))
    # Not `wait_for`: that waits until the cancelled task ends, which a server that hangs can delay.
    await asyncio.wait({looking}, timeout=check.timeout_seconds)
    if looking.done():
        found = _shown(_found(looking), partial(_as_here, home=system.home))
    else:
        looking.cancel()
        looking.add_done_callback(_forget)
        found = CheckOutcome(Verdict.UNKNOWN, f"timed out after {check.timeout_seconds:g} s")
    return found, round(time.perf_counter() - started, 3)


def _result(check: Check, found: CheckOutcome, seconds: float, home: Home) -> Result:
    return Result(
        check.id,
        check.title,
        check.section,
        found.verdict,
        found.summary,
        found.values,
        found.evidence,
        commands.in_text(_remedy(check, found.verdict), home),
        seconds,
    )


def _explained(
    checks: Sequence[Check], found: Mapping[str, tuple[CheckOutcome, float]], home: Home
) -> list[Result]:
    """Return the results, worst first, each cause before what it explains."""
    outcomes = {name: seen for name, (seen, _) in found.items()}
    known = Causes({one.id: one for one in checks}, outcomes)
    by = {one.id: cause for one in checks if (cause := known.of(one.id))}
    final = verdicts(outcomes, by)
    results = []
    for one in checks:
        result = msgspec.structs.replace(_result(one, *found[one.id], home), verdict=final[one.id])
        if one.id in by:
            cause = by[one.id]
            remedy = f"Mend {cause} first, which explains it."
            result = msgspec.structs.replace(result, explained_by=cause, remedy=remedy)
        results.append(result)
    return sorted(results, key=lambda one: (WORST_FIRST.index(one.verdict), bool(one.explained_by)))


def _remedy(check: Check, verdict: Verdict) -> str:
    """Return what to do; if nothing could be seen, the source needs to be fixed first."""
    if verdict == Verdict.UNKNOWN:
        return f"Fix what it reads ({check.looks_at}), then run `chitlaq ops check {check.id}`."
    return check.remedy


def _found(looking: asyncio.Future[CheckOutcome]) -> CheckOutcome:
    try:
        return looking.result()
    except (NotApplicable, NotYet) as error:
        return CheckOutcome(Verdict.SKIPPED, str(error))
    except UnknownResult as error:
        because = (error.judged_by,) if error.judged_by else ()
        return CheckOutcome(Verdict.UNKNOWN, str(error), because=because)
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


def _as_here(text: str, home: Home) -> str:
    """Return a text with each control character as U+FFFD, and commands as they are typed here."""
    return commands.in_text(commands.here(text.translate(_UNPRINTABLE), home), home)


def _shown(found: CheckOutcome, shown: Callable[[str], str]) -> CheckOutcome:
    return msgspec.convert(_mapped(msgspec.to_builtins(found), shown), CheckOutcome)


def _mapped(value: object, shown: Callable[[str], str]) -> object:
    match value:
        case str():
            return shown(value)
        case list():
            return [_mapped(one, shown) for one in value]
        case dict():
            return {_mapped(key, shown): _mapped(one, shown) for key, one in value.items()}
        case _:
            return value


def _forget(looking: asyncio.Future[CheckOutcome]) -> None:
    with suppress(BaseException):
        looking.result()
