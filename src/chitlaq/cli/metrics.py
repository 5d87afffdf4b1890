"""``chitlaq metrics``: every metric, and where it is used."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING

import typer

from chitlaq.cli import output

if TYPE_CHECKING:
    from chitlaq.ops.reference.metric_reference import MetricEntry


def register(app: typer.Typer) -> None:
    app.command()(metrics)


def metrics(as_json: output.AsJson = False) -> None:
    """Print the reference of all metrics, as a Markdown page.

    Example: chitlaq metrics > docs/metrics.md
    """
    from chitlaq.ops.reference import metric_reference, metric_usage

    found = declared_metrics()
    if as_json:
        output.print_json(found)
    else:
        typer.echo(metric_reference.page(found, metric_usage.by_metric()), nl=False)


def declared_metrics() -> list[MetricEntry]:
    """Return what all services and ops-service's exporter declare."""
    from chitlaq import inventory
    from chitlaq.core.telemetry import metrics as everywhere
    from chitlaq.ops.reference import metric_reference

    own = {row.name: list(_metrics_of(row.package)) for row in inventory.SERVICES}
    return metric_reference.entries({"every service": [everywhere]} | own)


def _metrics_of(package: str) -> Iterator[ModuleType]:
    """Yield the modules ``metrics`` of a service's package and of its slices, however deep."""
    if find_spec(f"{package}.metrics"):
        yield import_module(f"{package}.metrics")
    within = iter_modules(import_module(package).__path__)
    for name in sorted(one.name for one in within if one.ispkg):
        yield from _metrics_of(f"{package}.{name}")
