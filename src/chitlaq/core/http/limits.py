"""Rate limits per account or address: counters in Valkey that all processes share.

Counting each request in Valkey would cost a round trip. A process therefore leases several
requests at once and spends them from memory. An account can be stopped early within a minute by up
to one lease per process, but never exceeds its limit. Without Valkey, each process counts for
itself, and a metric says so: the limit holds in each.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from chitlaq.core.data import valkey
from chitlaq.core.data.valkey import Script, Valkey
from chitlaq.core.http import problems
from chitlaq.core.telemetry import logs, metrics

WINDOW_SECONDS = 60
REMEMBERED_KEYS = 20_000

ATTEMPT_UNITS = 5
"""What an attempt (to register, to sign in) takes of an address's limit, of which a search takes 1."""

# Count and set the expiry in one step: a counter without an expiry would never be deleted.
_TAKE = Script("""
local taken = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return taken
""")

log = logs.get("limits")


@dataclass(slots=True)
class _Lease:
    window: int
    left: int
    counted_here: int = 0
    """What this process leased while Valkey was away."""
    refill: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One request at a time: a burst that refilled all at once would use up the limit unspent."""


class Limiter:
    """At most ``per_minute`` requests per key and clock minute.

    Args:
        name: of the limit, in metrics and in Valkey's keys.
        lease: requests that a process leases at once; 1 counts each request exactly.
    """

    def __init__(
        self, client: Valkey, service: str, name: str, per_minute: int, lease: int | None = None
    ) -> None:
        self._client = client
        self._service = service
        self._name = name
        self._per_minute = per_minute
        self._lease = lease if lease is not None else max(1, per_minute // 20)
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        for counter in (metrics.RATE_LIMITED, metrics.RATE_LIMIT_LOCAL_LEASES):
            metrics.initialize(counter, (service, name))

    async def spend(self, key: str | None, units: int = 1) -> None:
        """Count a request as so many units; none if the key is exempt.

        Raises:
            Problem: 429, with the seconds until the next minute.
        """
        if key is None:
            return
        now = time.time()
        window = int(now // WINDOW_SECONDS)
        lease = self._leases.get(key)
        if lease is None or lease.window != window:
            lease = self._leases[key] = _Lease(window, 0)
            self._leases.move_to_end(key)
            if len(self._leases) > REMEMBERED_KEYS:
                self._leases.popitem(last=False)
        # Below zero, the limit was reached in this window: do not ask again.
        if 0 <= lease.left < units:
            async with lease.refill:
                if 0 <= lease.left < units:
                    lease.left += await self._take(key, lease, max(self._lease, units))
        if lease.left < units:
            metrics.RATE_LIMITED.labels(self._service, self._name).inc()
            seconds = int((window + 1) * WINDOW_SECONDS - now) + 1
            raise problems.too_many_requests(seconds, self._name)
        lease.left -= units

    async def _take(self, key: str, lease: _Lease, units: int) -> int:
        """Lease some units; returns how many, 0 or less when none are left."""
        counter = f"limit:{self._service}:{self._name}:{key}:{lease.window}"
        try:
            taken = await self._client.run(_TAKE, [counter.encode()], units, 2 * WINDOW_SECONDS)
        except valkey.UNAVAILABLE as error:
            metrics.RATE_LIMIT_LOCAL_LEASES.labels(self._service, self._name).inc()
            log.warning("rate limit counted alone", limit=self._name, error=str(error))
            lease.counted_here += units
            taken = lease.counted_here
        return units - max(0, int(taken) - self._per_minute)
