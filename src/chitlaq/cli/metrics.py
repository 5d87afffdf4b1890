"""``chitlaq metrics``: what is measured, and where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import output

if TYPE_CHECKING:
    from chitlaq.ops.reference.metric_reference import MetricEntry


def register(app: typer.Typer) -> None:
    app.command()(metrics)


def metrics(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List every metric with its unit and labels, as a page in Markdown.

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
    from chitlaq.core.telemetry import metrics as everywhere
    from chitlaq.ops.reference import metric_reference
    from chitlaq.services.auth import metrics as auth
    from chitlaq.services.feed import metrics as feed
    from chitlaq.services.websocket import metrics as websocket

    return metric_reference.entries(
        {
            "every service": everywhere,
            "auth-service": auth,
            "feed-service": feed,
            "websocket": websocket,
        }
    )
