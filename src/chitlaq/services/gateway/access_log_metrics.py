"""Request metrics as members see them: counted from nginx's access log, each line once."""

from __future__ import annotations

import asyncio
import fcntl
from collections import defaultdict
from contextlib import suppress
from time import monotonic
from typing import IO

import msgspec

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import logs, metrics
from chitlaq.logs import access
from chitlaq.logs.follow import Follower

POLL_SECONDS = 0.25
MEMBERS_SECONDS = 600.0
SERVICE = "api-gateway"
EDGE = "nginx"
SHOWN_BYTES = 200
NGINX_LIMITS = ("account", "signed-out", "files", "connections")
"""The limits that nginx itself applies: nginx.conf.j2."""

log = logs.get("access_log")


class _Line(msgspec.Struct):
    """The fields of an access log line that are counted; ``request_time`` in seconds.

    A refused connection has no method. ``limit`` is the limit that refused it, or the request, and
    ``refused_account`` whose request it was.
    """

    method: str
    route: str
    status: int
    request_time: float
    service: str = ""
    limit: str = ""
    upstream_time: str = ""
    refused_account: str = ""
    remote_addr: str = ""
    user_agent: str = ""


class AccessLog:
    """Follows the access log across rotations and its own restarts.

    Of several gateway processes the one that holds the lock reads; the counters are shared. Positions
    are stored after the lines before them are counted, in a thread, since a slow disk keeps whoever writes
    to it waiting: when a process is killed in between, its successor counts what came since twice.
    """

    def __init__(self, home: Home) -> None:
        self._path = home.access_log
        self._positions_path = home.run / "access-log.positions"
        self._lock_path = home.run / "access-log.lock"
        self._expected_path = home.expected_requests
        self._expected_at = 0
        self._refused = _RefusedMembers()
        self._follower: Follower | None = None
        self._lock: IO[bytes] | None = None
        self._is_ahead = False
        """Whether lines were counted whose positions are not stored yet."""
        self._storing: asyncio.Future[None] | None = None

    async def read_forever(self) -> None:
        while True:
            self.read()
            if self._is_ahead and (self._storing is None or self._storing.done()):
                self._is_ahead = False
                self._storing = asyncio.ensure_future(
                    asyncio.to_thread(self._store, self._positions())
                )
            await asyncio.sleep(POLL_SECONDS)

    async def end(self) -> None:
        """Count what has been written until now, and store the positions."""
        if self._storing is not None:
            await asyncio.wait({self._storing})
        self.read()
        self.close()

    def read(self) -> None:
        """Count every line that nginx has written so far."""
        if not self._holds_lock():
            return
        self._initialize_expected()
        if self._follower is None:
            self._follower = Follower(self._path, positions=self._stored_positions())
        for line in self._follower.new_lines():
            _count(line, self._refused)
            self._is_ahead = True
        self._refused.publish()

    def close(self) -> None:
        if self._is_ahead:
            self._store(self._positions())
        for opened in (self._follower, self._lock):
            if opened is not None:
                opened.close()
        self._follower = self._lock = None

    def _positions(self) -> bytes:
        assert self._follower is not None
        return msgspec.json.encode(self._follower.positions)

    def _store(self, positions: bytes) -> None:
        # Not durable: written several times a second; a power failure resets the counters anyway. While the
        # disk takes nothing, the next lines try again.
        with suppress(OSError):
            files.write(self._positions_path, positions, is_durable=False)

    def _initialize_expected(self) -> None:
        """Initialize the counter of each possible request to zero when nginx gets a new configuration."""
        with suppress(FileNotFoundError):
            written_at = self._expected_path.stat().st_mtime_ns
            if written_at != self._expected_at:
                for method, route, status in _expected_decoder.decode(
                    self._expected_path.read_bytes()
                ):
                    metrics.initialize_requests(SERVICE, method, route, status)
                self._expected_at = written_at

    def _holds_lock(self) -> bool:
        if self._lock is not None:
            return True
        lock = self._lock_path.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _stored_positions(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._positions_path.read_bytes(), type=dict[str, int])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}


_expected_decoder = msgspec.json.Decoder(list[tuple[str, str, int]])
_read = access.reader(_Line)
_counter = metrics.RequestCounter(SERVICE)
metrics.initialize(metrics.RATE_LIMITED, *((EDGE, limit) for limit in NGINX_LIMITS))


class _RefusedMembers:
    """The accounts that each limit has refused lately."""

    def __init__(self) -> None:
        self._seen: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)

    def add(self, service: str, limit: str, account: str) -> None:
        self._seen[service, limit][account] = monotonic()

    def publish(self) -> None:
        """Forget those of long ago, and say how many there are."""
        since = monotonic() - MEMBERS_SECONDS
        for labels, accounts in self._seen.items():
            for account in [one for one, at in accounts.items() if at < since]:
                del accounts[account]
            metrics.RATE_LIMITED_MEMBERS.labels(*labels).set(len(accounts))


def _count(line: bytes, refused: _RefusedMembers) -> None:
    entry = _read(line)
    if entry is None:
        log.warning(
            "access log line not understood", line=line[:SHOWN_BYTES].decode(errors="replace")
        )
        return
    if access.is_probe(entry.remote_addr, entry.user_agent):
        return
    is_own = entry.limit in NGINX_LIMITS and not entry.upstream_time
    # A service counts itself what it refused.
    if is_own:
        metrics.RATE_LIMITED.labels(EDGE, entry.limit).inc()
    if entry.refused_account:
        refused.add(EDGE if is_own else entry.service, entry.limit, entry.refused_account)
    if entry.method:
        _counter.count(entry.method, entry.route, entry.status, entry.request_time)
