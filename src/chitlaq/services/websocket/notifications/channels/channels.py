"""What leaves the house: pushes and digests, and what their routes share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from email.utils import parseaddr

from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Notifications, Settings
from chitlaq.services.websocket.notifications.channels import quiet_hours
from chitlaq.services.websocket.notifications.channels.encryption import Identification
from chitlaq.services.websocket.notifications.channels.pushing import Pushes


@dataclass(frozen=True, slots=True)
class Channels:
    """What a process makes for them at its start.

    Args:
        settings: the operator's.
        installation_zone: the time zone of members who name none.
        identification: who we are to push services.
        pushes: what pushes.
    """

    settings: Notifications
    installation_zone: tzinfo
    identification: Identification
    pushes: Pushes

    @classmethod
    def opened(cls, database: Database, settings: Settings, secrets: Secrets) -> Channels:
        """Make them from the installation's settings and secrets."""
        is_public = settings.base_url.startswith("https://")
        contact = settings.base_url if is_public else f"mailto:{parseaddr(settings.smtp.sender)[1]}"
        identification = Identification(secrets.push_key, contact)
        return cls(
            settings.notifications,
            quiet_hours.zone_of_installation(settings.operations.timezone),
            identification,
            Pushes(database, settings.notifications, identification),
        )
