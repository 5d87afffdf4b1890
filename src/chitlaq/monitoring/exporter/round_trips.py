"""Whether messages between the synthetic members arrive, as measured once a minute."""

from __future__ import annotations

import asyncio

from prometheus_client.core import Metric

from chitlaq.core.errors import OperatorError, UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.monitoring import round_trip
from chitlaq.monitoring.exporter.exported_metrics import metric

PAUSE_SECONDS = 60.0
AGAIN_SECONDS = 10.0
"""After a failure, and before the first measurement: services that start together are not up at once."""

log = logs.get("round_trips")


class RoundTrips:
    """Measures, and keeps the last result."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
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
        """Measure once, and return whether messages arrived."""
        from chitlaq.client.errors import ClientError

        try:
            seconds = await round_trip.measure(self._home, self._settings)
        except (UnknownResult, OperatorError) as error:
            self._last = []
            log.warning("messages not measured", error=str(error))
            return False
        except ClientError as error:
            self._last = [metric("chat_round_trip_ok", 0)]
            log.warning("message did not arrive", error=str(error))
            return False
        self._last = [metric("chat_round_trip_ok", 1), metric("chat_round_trip_seconds", seconds)]
        return True
