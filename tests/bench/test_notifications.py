"""The benchmark of notifications in its short form: it measures what it says."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from chitlaq.bench import notifications, notifications_report


@pytest.mark.long
async def test_benchmark_measures_likes_lists_and_an_announcement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifications, "SIGNED_IN", 4)
    said: list[str] = []
    # A process's CPU time comes in ticks of 10 ms: a round has many, and the median of three is compared.
    report = await notifications.run(60, said.append, seconds=1.0)
    assert report.liked.per_second > 0
    assert report.likes_ratio > 0
    # Only with notifications, the websocket service works for a like.
    with_, without = (
        one.microseconds["websocket"] for one in (report.liked, report.liked_silently)
    )
    assert with_ > without
    assert report.listed.per_second > 0
    assert report.p95_beside > 0
    console = Console(file=StringIO(), width=200)
    console.print(notifications_report.rendered(report))
