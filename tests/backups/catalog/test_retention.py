"""Retention: invariants of what may be deleted, for any history of backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.backups.catalog import retention
from chitlaq.backups.catalog.records import BackupKind, Catalog, ProofResult, Record
from chitlaq.backups.catalog.retention import RetentionPolicy

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
DATABASE: tuple[BackupKind, ...] = ("full", "incremental")
GROUPS: tuple[tuple[BackupKind, ...], ...] = (DATABASE, ("dump",), ("configuration",))


def record(kind: BackupKind, days: float, number: int, **fields: Any) -> Record:
    made = NOW - timedelta(days=days)
    plain = Record(f"{kind}_{number}", kind, made, 1.0, "path", 1, "0" * 64)
    return msgspec.structs.replace(plain, **fields)


def verdict(is_good: bool | None) -> ProofResult | None:
    return None if is_good is None else ProofResult(NOW, is_good, "", 1.0)


@st.composite
def histories(draw: st.DrawFn) -> Catalog:
    """Any sequence of backups, proved or not, each incremental one based on the previous base backup."""
    ages = sorted(draw(st.lists(st.floats(0, 90), max_size=25)), reverse=True)
    made: list[Record] = []
    for number, days in enumerate(ages):
        before = [one for one in made if one.is_physical]
        kinds: list[BackupKind] = ["full", "dump", "configuration"]
        kind = draw(st.sampled_from([*kinds, *(["incremental"] if before else [])]))
        made.append(
            record(
                kind,  # type: ignore[arg-type]
                days,
                number,
                parent=before[-1].id if kind == "incremental" else None,
                verified=verdict(draw(st.sampled_from([True, False, None]))),
                drilled=verdict(draw(st.sampled_from([True, False, None]))),
            )
        )
    return Catalog(made, [])


rules = st.builds(RetentionPolicy, st.integers(1, 30), st.integers(1, 60), st.integers(0, 5))


@given(histories(), rules)
def test_kept_backups_can_be_restored_and_the_last_proved_one_is_kept(
    found: Catalog, rule: RetentionPolicy
) -> None:
    judged = retention.decide(found, rule, NOW)
    assert [one.record for one in judged] == list(found.good)
    kept = {one.record.id for one in judged if one.is_kept}
    assert all(one.reason for one in judged)
    for one in found.good:
        if one.id in kept:
            assert {parent.id for parent in found.chain(one)} <= kept
    for kinds in GROUPS:
        proved = [one for one in found.of(*kinds) if one.is_proved]
        assert not proved or proved[-1].id in kept


@given(histories(), rules)
def test_minimum_count_is_kept_whatever_the_age_and_bad_ones_do_not_count(
    found: Catalog, rule: RetentionPolicy
) -> None:
    kept = {one.record.id for one in retention.decide(found, rule, NOW) if one.is_kept}
    kinds: tuple[BackupKind, ...] = ("full", "dump", "configuration")
    for kind in kinds:
        usable = [one.id for one in found.of(kind) if not one.is_bad]
        least = usable[-rule.keep_least :] if rule.keep_least else []
        assert set(least) <= kept


@given(histories(), rules, st.floats(0, 1))
def test_every_moment_of_the_recovery_window_has_a_backup_before_it(
    found: Catalog, rule: RetentionPolicy, where: float
) -> None:
    """Pruning does not delete it if it was there before."""
    moment = NOW - timedelta(days=rule.keep_days * where)
    kept = {one.record.id for one in retention.decide(found, rule, NOW) if one.is_kept}
    before = [one for one in found.of("full") if one.created_at < moment and not one.is_bad]
    assert not before or any(one.id in kept for one in before)


@given(histories(), rules)
def test_pruning_twice_deletes_nothing_more(found: Catalog, rule: RetentionPolicy) -> None:
    kept = [one.record for one in retention.decide(found, rule, NOW) if one.is_kept]
    again = retention.decide(Catalog(kept, []), rule, NOW)
    assert all(one.is_kept for one in again)


@given(histories(), st.data())
def test_named_backup_is_deleted_unless_it_is_the_newest_proved_or_needed(
    found: Catalog, data: st.DataObject
) -> None:
    if not found.good:
        return
    named = data.draw(
        st.lists(st.sampled_from(list(found.good)), min_size=1, unique_by=lambda one: one.id)
    )
    judged = retention.decide_named(found, named)
    assert {one.record.id for one in judged} == {one.id for one in named}
    gone = {one.record.id for one in judged if not one.is_kept}
    for one in found.good:
        if one.id not in gone:
            assert not {parent.id for parent in found.chain(one)} & gone
    for kinds in GROUPS:
        proved = [one for one in found.of(*kinds) if one.is_proved]
        assert not proved or proved[-1].id not in gone


def test_backups_are_kept_when_they_stopped_a_year_ago() -> None:
    """`find -mtime +30 -delete` would have deleted every one of them."""
    old = [record("dump", 365 + age, age, verified=verdict(True)) for age in (3, 2, 1)]
    judged = retention.decide(Catalog(old, []), RetentionPolicy(7, 30, 3), NOW)
    assert all(one.is_kept for one in judged)


@pytest.mark.parametrize("ahead", [1, 365])
def test_clock_that_is_ahead_makes_no_backup_expire(ahead: int) -> None:
    made = [
        *(record("full", days, days) for days in range(20, 0, -1)),
        *(record("dump", days, days) for days in range(30, 0, -1)),
        record("dump", -ahead, 0),
    ]
    found = Catalog(sorted(made, key=lambda one: one.created_at), [])
    now = NOW + timedelta(days=ahead)
    judged = retention.decide(found, RetentionPolicy(7, 30, 1), now)
    kept = {one.record.id for one in judged if one.is_kept}
    assert kept >= {f"dump_{days}" for days in range(31)} | {f"full_{days}" for days in range(1, 9)}
