"""Alertmanager's API, version 2: which alerts are active, inhibited ones included; anything else by path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import http_client
from chitlaq.core.installation import observers
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings

SECONDS = 5.0


class NotThereError(OperatorError):
    """Alertmanager does not have what was asked for, or not any more."""


class AlertState(msgspec.Struct, frozen=True):
    """``suppressed`` if the alert is silenced or inhibited."""

    state: str


class ActiveAlert(msgspec.Struct, frozen=True, rename="camel"):
    """The fields that are read from a `gettableAlert`."""

    fingerprint: str
    starts_at: datetime
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    status: AlertState = AlertState("active")


class ActiveAlerts(msgspec.Struct, frozen=True):
    """The active alerts, and when Alertmanager itself started."""

    since: datetime
    alerts: Sequence[ActiveAlert]

    @property
    def started_at(self) -> Mapping[str, datetime]:
        """When each started, by fingerprint."""
        return {alert.fingerprint: alert.starts_at for alert in self.alerts}


class _Status(msgspec.Struct):
    uptime: datetime


async def ask(
    home: Home, settings: Settings, target: str, method: str = "GET", body: bytes = b""
) -> bytes:
    """Send a request for an operator, and return the body of the answer.

    Raises:
        NotThereError: it has no such thing.
        OperatorError: Alertmanager does not answer, or refuses; with its reason.
    """
    try:
        answer = await _request(home, settings, target, method, body)
    except OSError as error:
        raise OperatorError(f"Alertmanager: {error}. See `chitlaq ps`.") from None
    if answer.status == HTTPStatus.NOT_FOUND:
        raise NotThereError("Alertmanager has no such thing, or has forgotten it.")
    if answer.status >= 400:
        said = answer.text.strip() or HTTPStatus(answer.status).phrase
        raise OperatorError(f"Alertmanager refuses (status {answer.status}): {said}")
    return answer.body


async def active_alerts(home: Home, settings: Settings) -> ActiveAlerts:
    """Ask Alertmanager; inhibited and silenced alerts are active, too.

    Raises:
        OSError: it does not respond.
        msgspec.MsgspecError: the response is not Alertmanager's.
    """
    status = msgspec.json.decode(await _get(home, settings, "/status"), type=_Status)
    alerts = msgspec.json.decode(await _get(home, settings, "/alerts"), type=list[ActiveAlert])
    return ActiveAlerts(status.uptime, alerts)


async def _get(home: Home, settings: Settings, target: str) -> bytes:
    return (await _request(home, settings, target, "GET", b"")).body


async def _request(
    home: Home, settings: Settings, target: str, method: str, body: bytes
) -> http_client.Response:
    access = observers.access(home, settings, "alertmanager")
    return await http_client.request(
        method,
        f"{access.url}/api/v2{target}",
        tls=access.tls,
        headers={"Content-Type": "application/json"} if body else None,
        body=body,
        timeout_seconds=SECONDS,
    )
