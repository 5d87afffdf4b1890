"""``chitlaq alerts``: firing and resolved alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, output

if TYPE_CHECKING:
    from chitlaq.ops.history.alert_history import AlertRecord

COLOURS = {"P0": "bold red", "P1": "red", "P2": "yellow", "P3": "cyan"}


def register(app: typer.Typer) -> None:
    app.command()(alerts)


def alerts(
    active: Annotated[bool, typer.Option("--active", help="Only firing alerts.")] = False,
    resolved: Annotated[bool, typer.Option("--resolved", help="Only resolved alerts.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of rows.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show firing alerts, and the history of resolved ones.

    ops-service keeps the history in PostgreSQL, because Alertmanager keeps none.

    Example: chitlaq alerts --active
    """
    if active and resolved:
        raise typer.BadParameter("Choose one of --active and --resolved.")
    from chitlaq.ops.history import alert_history

    is_active = True if active else False if resolved else None
    found = history_db.ask(
        lambda database: alert_history.alerts(database, is_active=is_active, limit=limit)
    )
    if as_json:
        output.print_json(found)
    elif found:
        _print(found)
    else:
        typer.echo("No alert is firing." if active else "No alert has fired yet.")


def _print(found: list[AlertRecord]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("severity", "since", "lasted", "alert", "what", "procedure"):
        table.add_column(column, overflow="fold")
    for alert in found:
        end = alert.ended_at or datetime.now(UTC)
        lasted = _duration((end - alert.started_at).total_seconds())
        table.add_row(
            Text(alert.severity, style=COLOURS.get(alert.severity, "")),
            f"{alert.started_at.astimezone():%Y-%m-%d %H:%M:%S}",
            lasted if alert.ended_at else f"{lasted}, firing",
            alert.name,
            alert.summary,
            alert.procedure,
        )
    output.console_for_output().print(table)


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
