"""State of the websocket service's handlers."""

from __future__ import annotations

from chitlaq.core.http.identity import Verifier
from chitlaq.core.http.service import ServiceState
from chitlaq.services.websocket.sockets.hub import Hub


class WebsocketState(ServiceState):
    verifier: Verifier
    hub: Hub
