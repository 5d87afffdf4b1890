"""Decide who is to be told when: from the incidents as they are and the clocks as they were left.

One transaction reads the incidents, moves their clocks and plans pages, so nothing is planned twice, and
nothing is forgotten between two of its steps. Nothing is sent here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from chitlaq.core.formatting import duration
from chitlaq.ops.database.database import Transaction, statement
from chitlaq.ops.escalation.clock import Clock, corrected
from chitlaq.ops.incidents import timeline
from chitlaq.ops.incidents.changes import Severity, Status
from chitlaq.ops.oncall import rotations
from chitlaq.ops.oncall.current import Current
from chitlaq.ops.oncall.roster import Policy, Roster
from chitlaq.ops.oncall.rotations import Override

WITHOUT_PAGES = "P3"
"""The severity that is only listed, once a day."""
FLAPPING_WITHIN = timedelta(hours=1)
FLAPPING_RUNS = 3
"""An incident that comes back is told anew this often; after that its last run goes on."""
ACTOR = "escalation"


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """An incident and its clock; before the first run there is none.

    Args:
        openings: how often it became one that nobody takes care of.
        opening: which of these times the clock is about.
        waits: somebody has been told, and no alert fires.
        fires_since: when the first of the alerts that fire began.
    """

    id: int
    severity: Severity
    status: Status
    opened_at: datetime
    acknowledged_until: datetime | None
    acknowledged_by: str | None
    run: int | None
    run_severity: Severity | None
    state: str | None
    level: int | None
    next_at: datetime | None
    seen_until: datetime | None
    resumes_at: datetime | None
    openings: int
    opening: int | None
    waits: bool
    fires_since: datetime | None
    begun: int


class Plan(msgspec.Struct, frozen=True):
    """What is to be sent, and when to look again.

    Args:
        now: the time by which deadlines are kept.
        waiting: planned pages, most severe first.
        recent: who was told how often lately, by person and channel.
        next_at: when the next level is due, or an acknowledgement expires.
    """

    now: datetime
    waiting: Sequence[sqlite3.Row]
    recent: Sequence[sqlite3.Row]
    next_at: datetime | None


def advance(
    transaction: Transaction,
    current: Current,
    clock: Clock,
    recent_within: timedelta,
    not_before: datetime | None = None,
) -> Plan:
    """Move all clocks to now, and plan the pages that follow from that.

    Args:
        not_before: when this machine took the place of another, which has told people until then: whom, is
            not known here, so the first is told again, and nobody is late.
    """
    now = corrected(transaction, clock)
    overrides = msgspec.convert(
        list(map(dict, transaction.rows("overrides", now))), list[Override], strict=False
    )
    rows = transaction.rows("clocks", now - FLAPPING_WITHIN, now)
    nexts = []
    for row in rows:
        one = msgspec.convert(dict(row), Escalation, strict=False)
        nexts.append(_Mover(transaction, current, overrides, one, now, not_before).move())
    return Plan(
        now,
        transaction.rows("planned_pages"),
        transaction.rows("recent_messages", now - recent_within, now),
        min((one for one in nexts if one is not None), default=None),
    )


def levels_of(policy: Policy, roster: Roster) -> tuple[str, ...]:
    """Return the levels of a policy that the roster has; the runbook's defaults name three."""
    return tuple(one for one in policy.levels if one in roster.levels)


def next_level(roster: Roster, severity: str, levels_told: int) -> str:
    """Return the level that is told next, or an empty string if no other is."""
    policy = roster.policies[severity]
    levels = levels_of(policy, roster)
    if not levels or (levels_told >= len(levels) and not policy.repeats):
        return ""
    return levels[levels_told % len(levels)]


