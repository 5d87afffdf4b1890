"""What the Sentinels say of Valkey: they have no metrics of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from prometheus_client.core import Metric

from chitlaq.core.data import valkey
from chitlaq.core.data.valkey_connection import Address, Server, parse_sentinel_url
from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring.exporter.exported_metrics import metric

SECONDS = 1.5


class View(msgspec.Struct):
    """What one Sentinel says.

    Args:
        name: its address.
        is_up: whether it answers.
        primary: the primary's address, or an empty string.
        has_quorum: whether enough Sentinels are reachable for a failover.
        replicas: how many of the primary's replicas run and have its data.
        others: how many other Sentinels it sees.
        fails_over: whether it is making another server the primary just now.
        fault: what is wrong, in words.
    """

    name: str
    is_up: bool = False
    primary: str = ""
    has_quorum: bool = False
    replicas: int = 0
    others: int = 0
    fails_over: bool = False
    fault: str = ""


async def views(settings: Settings, seconds: float = SECONDS) -> Sequence[View]:
    """Ask all Sentinels of ``REDIS_URL`` at once; none where it names none."""
    seeds, name = parse_sentinel_url(settings.redis_url.reveal())
    return await asyncio.gather(*(_view(seed, name, seconds) for seed in seeds))


async def metrics(settings: Settings) -> list[Metric]:
    """Return what each Sentinel says, and how many primaries they name."""
    found = await views(settings)
    if not found:
        return []
    up = [one for one in found if one.is_up]
    return [
        metric("sentinel_up", {one.name: one.is_up for one in found}),
        metric("sentinel_primaries_named", len({one.primary for one in up if one.primary})),
        metric("sentinel_quorum", {one.name: one.has_quorum for one in up}),
        metric("sentinel_others", {one.name: one.others for one in up}),
        metric("sentinel_replicas_in_sync", {one.name: one.replicas for one in up}),
        metric("sentinel_failover_in_progress", {one.name: one.fails_over for one in up}),
    ]


async def _view(seed: Address, name: str, seconds: float) -> View:
    server = Server(seed)
    found = View(seed.name)
    try:
        async with asyncio.timeout(seconds):
            answer = await server.execute(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name))
            found.is_up = True
            if answer is None:
                found.fault = f"it knows no {name}"
                return found
            found.primary = f"{answer[0].decode()}:{int(answer[1])}"
            of_primary = _facts(await server.execute(("SENTINEL", "MASTER", name)))
            found.others = int(of_primary.get("num-other-sentinels", 0))
            found.fails_over = "failover_in_progress" in of_primary.get("flags", "")
            replicas = await server.execute(("SENTINEL", "REPLICAS", name))
            found.replicas = sum(_is_in_sync(_facts(one)) for one in replicas)
            await server.execute(("SENTINEL", "CKQUORUM", name))
            found.has_quorum = True
    except TimeoutError:
        found.fault = "no answer"
    except valkey.UNAVAILABLE as error:
        found.fault = str(error)
    finally:
        server.close()
    return found


def _facts(answer: Sequence[bytes] | dict[bytes, bytes]) -> dict[str, str]:
    """Return what Sentinel says of a server: names and values in turn, or in RESP 3 a map."""
    pairs = (
        answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
    )
    return {name.decode(): value.decode() for name, value in pairs}


def _is_in_sync(replica: dict[str, str]) -> bool:
    is_well = not {"s_down", "o_down", "disconnected"} & set(replica.get("flags", "").split(","))
    return is_well and replica.get("master-link-status") == "ok"
