"""The services: each a package with routes, rules, queries and a database role of its own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chitlaq.core.http.service import Service

PACKAGES = {
    "api-gateway": "chitlaq.services.gateway",
    "websocket": "chitlaq.services.websocket",
    "feed-service": "chitlaq.services.feed",
    "search-service": "chitlaq.services.search",
    "auth-service": "chitlaq.services.auth",
    "ops-service": "chitlaq.ops",
}
"""Where each target of ``chitlaq serve`` lives, so that a process imports its own service only."""

FORWARDED = [name for name in PACKAGES if name != "ops-service"]
"""What members may reach through the gateway; ops-service is for operators, on its own port."""


def load(name: str) -> Service:
    """Import one service and return what it declares."""
    service: Service = import_module(f"{PACKAGES[name]}.routes").SERVICE
    return service
