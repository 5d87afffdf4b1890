"""Whether what synthetic members write arrives, as measured once a minute: messages and posts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from prometheus_client.core import Metric

from chitlaq.core.errors import OperatorError, UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.monitoring import post_probe, round_trip
from chitlaq.monitoring.exporter.exported_metrics import metric
from chitlaq.monitoring.exporter.synthetic_requests import SyntheticRequests

PAUSE_SECONDS = 60.0
AGAIN_SECONDS = 10.0
"""After a failure, and before the first measurement: services that start together are not up at once."""

log = logs.get("round_trips")

SIGNS_IN = "auth-service"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is written: how it is measured, and whose work it is."""

    name: str
    service: str
    measure: Callable[[Home, Settings], Awaitable[float]]


CHAT = Kind("chat", "websocket", round_trip.measure)
POST = Kind("post", "feed-service", post_probe.measure)


class RoundTrips:
    """Measures, and keeps the last result.

    Args:
        requests: counts them for the objectives, and sign-ins that failed.
    """

    def __init__(
        self, home: Home, settings: Settings, kind: Kind, requests: SyntheticRequests
    ) -> None:
        self._name = f"{kind.name}_round_trip"
        self._kind = kind
        self._home = home
        self._settings = settings
        self._requests = requests
        self._last: list[Metric] = []

    async def measure_forever(self) -> None:
        """Measure until cancelled; not at all where nothing is scheduled."""
        pause = AGAIN_SECONDS
        while self._settings.operations.scheduled:
            await asyncio.sleep(pause)
            pause = PAUSE_SECONDS if await self.measure() else AGAIN_SECONDS

    async def metrics(self) -> list[Metric]:
        """Return the last result; nothing if the synthetic members could not be signed in."""
        return self._last

    async def measure(self) -> bool:
        """Measure once, and return whether what was written arrived."""
        from chitlaq.client.errors import ClientError

        try:
            seconds = await self._kind.measure(self._home, self._settings)
        except (UnknownResult, OperatorError) as error:
            self._last = []
            log.warning("not measured", what=self._name, error=str(error))
            if isinstance(error, UnknownResult):
                self._requests.count(SIGNS_IN, None)
            return False
        except (ClientError, post_probe.PostProbeError) as error:
            self._requests.count(self._kind.service, None)
            self._last = [metric(f"{self._name}_ok", 0)]
            log.warning("did not arrive", what=self._name, error=str(error))
            return False
        self._requests.count(self._kind.service, seconds)
        self._last = [metric(f"{self._name}_ok", 1), metric(f"{self._name}_seconds", seconds)]
        return True
