"""The metrics page matches the code."""

from __future__ import annotations

from pathlib import Path

from chitlaq.cli.metrics import declared_metrics
from chitlaq.ops.reference import metric_reference, metric_usage

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_page_matches_the_declared_metrics() -> None:
    page = metric_reference.page(declared_metrics(), metric_usage.by_metric())
    assert PAGE.read_text() == page, "run `chitlaq metrics > docs/metrics.md`"


def test_page_names_the_checks_that_use_a_metric() -> None:
    used = metric_usage.by_metric()
    assert "check memory.growth" in used["component_memory_bytes"]
    assert "check api.latency" in used["http_request_duration_seconds"]
    assert not any("check" in place for place in used["accounts"]), "a table's name is no metric's"


def test_every_metric_has_a_sentence_and_a_unique_name() -> None:
    names = [entry.name for entry in declared_metrics()]
    assert len(names) == len(set(names)) > 40
    for entry in declared_metrics():
        assert entry.meaning.endswith("."), entry
