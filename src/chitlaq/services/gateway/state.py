"""State of the gateway's handlers."""

from __future__ import annotations

from collections.abc import Callable

from chitlaq.core.http.service import ServiceState
from chitlaq.core.installation.settings import Settings
from chitlaq.services.gateway.aggregate import Aggregate
from chitlaq.services.gateway.pages.screens import Screens


class GatewayState(ServiceState):
    settings: Settings
    aggregate: Aggregate
    screens: Screens
    before_scrape: Callable[[], None]
