"""Retention: which backups may be deleted. It keeps the newest proved ones and those that others need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chitlaq.backups.catalog.records import BackupKind, Catalog, Record
from chitlaq.core.kept_since import kept_since


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long backups are kept.

    Args:
        keep_days: the recovery window: the database can be restored to any point in it.
        keep_dumps_days: how long dumps and configuration backups are kept.
        keep_least: how many of each kind are always kept; full backups with their incremental ones.
    """

    keep_days: int
    keep_dumps_days: int
    keep_least: int


@dataclass(frozen=True, slots=True)
class RetentionDecision:
    """Whether a backup is kept, and why."""

    record: Record
    is_kept: bool
    reason: str


def decide(catalog: Catalog, policy: RetentionPolicy, now: datetime) -> list[RetentionDecision]:
    """Decide for every backup, oldest first; days on which there is none do not count."""
    reasons: dict[str, str] = {}
    moments = [record.created_at for record in catalog.good]
    since = kept_since(moments, policy.keep_dumps_days, now)
    _by_age(reasons, catalog.of("dump"), since, policy.keep_least)
    _by_age(reasons, catalog.of("configuration"), since, policy.keep_least)
    window = kept_since(moments, policy.keep_days, now)
    _base_backups(reasons, catalog, window, policy.keep_least)
    _newest_proved(reasons, catalog, "full", "incremental")
    _newest_proved(reasons, catalog, "dump")
    _newest_proved(reasons, catalog, "configuration")
    _with_parents(reasons, catalog)
    return [
        RetentionDecision(
            record, record.id in reasons, reasons.get(record.id, _expired(record, policy))
        )
        for record in catalog.good
    ]


def decide_named(catalog: Catalog, named: Sequence[Record]) -> list[RetentionDecision]:
    """Decide for backups that an operator wants to delete whatever their age."""
    wanted = {record.id for record in named}
    reasons: dict[str, str] = {}
    _newest_proved(reasons, catalog, "full", "incremental")
    _newest_proved(reasons, catalog, "dump")
    _newest_proved(reasons, catalog, "configuration")
    reasons |= {r.id: "was not named" for r in catalog.good if r.id not in wanted | reasons.keys()}
    _with_parents(reasons, catalog)
    return [
        RetentionDecision(record, record.id in reasons, reasons.get(record.id, "was named"))
        for record in catalog.good
        if record.id in wanted
    ]


def _by_age(reasons: dict[str, str], records: list[Record], since: datetime, least: int) -> None:
    for record in records:
        if record.created_at >= since:
            reasons.setdefault(record.id, f"is younger than {since:%Y-%m-%d}")
    _newest(reasons, records, least)


def _newest(reasons: dict[str, str], records: list[Record], least: int) -> None:
    """Bad backups do not count, or they would displace good ones."""
    for record in [record for record in records if not record.is_bad][-least:] if least else []:
        reasons.setdefault(record.id, f"is one of the newest {least}")


def _base_backups(reasons: dict[str, str], catalog: Catalog, since: datetime, least: int) -> None:
    """The newest full backup before the recovery window is needed to restore to its first moment."""
    fulls = catalog.of("full")
    _by_age(reasons, catalog.of("full", "incremental"), since, 0)
    for record in [one for one in fulls if one.created_at < since and not one.is_bad][-1:]:
        reasons.setdefault(record.id, f"is needed for points in time since {since:%Y-%m-%d}")
    _newest(reasons, fulls, least)


def _newest_proved(reasons: dict[str, str], catalog: Catalog, *kinds: BackupKind) -> None:
    proved = [record for record in catalog.of(*kinds) if record.is_proved]
    for record in proved[-1:]:
        reasons[record.id] = "is the newest proved one"


def _with_parents(reasons: dict[str, str], catalog: Catalog) -> None:
    children: Mapping[str, Record] = {record.id: record for record in catalog.good}
    for name in list(reasons):
        parent = children[name].parent
        while parent is not None and parent in children:
            reasons.setdefault(parent, f"is needed by {name}")
            parent = children[parent].parent


def _expired(record: Record, policy: RetentionPolicy) -> str:
    days = policy.keep_days if record.is_physical else policy.keep_dumps_days
    return f"is older than {days} days"
