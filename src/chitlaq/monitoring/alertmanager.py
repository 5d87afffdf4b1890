"""Ask Alertmanager which alerts are active, inhibited ones included."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from chitlaq.core.host import http_client
from chitlaq.core.installation import observers
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings

SECONDS = 5.0


class ActiveAlerts(msgspec.Struct, frozen=True):
    """When each active alert started, by fingerprint, and when Alertmanager itself started."""

    since: datetime
    started_at: Mapping[str, datetime]


class _Status(msgspec.Struct):
    uptime: datetime


class _GettableAlert(msgspec.Struct, rename="camel"):
    fingerprint: str
    starts_at: datetime


async def active_alerts(home: Home, settings: Settings) -> ActiveAlerts:
    """Ask Alertmanager; inhibited and silenced alerts are active, too.

    Raises:
        OSError: it does not respond.
        msgspec.MsgspecError: the response is not Alertmanager's.
    """
    status = msgspec.json.decode(await _get(home, settings, "/status"), type=_Status)
    alerts = msgspec.json.decode(await _get(home, settings, "/alerts"), type=list[_GettableAlert])
    return ActiveAlerts(status.uptime, {alert.fingerprint: alert.starts_at for alert in alerts})


async def _get(home: Home, settings: Settings, target: str) -> bytes:
    access = observers.access(home, settings, "alertmanager")
    url = f"{access.url}/api/v2{target}"
    return (await http_client.get(url, tls=access.tls, timeout_seconds=SECONDS)).body