class _Mover:
    """Moves the clock of one incident."""

    def __init__(
        self,
        transaction: Transaction,
        current: Current,
        overrides: Sequence[Override],
        one: Escalation,
        now: datetime,
        not_before: datetime | None,
    ) -> None:
        self._not_before = not_before
        self._transaction = transaction
        self._current = current
        self._roster = current.roster
        self._overrides = overrides
        self._one = one
        self._now = now

    def move(self) -> datetime | None:
        """Move it to now, and return when it moves next."""
        one = self._one
        if one.status == "resolved":
            self._drop("the incident is resolved")
            return self._set("stopped", one.level or 0, None, resumes_at=one.next_at)
        if one.status == "acknowledged":
            return self._acknowledged()
        if one.run is None or one.run_severity is None:
            # An incident that was opened while ops-service was down is late.
            return self._begin(min(one.opened_at, self._now))
        if one.state == "acknowledged" or one.severity < one.run_severity:
            return self._begin(self._now)
        if one.opening != one.openings:
            return self._came_back()
        return self._go_on(one.run, one.level or 0, one.next_at)

    def _acknowledged(self) -> datetime | None:
        one = self._one
        if one.state != "acknowledged" or one.seen_until != one.acknowledged_until:
            self._drop(f"acknowledged by {one.acknowledged_by}")
            self._set("acknowledged", one.level or 0, one.acknowledged_until)
        # `incidents` opens it again when the acknowledgement expires.
        return None

    def _came_back(self) -> datetime | None:
        one = self._one
        if one.begun < FLAPPING_RUNS:
            return self._begin(self._now)
        assert one.run is not None
        self._say(
            f"It came back again, after {one.begun} times within"
            f" {duration(FLAPPING_WITHIN.total_seconds())}: it is flapping. Nobody is told anew; the clock"
            " goes on where it stopped.",
            key=f"flapping:{one.run}",
        )
        # It may have gone and come back while nothing escalated: then the clock has not stopped.
        resumes_at = one.resumes_at or one.next_at
        resumes_at = max(resumes_at, self._now) if resumes_at is not None else None
        return self._go_on(one.run, one.level or 0, resumes_at)

    def _begin(self, starts_at: datetime) -> datetime | None:
        self._drop("the clock began again")
        run = (self._one.run or 0) + 1
        if self._one.severity == WITHOUT_PAGES:
            return self._set("running", 0, None, run=run)
        return self._go_on(run, 0, starts_at)

    def _go_on(self, run: int, level: int, next_at: datetime | None) -> datetime | None:
        """Tell the levels that are due; while the clock waits none is, until an alert fires again."""
        policy = self._roster.policies[self._one.severity]
        levels = levels_of(policy, self._roster)
        pause = timedelta(minutes=policy.within_minutes) / max(1, len(levels))
        told = 0
        waits = self._one.waits and run == self._one.run
        if next_at is not None and self._not_before is not None:
            next_at = max(next_at, min(self._not_before, self._now))
        if next_at is not None and self._one.fires_since is not None:
            next_at = max(next_at, min(self._one.fires_since, self._now))
        while not waits and next_at is not None and next_at <= self._now:
            if not levels or (level >= len(levels) and not policy.repeats):
                self._nobody_is_left(policy, run, is_empty=not levels)
                next_at = None
            elif told == len(levels):
                # It was down for long: each level is told once, not once for each missed round.
                next_at = self._now + pause
            else:
                role = levels[level % len(levels)]
                has_anybody = self._tell(run, level, role, next_at, is_first=level < len(levels))
                level, told = level + 1, told + 1
                next_at = next_at + pause if has_anybody else next_at
        self._set("running", level, next_at, run=run)
        return None if waits else next_at

    def _tell(self, run: int, level: int, role: str, due: datetime, *, is_first: bool) -> bool:
        people = rotations.told(self._roster, self._overrides, role, self._now)
        for person in people:
            for channel in person.channels:
                at = due + timedelta(minutes=channel.after_minutes)
                self._transaction.rows(
                    "plan_page", self._one.id, run, level, role, person.id, channel.name, at
                )
        if not people and is_first:
            self._say(
                f"Nobody has the duty {role} now: the next level is told at once.",
                f"nobody:{run}:{level}",
            )
        return bool(people)

    def _nobody_is_left(self, policy: Policy, run: int, *, is_empty: bool) -> None:
        within = duration(policy.within_minutes * 60)
        said = (
            f"Nobody is told. {self._current.why_nobody}"
            if is_empty
            else f"Nobody has acknowledged within {within}; nobody else is told of a"
            f" {self._one.severity}."
        )
        self._say(said, key=f"over:{run}")

    def _drop(self, why: str) -> None:
        self._transaction.rows("drop_pages", self._one.id, self._now, why)

    def _say(self, text: str, key: str) -> None:
        self._transaction.write(
            timeline.add(self._one.id, "message", ACTOR, text, at=self._now, key=key)
        )

    def _set(
        self,
        state: str,
        level: int,
        next_at: datetime | None,
        *,
        run: int | None = None,
        resumes_at: datetime | None = None,
    ) -> datetime | None:
        """Store the clock if it has changed."""
        one = self._one
        run = run or one.run or 0
        until = one.acknowledged_until if state == "acknowledged" else None
        after = (run, one.severity, state, level, next_at, until, resumes_at, one.openings)
        before = (
            one.run, one.run_severity, one.state, one.level, one.next_at, one.seen_until, one.resumes_at,
            one.opening,
        )  # fmt: skip
        if after != before:
            self._transaction.write(statement("set_clock", one.id, *after))
        return next_at
