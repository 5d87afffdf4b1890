"""``chitlaq alerts``: firing and resolved alerts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.core.formatting import lasted

if TYPE_CHECKING:
    from chitlaq.ops.database.database import OpsDatabase
    from chitlaq.ops.history.alert_history import AlertRecord

COLOURS = {"P0": "bold red", "P1": "red", "P2": "yellow", "P3": "cyan"}


def register(app: typer.Typer) -> None:
    app.command()(alerts)


def alerts(
    active: Annotated[bool, typer.Option("--active", help="Only firing alerts.")] = False,
    resolved: Annotated[bool, typer.Option("--resolved", help="Only resolved alerts.")] = False,
    limit: output.Limit = 50,
    as_json: output.AsJson = False,
) -> None:
    """Show firing alerts, and the history of resolved ones.

    Alertmanager says what fires now; ops-service keeps the history, because Alertmanager keeps none.
    Exit code 3 with --active if there may be alerts that are not shown.

    Example: chitlaq alerts --active
    """
    if active and resolved:
        raise typer.BadParameter("Choose one of --active and --resolved.")
    from chitlaq.ops.history import alert_history

    async def read(database: OpsDatabase) -> tuple[list[AlertRecord], str]:
        if active:
            return await alert_history.firing(database, *installation.current(), limit)
        return await alert_history.alerts(database, is_active=is_active, limit=limit), ""

    is_active = False if resolved else None
    found, caution = history_db.ask(read)
    if as_json:
        output.print_json(found)
    elif found:
        columns = ("severity", "since", "lasted", "alert", "what", "procedure")
        output.print_table(columns, list(map(_row, found)))
    elif not caution:
        typer.echo("No alert is firing." if active else "No alert has fired yet.")
    if caution:
        typer.echo(caution, err=True)
        raise typer.Exit(output.UNHEALTHY)


def _row(alert: AlertRecord) -> list[object]:
    from rich.text import Text

    length = lasted(((alert.ended_at or datetime.now(UTC)) - alert.started_at).total_seconds())
    return [
        Text(alert.severity, style=COLOURS.get(alert.severity, "")),
        f"{alert.started_at.astimezone():%Y-%m-%d %H:%M:%S}",
        length if alert.ended_at else f"{length}, firing",
        alert.name,
        alert.summary,
        alert.procedure,
    ]
