"""Which alert opens an incident, and which joins one.

Alerts are about the same thing if they have the same subject, or if one explains the other by a rule of
inhibition: that is one incident, in whatever order they were reported. So is a storm, in which incidents
open faster than anybody could look at them.

Reports are stored first, in a transaction of their own. What is stored and in no incident yet is looked for
here, again and again, so a kill or a full disk in between loses nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.core.telemetry import logs
from chitlaq.monitoring.alerts import inhibition
from chitlaq.monitoring.alerts.inhibition import Explanation
from chitlaq.ops.database.database import Transaction, statement
from chitlaq.ops.incidents import changes, settling, subjects, timeline
from chitlaq.ops.incidents.changes import CHITLAQ, Severity, State
from chitlaq.ops.statuspage import maintenance

RETURNS = timedelta(minutes=30)
"""What comes back so soon after its incident was resolved reopens it."""
STORM = 5
STORM_WINDOW = timedelta(minutes=5)
"""So many incidents that begin within so short a time are one."""
STORM_SUBJECT = "storm"
MAX_OPEN = 50
"""More incidents of alerts than these nobody can tell apart, and each look takes longer: they are a storm."""
NEVER = datetime.min.replace(tzinfo=UTC)
MAX_AT_ONCE = 1000
"""Alerts that join in one transaction."""
MAX_CONSIDERED = 1000
"""Alerts of an incident that others are compared with, the oldest ones."""

log = logs.get("incidents")

_Key = tuple[str, object]


class Alert(msgspec.Struct, frozen=True):
    """An episode of an alert."""

    fingerprint: str
    name: str
    severity: Severity
    summary: str
    labels: dict[str, str]
    started_at: datetime
    ended_at: datetime | None

    # Computed once: each alert is compared with all others.
    subject: str = ""
    explains: frozenset[Explanation] = frozenset()
    explained_by: frozenset[Explanation] = frozenset()


@dataclass(eq=False)
class _Group:
    """An incident, stored or new, with what becomes of it."""

    state: State | None
    alerts: dict[str, Alert] = field(default_factory=dict)
    """The first episode of each, with the end of its last, as far as they are considered."""
    known: set[str] = field(default_factory=set)
    """Fingerprints of new episodes of alerts that it has."""
    new: list[Alert] = field(default_factory=list)
    joined: set[str] = field(default_factory=set)
    """Fingerprints that it did not have before."""
    absorbed: list[State] = field(default_factory=list)
    last_started_at: datetime = NEVER
    is_storm: bool = False

    def consider(self, alert: Alert) -> None:
        """Remember the first episode of an alert, and when its last ended."""
        known = self.alerts.get(alert.fingerprint, alert)
        ends = [one.ended_at for one in (known, alert) if one.ended_at is not None]
        self.alerts[alert.fingerprint] = msgspec.structs.replace(
            min(known, alert, key=lambda one: one.started_at),
            ended_at=max(ends) if len(ends) == 2 else None,
        )

    @property
    def is_open(self) -> bool:
        return self.state is None or self.state.status != "resolved"

    @property
    def can_merge(self) -> bool:
        """Whether no person has decided what belongs to it."""
        return self.state is None or (self.state.resolves_itself and not self.state.is_apart)

    @property
    def may_be_of_storm(self) -> bool:
        return any(one.subject != subjects.PAGES for one in self.alerts.values())

    @property
    def began_at(self) -> datetime:
        return min(one.started_at for one in self.alerts.values())

    @property
    def rank(self) -> tuple[bool, float]:
        """Which of several incidents goes on: an open one, then the oldest."""
        return not self.is_open, self.state.id if self.state else float("inf")


def join(transaction: Transaction, now: datetime) -> int:
    """Let alerts that are in no incident open one or join one, about `MAX_AT_ONCE` at most; return how many.

    What announced work explains does neither, unless it outlasts the work.
    """
    alerts = _waiting(transaction, now)
    if not alerts:
        return 0
    groups = _Groups(_stored(transaction, now, alerts))
    for alert in alerts:
        groups.add(alert)
    groups.merge_storm()
    for group in groups.touched():
        _write(transaction, group, now)
    return len(alerts)


def _waiting(transaction: Transaction, now: datetime) -> list[Alert]:
    """Return the oldest alerts that are in no incident and must be."""
    found: list[Alert] = []
    works = maintenance.covering(transaction, now - RETURNS)
    passed = 0
    while len(found) < MAX_AT_ONCE:
        rows = transaction.rows("alerts_in_no_incident", now - RETURNS, MAX_AT_ONCE, passed)
        found += (
            alert
            for alert in _readable(rows)
            if not maintenance.is_explained(works, alert.labels, alert.ended_at or now)
        )
        passed += len(rows)
        if len(rows) < MAX_AT_ONCE:
            break
    return found


def _readable(rows: Iterable[sqlite3.Row]) -> Iterator[Alert]:
    """Return the alerts; one that nobody can read must not keep the others from opening incidents."""
    for row in rows:
        try:
            yield _alert(row)
        except msgspec.MsgspecError as error:
            log.error("alert not read", fingerprint=row["fingerprint"], error=str(error))


def _alert(row: sqlite3.Row) -> Alert:
    values = dict(row)
    labels = msgspec.json.decode(values["labels"], type=dict[str, str])
    return msgspec.structs.replace(
        msgspec.convert({**values, "labels": labels}, Alert),
        subject=subjects.subject(labels),
        explains=inhibition.inhibits(labels),
        explained_by=inhibition.inhibited(labels),
    )


def _stored(transaction: Transaction, now: datetime, alerts: Sequence[Alert]) -> Iterable[_Group]:
    """Return the incidents that alerts may join."""
    groups: dict[int, _Group] = {}
    for row in transaction.rows("incidents_to_join", now - RETURNS):
        state = msgspec.convert(dict(row), State, strict=False)
        groups[state.id] = _Group(state, is_storm=state.subject == STORM_SUBJECT)
        if row["last_started_at"]:
            groups[state.id].last_started_at = datetime.fromisoformat(row["last_started_at"])
    numbers = msgspec.json.encode(list(groups)).decode()
    for row in transaction.rows("first_episodes", numbers, MAX_CONSIDERED):
        for alert in _readable([row]):
            groups[row["incident_id"]].alerts[alert.fingerprint] = alert
    fingerprints = msgspec.json.encode([one.fingerprint for one in alerts]).decode()
    for row in transaction.rows("incidents_of_alerts", fingerprints, numbers):
        groups[row["incident_id"]].known.add(row["fingerprint"])
    return groups.values()


class _Groups:
    """Incidents by what their alerts are about, and what explains them."""

    def __init__(self, stored: Iterable[_Group]) -> None:
        self._by_key: dict[_Key, list[_Group]] = {}
        self._all: dict[_Group, set[_Key]] = {}
        for group in stored:
            self._all[group] = set()
            if group.state is not None and group.state.subject:
                self._index(group, {("subject", group.state.subject)})
            self._index(group, {("alert", one) for one in group.known})
            for alert in group.alerts.values():
                self._index(group, _keys(alert))

    def add(self, alert: Alert) -> None:
        """Put an alert into the incident that is about the same thing, or into a new one."""
        group = self._fitting(alert)
        if group is None:
            group = _Group(None)
            self._all[group] = set()
        if alert.fingerprint not in group.known:
            group.known.add(alert.fingerprint)
            group.joined.add(alert.fingerprint)
        group.consider(alert)
        group.new.append(alert)
        group.last_started_at = max(group.last_started_at, alert.started_at)
        self._index(group, _keys(alert))

    def merge_storm(self) -> None:
        """Make one incident of those that began together, or are too many, whenever they began."""
        fresh = sorted(
            (one for one in self._all if one.is_open and one.can_merge and one.may_be_of_storm),
            key=lambda one: one.began_at,
        )
        if len(fresh) > MAX_OPEN:
            self._merged(fresh).is_storm = True
            return
        for first in range(len(fresh) - STORM + 1):
            start = fresh[first].began_at
            if fresh[first + STORM - 1].began_at - start <= STORM_WINDOW:
                together = [one for one in fresh[first:] if one.began_at - start <= STORM_WINDOW]
                self._merged(together).is_storm = True
                self.merge_storm()
                return

    def touched(self) -> list[_Group]:
        """Return the incidents that change, in the order in which their first alerts began."""
        changed = [one for one in self._all if one.new or one.absorbed]
        return sorted(changed, key=lambda one: (one.began_at, min(one.alerts)))

    def _fitting(self, alert: Alert) -> _Group | None:
        same = self._by_key.get(("alert", alert.fingerprint), [])
        if has_it := [one for one in same if one.is_open]:
            return min(has_it, key=lambda one: one.rank)
        related = [one for key in _counterparts(alert) for one in self._by_key.get(key, ())]
        found = dict.fromkeys([*same, *related]) or dict.fromkeys(self._storms(alert))
        if not found:
            return None
        first = min(found, key=lambda one: one.rank)
        return self._merged([one for one in found if one.can_merge]) if first.can_merge else first

    def _storms(self, alert: Alert) -> list[_Group]:
        if alert.subject == subjects.PAGES:
            return []
        return [
            one
            for one in self._all
            if one.is_storm
            and one.is_open
            and abs(alert.started_at - one.last_started_at) <= STORM_WINDOW
        ]

    def _merged(self, groups: list[_Group]) -> _Group:
        target, *others = sorted(groups, key=lambda one: one.rank)
        for other in others:
            for alert in other.alerts.values():
                target.consider(alert)
            target.known |= other.known
            target.last_started_at = max(target.last_started_at, other.last_started_at)
            target.new += other.new
            target.joined |= set(other.alerts)
            target.absorbed += [*other.absorbed, *([other.state] if other.state else [])]
            target.is_storm |= other.is_storm
            keys = self._all.pop(other)
            for key in keys:
                self._by_key[key].remove(other)
            self._index(target, keys)
        return target

    def _index(self, group: _Group, keys: Iterable[_Key]) -> None:
        for key in keys:
            if key not in self._all[group]:
                self._all[group].add(key)
                self._by_key.setdefault(key, []).append(group)


def _keys(alert: Alert) -> set[_Key]:
    """Return under which keys others find an alert."""
    return {
        ("alert", alert.fingerprint),
        ("subject", alert.subject),
        *(("explains", one) for one in alert.explains),
        *(("explained", one) for one in alert.explained_by),
    }


def _counterparts(alert: Alert) -> set[_Key]:
    """Return under which keys an alert finds others."""
    return {
        ("subject", alert.subject),
        *(("explained", one) for one in alert.explains),
        *(("explains", one) for one in alert.explained_by),
    }


def _lead(group: _Group) -> Alert:
    """Return the alert that gives an incident its title: the most severe, and a cause before its effects.

    What was over long before the last alert began is not what is wrong now: the incident was reopened.
    """
    since = group.last_started_at - settling.QUIET
    alerts = [
        one for one in group.alerts.values() if one.ended_at is None or one.ended_at > since
    ] or group.alerts.values()
    causes = {one for alert in alerts for one in alert.explains}
    return min(
        alerts,
        key=lambda one: (
            one.severity,
            not causes.isdisjoint(one.explained_by),
            one.started_at,
            one.fingerprint,
        ),
    )


def _write(transaction: Transaction, group: _Group, now: datetime) -> None:
    lead = _lead(group)
    title = timeline.title(lead.summary) or timeline.title(lead.name) or "An alert without a name"
    subject = lead.subject
    if group.is_storm:
        title, subject = timeline.title(f"Alert storm: {title}"), STORM_SUBJECT
    if (state := group.state) is None:
        number = changes.insert(
            transaction, title, lead.severity, subject, now, CHITLAQ, resolves_itself=True
        )
        transaction.write(
            timeline.add(number, "opened", CHITLAQ, f"{lead.severity}: {title}", at=now)
        )
    else:
        number = state.id
        if state.resolves_itself and not state.is_apart:
            state = msgspec.structs.replace(state, title=title, subject=subject)
        _change(transaction, group, state, now)
    for one in group.absorbed:
        changes.absorb(transaction, number, one, now, CHITLAQ)
    transaction.write(
        *(
            statement("add_alert_to_incident", one.fingerprint, one.started_at, number)
            for one in group.new
        )
    )


def _change(transaction: Transaction, group: _Group, state: State, now: datetime) -> None:
    """Reopen an incident that came back, and raise its severity if an alert that it did not have is worse."""
    said = []
    changed = state
    came_back = [
        one
        for one in group.new
        if state.resolved_at and (one.ended_at is None or one.ended_at > state.resolved_at)
    ]
    if came_back:
        changed = changes.open_again(changed)
        names = ", ".join(sorted({one.name for one in came_back}))
        said.append(timeline.add(state.id, "reopened", CHITLAQ, f"{names} came back", at=now))
    worst: Severity = min(
        (
            *(group.alerts[one].severity for one in group.joined),
            *(one.severity for one in group.absorbed),
        ),
        default=state.severity,
    )
    if worst < state.severity:
        changed = msgspec.structs.replace(changed, severity=worst)
        text = f"{state.severity} → {worst}: {_lead(group).name}"
        if changed.status == "acknowledged":
            # Who has taken care of something minor has not taken care of this.
            changed = changes.open_again(changed)
            text += f"; the acknowledgement by {state.acknowledged_by} was for {state.severity}"
        said.append(timeline.add(state.id, "severity", CHITLAQ, text, at=now))
    is_new = (changed.status, changed.severity) != (state.status, state.severity)
    transaction.write(changes.store(changed, is_new_version=is_new), *said)
