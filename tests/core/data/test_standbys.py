"""When a standby has everything: tests/stack/site/test_standbys.py reads from a real one."""

from __future__ import annotations

import math

from chitlaq.core.data.standbys import Progress


def test_standby_is_complete_by_the_last_moment_whose_wal_it_has_replayed() -> None:
    progress = Progress(kept_seconds=10)
    for at, written in ((1.0, 100), (2.0, 200), (3.0, 200), (4.0, 300)):
        progress.note(at, written)
    assert progress.complete_at(99) == -math.inf
    assert progress.complete_at(100) == 1.0
    assert progress.complete_at(299) == 3.0, "an idle primary makes nobody late"
    assert progress.complete_at(300) == 4.0


def test_what_is_too_old_to_matter_is_forgotten() -> None:
    progress = Progress(kept_seconds=2)
    for at in range(5):
        progress.note(float(at), at)
    assert progress.complete_at(1) == -math.inf
    assert progress.complete_at(2) == 2.0


def test_another_primary_that_is_behind_begins_anew() -> None:
    progress = Progress(kept_seconds=10)
    progress.note(1.0, 500)
    progress.note(2.0, 400)
    assert progress.complete_at(450) == 2.0
    assert progress.complete_at(399) == -math.inf
