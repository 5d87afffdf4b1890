"""The benchmark of the web application in its short form: it measures what it says."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from chitlaq.bench import web, web_report


@pytest.mark.long
async def test_benchmark_measures_paints_interactions_and_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web, "ROUNDS", 1)
    said: list[str] = []
    report = await web.run(said.append)
    plain, *pages = report.opened
    assert len(pages) == 5
    for one in report.opened:
        assert 0 < one.first_paint <= one.largest_paint
        assert one.requests >= 1
    assert all(one.kilobytes > 0 for one in (plain, *pages))
    for used in (*report.interactions, *report.frames):
        assert 0 < used.p50 <= used.p95
        assert used.nodes <= web_report.AIM_NODES
    console = Console(file=StringIO(), width=200)
    console.print(web_report.rendered(report))
