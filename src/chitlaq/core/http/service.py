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
from chitlaq.inventory import Component


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
    """What a service's package declares beside its row in the inventory.

    Args:
        component: its row: name, package, role.
        handlers: its routes; the gateway's configuration is generated from their paths.
        run: makes what the routes need from the context, under the names by which they ask for it,
            and ends it: the body runs from before the first request until after the last.
        query_packages: more packages whose ``queries.sql`` its pool loads.
    """

    component: Component
    handlers: Sequence[ControllerRouterHandler]
    run: Callable[[Context], AbstractAsyncContextManager[dict[str, Any]]]
    query_packages: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Its name in the runbook, ``feed-service``."""
        return self.component.name

    @property
    def counts_own_requests(self) -> bool:
        """Whether its process counts its requests; the gateway's are counted from nginx's log."""
        return not self.component.is_gateway
