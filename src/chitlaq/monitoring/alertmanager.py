"""Ask Alertmanager which alerts are active, inhibited ones included."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from chitlaq.core.host import http_client
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


def address(settings: Settings) -> str:
    """The base URL of Alertmanager."""
    return (
        settings.alertmanager_url.rstrip("/")
        or f"http://127.0.0.1:{settings.port_of('alertmanager')}"
    )


async def active_alerts(settings: Settings) -> ActiveAlerts:
    """Ask Alertmanager; inhibited and silenced alerts are active, too.

    Raises:
        OSError: it does not respond.
        msgspec.MsgspecError: the response is not Alertmanager's.
    """
    base = f"{address(settings)}/api/v2"
    status = msgspec.json.decode(await _get(f"{base}/status"), type=_Status)
    alerts = msgspec.json.decode(await _get(f"{base}/alerts"), type=list[_GettableAlert])
    return ActiveAlerts(status.uptime, {alert.fingerprint: alert.starts_at for alert in alerts})


async def _get(url: str) -> bytes:
    return (await http_client.get(url, timeout_seconds=SECONDS)).body
