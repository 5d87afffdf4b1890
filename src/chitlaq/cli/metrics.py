"""``chitlaq metrics``: every metric, and where it is used."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
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

    own = {row.name: f"{row.package}.metrics" for row in inventory.SERVICES}
    return metric_reference.entries(
        {"every service": everywhere}
        | {name: import_module(module) for name, module in own.items() if find_spec(module)}
    )
