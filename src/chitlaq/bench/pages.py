"""What ops-service adds to Alertmanager's group wait: from its report to the message at a receiver."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from statistics import median, quantiles
from time import perf_counter

import msgspec

from chitlaq.bench.installation import Installation
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, http_client
from chitlaq.core.installation.secrets import Secrets
from chitlaq.monitoring.alerts import routing

ALERTS = 10
WAIT_SECONDS = 30.0
# Much that ops-service does is periodic: each alert comes at another moment.
PHASE_SECONDS = 0.5

Came = asyncio.Queue[tuple[float, str]]


class Paged(msgspec.Struct, frozen=True):
    """Seconds from the report to the message, which a service of Apprise sends."""

    alerts: int
    p50: float
    p95: float
    ratio: float
    """Group wait and ``p95`` relative to the group wait, after which Alertmanager alone would send."""


async def paged(installation: Installation) -> Paged:
    """Report one alert after the other, each about something else and for somebody else.

    Raises:
        OperatorError: a message did not come.
    """
    taken = []
    async with _receiver() as (port, came):
        for number in range(ALERTS):
            await asyncio.sleep(number * PHASE_SECONDS)
            # One person would get a burst gathered into few messages.
            files.write(installation.home.oncall_file, _roster(number, port), mode=0o600)
            started = perf_counter()
            await _report(installation, number)
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    arrived, text = await came.get()
            except TimeoutError:
                raise OperatorError(f"Alert {number} paged nobody in {WAIT_SECONDS:g} s.") from None
            taken.append(arrived - started)
            # Five that are open at the same time would be one storm.
            (incident,) = re.findall(r"incident (\d+)", text)[:1]
            await installation.command("incidents", "resolve", incident, "--why", "measured")
    p95 = quantiles(taken, n=20, method="inclusive")[-1]
    wait = routing.GROUP_WAIT_SECONDS
    return Paged(ALERTS, round(median(taken), 2), round(p95, 2), round((wait + p95) / wait, 2))


def _roster(number: int, port: int) -> str:
    return (
        f'[people.bench{number}]\nchannels = [{{ url = "json://127.0.0.1:{port}/" }}]\n'
        f'[levels]\non-call = ["bench{number}"]\n'
    )


async def _report(installation: Installation, number: int) -> None:
    """Report an alert as Alertmanager does."""
    alert = {
        "status": "firing",
        "labels": {"alertname": f"Bench{number}", "severity": "P1", "component": f"bench{number}"},
        "annotations": {"summary": "It is measured."},
        "startsAt": datetime.now(UTC),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"bench{number}",
    }
    token = Secrets(installation.home.secrets).ops_token
    answer = await http_client.request(
        "POST",
        f"http://127.0.0.1:{installation.settings.port_of('ops-service')}/alerts",
        timeout_seconds=WAIT_SECONDS,
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        body=msgspec.json.encode({"alerts": [alert]}),
    )
    if answer.status != HTTPStatus.NO_CONTENT:
        raise OperatorError(f"POST /alerts returned {answer.status}: {answer.text}")


@asynccontextmanager
async def _receiver() -> AsyncIterator[tuple[int, Came]]:
    """Yield a port that takes Apprise's ``json://``, and the messages with when they came."""
    came: Came = asyncio.Queue()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        (length,) = re.findall(r"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length))
        came.put_nowait((perf_counter(), body.decode()))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], came
