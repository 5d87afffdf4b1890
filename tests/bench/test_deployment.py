"""The benchmark of deployments in its short form: it measures what it says."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from chitlaq.bench import deployment, deployment_report


@pytest.mark.long
async def test_benchmark_compares_processes_copies_and_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, short in (("ROUNDS", 1), ("MEMBERS", 300), ("SECONDS", 1.0), ("HANDSHAKES", 20)):
        monkeypatch.setattr(deployment, name, short)
    said: list[str] = []
    report = await deployment.run(said.append)
    assert [one.other.name for one in report.compared] == [
        "two",
        "two",
        "for two",
        "for two",
        "HTTPS",
    ]
    for one in report.compared:
        assert one.ratio > 0
        for side in (one.usual, one.other):
            assert side.per_second > 0
            assert side.microseconds > 0
    console = Console(file=StringIO(), width=200)
    console.print(deployment_report.rendered(report))
