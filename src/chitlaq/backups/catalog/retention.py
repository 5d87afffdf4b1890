"""Which backups may go: by age; never the newest proved one, nor the last few, nor what others need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chitlaq.backups.catalog.records import Catalog, Kind, Record


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long backups are kept.

    Args:
        keep_days: any moment of so many days can be restored.
        keep_dumps_days: dumps and configurations are kept for so many days.
        keep_least: of each kind so many are kept, however old; incremental ones go with the full one.
    """

    keep_days: int
    keep_dumps_days: int
    keep_least: int


@dataclass(frozen=True, slots=True)
class RetentionDecision:
    """Whether a backup stays, and why."""

    record: Record
    is_kept: bool
    reason: str


def decide(found: Catalog, rule: RetentionPolicy, now: datetime) -> list[RetentionDecision]:
    """Judge every backup, oldest first."""
    reasons: dict[str, str] = {}
    since = now - timedelta(days=rule.keep_dumps_days)
    _by_age(reasons, found.of("dump"), since, rule.keep_least)
    _by_age(reasons, found.of("configuration"), since, rule.keep_least)
    _base_backups(reasons, found, now - timedelta(days=rule.keep_days), rule.keep_least)
    _newest_proved(reasons, found, "full", "incremental")
    _newest_proved(reasons, found, "dump")
    _newest_proved(reasons, found, "configuration")
    _with_parents(reasons, found)
    return [
        RetentionDecision(
            record, record.id in reasons, reasons.get(record.id, _expired(record, rule))
        )
        for record in found.good
    ]


def decide_named(found: Catalog, named: Sequence[Record]) -> list[RetentionDecision]:
    """Judge those that an operator wants to be rid of, whatever their age."""
    wanted = {record.id for record in named}
    reasons: dict[str, str] = {}
    _newest_proved(reasons, found, "full", "incremental")
    _newest_proved(reasons, found, "dump")
    _newest_proved(reasons, found, "configuration")
    reasons |= {r.id: "was not named" for r in found.good if r.id not in wanted | reasons.keys()}
    _with_parents(reasons, found)
    return [
        RetentionDecision(record, record.id in reasons, reasons.get(record.id, "was named"))
        for record in found.good
        if record.id in wanted
    ]


def _by_age(reasons: dict[str, str], records: list[Record], since: datetime, least: int) -> None:
    for record in records:
        if record.created_at >= since:
            reasons.setdefault(record.id, f"is younger than {since:%Y-%m-%d}")
    _newest(reasons, records, least)


def _newest(reasons: dict[str, str], records: list[Record], least: int) -> None:
    """A backup that is known to be bad does not count: it would take a good one's place."""
    for record in [record for record in records if not record.is_bad][-least:] if least else []:
        reasons.setdefault(record.id, f"is one of the newest {least}")


def _base_backups(reasons: dict[str, str], found: Catalog, since: datetime, least: int) -> None:
    """The newest full backup from before the span is where its first moment is restored from."""
    fulls = found.of("full")
    _by_age(reasons, found.of("full", "incremental"), since, 0)
    for record in [one for one in fulls if one.created_at < since and not one.is_bad][-1:]:
        reasons.setdefault(record.id, f"leads to every moment since {since:%Y-%m-%d}")
    _newest(reasons, fulls, least)


def _newest_proved(reasons: dict[str, str], found: Catalog, *kinds: Kind) -> None:
    proved = [record for record in found.of(*kinds) if record.is_proved]
    for record in proved[-1:]:
        reasons[record.id] = "is the newest that was proved"


def _with_parents(reasons: dict[str, str], found: Catalog) -> None:
    children: Mapping[str, Record] = {record.id: record for record in found.good}
    for name in list(reasons):
        parent = children[name].parent
        while parent is not None and parent in children:
            reasons.setdefault(parent, f"{name} adds to it")
            parent = children[parent].parent


def _expired(record: Record, rule: RetentionPolicy) -> str:
    days = rule.keep_days if record.is_physical else rule.keep_dumps_days
    return f"is older than {days} days"
