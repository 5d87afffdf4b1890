"""The HTTP API of ops-service: for operators and their tools on this machine, not for members."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from litestar import get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.http import openapi, problems
from chitlaq.core.http.paging import PageLimit
from chitlaq.core.http.service import Context, Service
from chitlaq.core.installation.secrets import Secrets
from chitlaq.monitoring.exporter import log_errors
from chitlaq.monitoring.exporter.exporter import Exporter
from chitlaq.ops.database import postgres_import
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload, AlertRecord
from chitlaq.ops.schedule.backup_scheduler import BackupScheduler
from chitlaq.ops.schedule.scheduler import Scheduler

Active = Annotated[
    bool | None, Parameter(description="Only alerts that are firing (true) or resolved (false).")
]


async def operator(connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler) -> None:
    """Require the installation's operator token, before anything else of a request is read.

    Raises:
        Problem: 401.
    """
    context: Context = connection.app.state.context
    expected = f"Bearer {Secrets(context.home.secrets).ops_token}"
    if not hmac.compare_digest(
        connection.headers.get("authorization", "").encode(), expected.encode()
    ):
        raise problems.not_signed_in("This is for operators: send the token in secrets/ops-token.")


@get(
    "/alerts",
    summary="Firing and resolved alerts, firing ones first",
    guards=[operator],
    security=openapi.SIGNED_IN,
)
async def list_alerts(
    state: State, active: Active = None, limit: PageLimit = 100
) -> list[AlertRecord]:
    database: OpsDatabase = state.operations
    return await alert_history.alerts(database, is_active=active, limit=limit)


@post(
    "/alerts",
    status_code=204,
    summary="Webhook for Alertmanager's notifications",
    guards=[operator],
    security=openapi.SIGNED_IN,
)
async def report_alerts(state: State, data: AlertmanagerPayload) -> None:
    database: OpsDatabase = state.operations
    await alert_history.store(database, data)


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[dict[str, Any]]:
    with OpsDatabase(context.home, is_keeper=True) as operations:
        scheduler = Scheduler(
            context.home, context.settings.operations, operations, context.database
        )
        backup_scheduler = BackupScheduler(context.home, context.settings)
        exporter = Exporter(context)
        async with tasks.running(
            partial(postgres_import.move, context.home, context.database, operations),
            scheduler.run_forever,
            backup_scheduler.run_forever,
            exporter.measure_forever,
            partial(log_errors.count_forever, context.home, context.settings),
            partial(alert_history.compare_forever, operations, context.home, context.settings),
        ):
            yield {"extra_metrics": exporter.exposition, "operations": operations}


SERVICE = Service(
    inventory.COMPONENTS["ops-service"],
    run=run,
    query_packages=["chitlaq.ops.database", "chitlaq.monitoring.exporter"],
)
