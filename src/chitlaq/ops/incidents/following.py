"""What people did with incidents of the ops-service that acts, done to those that another has opened.

Each ops-service opens incidents from its own Alertmanager, since it may have to call people alone. The one
that acts tells of each what it is about, its alerts, who takes care of it and what members read of it.
Another does the same to its own incident with one of these alerts or of the same subject, or keeps it until
it opens one. So when it has to act, it calls nobody of what somebody takes care of, and tells nothing twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from chitlaq.core.local_time import local
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import OpsDatabase, Transaction, statement
from chitlaq.ops.incidents import changes, joining, timeline
from chitlaq.ops.incidents.changes import CHITLAQ, Severity, State, Status
from chitlaq.ops.incidents.timeline import Kind

MAX_INCIDENTS = 100
MAX_FINGERPRINTS = 200
PUBLISHED_WITHIN = timedelta(days=1)
"""Of incidents that are over, those are told that members were told of so lately."""

log = logs.get("incidents")


class ToldUpdate(msgspec.Struct, frozen=True):
    id: str
    status: str
    text: str
    text_tr: str
    published_at: str
    published_by: str


class Words(msgspec.Struct, frozen=True):
    """What members read of an incident, as it is stored; updates are oldest first."""

    title: str
    title_tr: str
    impact: str
    components: str
    status: str
    published_at: str
    updated_at: str
    updates: list[ToldUpdate]


class ToldIncident(msgspec.Struct, frozen=True):
    """An incident of the ops-service that acts.

    Args:
        fingerprints: of its alerts.
        words: None if members were not told of it.
    """

    subject: str
    severity: Severity
    status: Status
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledged_until: datetime | None
    fingerprints: list[str]
    words: Words | None

    def is_taken_care_of(self, now: datetime) -> bool:
        until = self.acknowledged_until
        return self.status == "acknowledged" and until is not None and until > now

    def is_about(self, state: State, fingerprints: Collection[str]) -> bool:
        """Whether it is what another ops-service's incident is about, too."""
        if self.status == "resolved":
            return False
        # Two storms need have nothing in common.
        has_subject = state.subject not in {"", joining.STORM_SUBJECT}
        return not set(fingerprints).isdisjoint(self.fingerprints) or (
            has_subject and state.subject == self.subject
        )


async def to_tell(database: OpsDatabase, now: datetime) -> str:
    """Return what others have to know, as JSON: of the own incidents, and of those that are awaited.

    Raises:
        OpsDatabaseUnavailableError: it cannot be read.
    """
    since = now - PUBLISHED_WITHIN
    rows = await database.rows("incidents_to_tell", since, MAX_INCIDENTS, MAX_FINGERPRINTS)
    told = [_own(row) for row in rows]
    for row in await database.rows("told_incidents", now):
        if row["kept_until"] is not None:
            told += _read(row)
    return msgspec.json.encode(told).decode()


def adopt(transaction: Transaction, told: str, now: datetime, *, is_whole: bool) -> None:
    """Do to the own incidents what was done to those of the ops-service that acts, or acted last.

    Args:
        told: the whole of what it told, a JSON object.
        is_whole: it acts, so its word holds; otherwise this one acts from now on, and what was said here
            stays.
    """
    kept_until = None if is_whole else now + joining.RETURNS
    transaction.write(statement("keep_told_incidents", told, kept_until))
    _Follower(transaction, now, is_told=is_whole).follow()


def follow(transaction: Transaction, now: datetime) -> bool:
    """Do to incidents that were opened since what is waiting for them; return whether anything changed."""
    return _Follower(transaction, now, is_told=False).follow()


