"""What members feel right now, from the end of nginx's access log, so that it needs no Prometheus."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home

SPAN = timedelta(minutes=5)
READ_BYTES = 2_000_000
"""About seven thousand requests, which take 20 ms to read."""
FAULT = 500
_NOT_MEMBERS = frozenset({"/health", "/live", "/ready", "/metrics", "unmatched", ""})


class _Line(msgspec.Struct):
    """The fields of a line that are read here."""

    time: datetime
    remote_addr: str
    status: int
    request_time: float
    route: str
    user_agent: str = ""


class Experience(msgspec.Struct, frozen=True):
    """Requests of members since a moment.

    Args:
        since: at most `SPAN` ago; later where there were very many.
        last: when the newest arrived.
        failed: answered with a fault of ours (5xx).
        p95_seconds: of all.
        people: different addresses and browsers.
        affected: of these, with a request that failed.
    """

    since: datetime
    last: datetime
    requests: int
    failed: int
    p95_seconds: float
    people: int
    affected: int


async def felt(home: Home) -> Experience:
    """Return what members felt in the last minutes.

    Raises:
        OperatorError: the access log cannot be read, or no request arrived.
    """
    try:
        text = await asyncio.to_thread(_end_of, home)
    except OSError as error:
        raise OperatorError(f"the access log cannot be read: {error.strerror}") from None
    now = datetime.now(UTC)
    lines = [one for one in _lines(text) if one.time > now - SPAN]
    if not lines:
        raise OperatorError(
            f"no request has arrived for {SPAN.seconds // 60} minutes: nobody is there, or nobody gets here"
        )
    failed = [one for one in lines if one.status >= FAULT]
    times = sorted(one.request_time for one in lines)
    return Experience(
        lines[0].time,
        lines[-1].time,
        len(lines),
        len(failed),
        times[min(len(times) - 1, len(times) * 95 // 100)],
        len({(one.remote_addr, one.user_agent) for one in lines}),
        len({(one.remote_addr, one.user_agent) for one in failed}),
    )


def _end_of(home: Home) -> bytes:
    with home.access_log.open("rb") as log:
        size = os.fstat(log.fileno()).st_size
        log.seek(max(0, size - READ_BYTES))
        text = log.read(READ_BYTES)
    return text if size <= READ_BYTES else text.partition(b"\n")[2]


def _lines(text: bytes) -> Iterable[_Line]:
    decode = msgspec.json.Decoder(_Line, strict=False).decode
    for line in text.splitlines():
        try:
            found = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # nginx's error log is in the same file.
        if found.route not in _NOT_MEMBERS:
            yield found
