"""What Alertmanager knows: which alerts go on, also those that it holds back."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from datetime import datetime

import msgspec

from chitlaq.core.installation.settings import Settings

SECONDS = 5.0


class GoingOn(msgspec.Struct, frozen=True):
    """The alerts that have not ended, by fingerprint, and since when Alertmanager runs."""

    since: datetime
    started_at: Mapping[str, datetime]


class _Status(msgspec.Struct):
    uptime: datetime


class _Alert(msgspec.Struct, rename="camel"):
    fingerprint: str
    starts_at: datetime


def address(settings: Settings) -> str:
    """Where Alertmanager is asked."""
    return (
        settings.alertmanager_url.rstrip("/")
        or f"http://127.0.0.1:{settings.port_of('alertmanager')}"
    )


def going_on(settings: Settings) -> GoingOn:
    """Ask Alertmanager; inhibited and silenced alerts go on, too.

    Raises:
        OSError: it does not answer.
        msgspec.MsgspecError: what answers is no Alertmanager.
    """
    base = f"{address(settings)}/api/v2"
    status = msgspec.json.decode(_asked(f"{base}/status"), type=_Status)
    alerts = msgspec.json.decode(_asked(f"{base}/alerts"), type=list[_Alert])
    return GoingOn(status.uptime, {alert.fingerprint: alert.starts_at for alert in alerts})


def _asked(url: str) -> bytes:
    # No proxy: it is one of ours, whatever the environment says of the world outside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=SECONDS) as answer:
        content: bytes = answer.read()
    return content
