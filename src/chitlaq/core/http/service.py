"""What a service declares, and the context that its process provides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, dataclass_transform
from uuid import UUID

from litestar.datastructures.state import ImmutableState

from chitlaq.core.data.heartbeat import Heartbeat
from chitlaq.core.data.postgres import Database
from chitlaq.core.data.standbys import Standbys
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.data.wake_ups import WakeUps
from chitlaq.core.http.identity import Verifier
from chitlaq.core.http.limits import Limiter
from chitlaq.core.http.paging import MAX_LIMIT, Paging
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.inventory import Component


@dataclass(frozen=True, slots=True)
class Context:
    """What a process makes at its start and passes down: pools, settings, the token verifier."""

    service: str
    settings: Settings
    home: Home
    database: Database
    standbys: Standbys
    """For reads that may be a little late; whoever reads from them also watches them."""
    heartbeat: Heartbeat
    valkey: Valkey
    wake_ups: WakeUps
    verifier: Verifier
    account_limit: Limiter
    address_limit: Limiter
    """What one address may do signed out, in units: a search takes one, an attempt `ATTEMPT_UNITS`."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class ServiceState(ImmutableState):
    """State of a service's handlers: a subclass declares the fields, `Service.run` makes it.

    A handler that asks for ``state: FeedState`` gets it with its types. The framework makes a new
    object around the same things for each request.
    """

    def __init__(
        self, state: Mapping[str, Any] | None = None, *, deep_copy: bool = False, **fields: Any
    ) -> None:
        super().__init__(fields if state is None else state, deep_copy=deep_copy)


@dataclass(frozen=True, slots=True)
class HotPage:
    """A page of a list that is read often (`core.http.hot_pages`).

    Args:
        made: the response, from the service's state, the member who asks, the part of the list, and the text.
        text: the parameter of what is searched for, if the page is one of a search.
        max_letters: of the text.
        limit: items, if the request does not say how many.
        max_limit: that it may ask for.
        has_more: whether there are other pages than the first.
    """

    made: Callable[[Any, UUID, Paging, str], Awaitable[bytes]]
    text: str | None = None
    max_letters: int = 0
    limit: int = 20
    max_limit: int = MAX_LIMIT
    has_more: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """What a service's package declares beside its row in the inventory.

    Args:
        component: its row: name, package, role.
        run: makes the handlers' state from the context, and closes it: the body runs from before
            the first request until after the last.
        slices: folders of the package with ``routes.py`` and ``queries.sql`` of their own, beside
            those of the package. The gateway's configuration is generated from the paths of all.
        writes: whether its work is to write to PostgreSQL: whoever locks a table of it stops it
            (`core.data.heartbeat`).
        query_packages: more packages whose ``queries.sql`` its pool loads.
        hot_pages: by path, what answers the plain requests of members for it (`core.http.hot_pages`).
    """

    component: Component
    run: Callable[[Context], AbstractAsyncContextManager[Mapping[str, Any]]]
    slices: Sequence[str] = ()
    writes: bool = False
    query_packages: Sequence[str] = ()
    hot_pages: Mapping[str, HotPage] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the runbook, ``feed-service``."""
        return self.component.name

    @property
    def packages(self) -> tuple[str, ...]:
        """Its package and its slices'."""
        package = self.component.package
        return (package, *(f"{package}.{name}" for name in self.slices))

    @property
    def counts_own_requests(self) -> bool:
        """Whether its process counts its requests; the gateway's are counted from nginx's log."""
        return not self.component.is_gateway
