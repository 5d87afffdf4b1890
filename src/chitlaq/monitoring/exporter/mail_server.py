"""Whether the mail server takes mails, also while nobody registers."""

from __future__ import annotations

import asyncio

from prometheus_client.core import Metric

from chitlaq.core.data import mail
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.monitoring.exporter.exported_metrics import metric

PAUSE_SECONDS = 30.0
ANSWER_SECONDS = 10.0

log = logs.get("mail_server")


class MailServer:
    """Asks, and keeps the last answer."""

    def __init__(self, settings: Settings) -> None:
        self._smtp = settings.smtp
        self._is_wanted = settings.operations.scheduled and bool(self._smtp.host)
        self._last: list[Metric] = []

    async def measure_forever(self) -> None:
        """Measure until cancelled; not at all without a mail server, or where nothing is scheduled."""
        while self._is_wanted:
            await self.measure()
            await asyncio.sleep(PAUSE_SECONDS)

    async def metrics(self) -> list[Metric]:
        return self._last

    async def measure(self) -> None:
        try:
            await mail.require_server(self._smtp, ANSWER_SECONDS)
        except mail.MailRefusedError as error:
            log.warning("mail server takes no mail", error=str(error))
            self._last = [metric("mail_server_up", 0)]
        else:
            self._last = [metric("mail_server_up", 1)]