class _Follower:
    """Does it once.

    Args:
        transaction: in which.
        now: which acknowledgements have expired.
        is_told: the ops-service that acts has just said it: it overrides what was said here.
    """

    def __init__(self, transaction: Transaction, now: datetime, *, is_told: bool) -> None:
        self._transaction = transaction
        self._now = now
        self._is_told = is_told

    def follow(self) -> bool:
        stored = self._transaction.rows("told_incidents", self._now)
        told = [one for row in stored for one in _read(row)]
        if not told:
            return False
        is_changed = False
        known: set[int] = set()
        for row in self._transaction.rows("incidents_to_follow"):
            state = msgspec.convert(dict(row), State, strict=False)
            fingerprints = msgspec.json.decode(row["fingerprints"], type=set[str])
            same = [at for at, one in enumerate(told) if one.is_about(state, fingerprints)]
            if not same:
                continue
            is_changed |= self._change(state, fingerprints, [told[at] for at in same])
            for at in same:
                words = told[at].words
                if words is not None and at not in known:
                    is_changed |= self._publish(words, state.id)
            known.update(same)
        for one in told:
            if one.words is not None and one.status == "resolved":
                is_changed |= self._publish(one.words, None)
        if known and stored[0]["kept_until"] is not None:
            # Once: what becomes of these is decided here from now on.
            left = [one for at, one in enumerate(told) if at not in known]
            self._transaction.write(
                statement("keep_told_incidents_left", msgspec.json.encode(left).decode())
            )
        return is_changed

    def _change(self, state: State, fingerprints: set[str], found: Sequence[ToldIncident]) -> bool:
        """Change an incident as those that are about the same were changed."""
        worst = min(one.severity for one in found)
        is_whole = fingerprints <= {one for told in found for one in told.fingerprints}
        after, said = state, list[tuple[Kind, str, str]]()
        is_taken_care_of = all(one.is_taken_care_of(self._now) for one in found)
        # Who has taken care of something minor has not taken care of what is worse here.
        if is_taken_care_of and (is_whole or worst <= state.severity):
            if state.status == "open" or self._is_told:
                after = _acknowledged(state, found)
                if after != state:
                    until = after.acknowledged_until
                    text = f"on another machine, until {until and local(until):%Y-%m-%d %H:%M}"
                    said.append(("acknowledged", after.acknowledged_by or CHITLAQ, text))
        elif self._is_told and state.status == "acknowledged" and not is_taken_care_of:
            after = changes.open_again(state)
            text = f"of {state.acknowledged_by}: nobody takes care of it on the machine that acts"
            said.append(("expired", CHITLAQ, text))
        if is_whole and worst != state.severity and (self._is_told or after != state):
            after = msgspec.structs.replace(after, severity=worst)
            said.append(("severity", CHITLAQ, f"{state.severity} → {worst}, as on another machine"))
        if after == state:
            return False
        self._transaction.write(
            changes.store(after),
            *(
                timeline.add(state.id, kind, actor, text, at=self._now)
                for kind, actor, text in said
            ),
        )
        return True

    def _publish(self, words: Words, number: int | None) -> bool:
        """Show members what they read elsewhere, of the incident that has these words or else of this."""
        ids = msgspec.json.encode([one.id for one in words.updates]).decode()
        for row in self._transaction.rows("incident_of_updates", ids):
            number = row["incident_id"]
        if number is None:
            return False
        shown = self._transaction.rows("published_incident", number)
        if shown and shown[0]["updated_at"] >= words.updated_at:
            return False
        self._transaction.write(
            statement(
                "adopt_words",
                number,
                words.title,
                words.title_tr,
                words.impact,
                words.components,
                words.status,
                words.published_at,
                words.updated_at,
            ),
            *(
                statement(
                    "adopt_update",
                    one.id,
                    number,
                    one.status,
                    one.text,
                    one.text_tr,
                    one.published_at,
                    one.published_by,
                )
                for one in words.updates
            ),
        )
        return True


def _read(row: sqlite3.Row) -> list[ToldIncident]:
    """What was told; what nobody can read must not keep alerts from opening incidents."""
    try:
        return msgspec.json.decode(row["told"], type=list[ToldIncident])
    except msgspec.MsgspecError as error:
        log.error("what was done with incidents elsewhere is not read", error=str(error))
        return []


def _own(row: sqlite3.Row) -> ToldIncident:
    values = dict(row)
    fingerprints = msgspec.json.decode(values["fingerprints"])
    words = msgspec.json.decode(values["words"] or "null")
    return msgspec.convert(
        {**values, "fingerprints": fingerprints, "words": words}, ToldIncident, strict=False
    )


def _acknowledged(state: State, found: Sequence[ToldIncident]) -> State:
    """As the one is of whose acknowledgement the least is left."""
    one = min(found, key=lambda told: told.acknowledged_until or joining.NEVER)
    return msgspec.structs.replace(
        state,
        status="acknowledged",
        acknowledged_at=one.acknowledged_at,
        acknowledged_by=one.acknowledged_by,
        acknowledged_until=one.acknowledged_until,
    )
