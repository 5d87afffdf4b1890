"""What a service declares of itself, and what a process gives it to work with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from litestar.types import ControllerRouterHandler

from chitlaq.core.data.postgres import Database
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.http.identity import Verifier
from chitlaq.core.http.limits import Limiter
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """What a process made at its start and hands down: pools, settings and who checks tokens."""

    service: str
    settings: Settings
    home: Home
    database: Database
    valkey: Valkey
    verifier: Verifier
    account_limit: Limiter


@dataclass(frozen=True, slots=True)
class Service:
    """A package with routes, a database role and a port.

    Args:
        name: the runbook's name, ``feed-service``.
        title: one line for the API documentation.
        package: where its ``queries.sql`` is.
        role: its role in PostgreSQL.
        handlers: its routes; the gateway's configuration is generated from their paths.
        run: makes what the routes need from the context, under the names by which they ask for it,
            and ends it: the body runs from before the first request until after the last.
        counts_own_requests: whether its process counts the requests that reach it; the gateway's
            are counted from nginx's log, where those that never reached a process stand too.
    """

    name: str
    title: str
    package: str
    role: str
    handlers: Sequence[ControllerRouterHandler]
    run: Callable[[Context], AbstractAsyncContextManager[dict[str, Any]]]
    counts_own_requests: bool = True
