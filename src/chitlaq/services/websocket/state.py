"""State of the websocket service's handlers."""

from __future__ import annotations

from collections.abc import Callable

from chitlaq.core.data.postgres import Database
from chitlaq.core.http.service import ServiceState
from chitlaq.services.websocket.chat.changes import Changes
from chitlaq.services.websocket.chat.groups import Groups
from chitlaq.services.websocket.chat.messages import Messages
from chitlaq.services.websocket.chat.people import People
from chitlaq.services.websocket.chat.sending import Sending
from chitlaq.services.websocket.notifications.announcements.announcements import Announcements
from chitlaq.services.websocket.notifications.channels.channels import Channels
from chitlaq.services.websocket.notifications.notifications import Notifications
from chitlaq.services.websocket.presence.presence import Presences
from chitlaq.services.websocket.sockets.hub import Hub
from chitlaq.services.websocket.sockets.socket import Socket


class WebsocketState(ServiceState):
    open_socket: Callable[[str, str | None], Socket]
    """Makes the socket of a request with this id, and the access token of its cookie."""
    hub: Hub
    database: Database
    sending: Sending
    people: People
    changes: Changes
    presences: Presences
    groups: Groups
    messages: Messages
    channels: Channels
    notifications: Notifications
    announcements: Announcements
