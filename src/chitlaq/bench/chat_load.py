"""Load of chat for the benchmark: many clients, what they send and how long that takes to arrive.

It runs as a separate process (``python -m chitlaq.bench.chat_load``, a `ChatLoad` as JSON on stdin, an
`Outcome` as JSON on stdout), as `load` does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from time import perf_counter

import msgspec
import psutil
import uvloop

from chitlaq.bench.chat_clients import PADDING, Client, Tally, WebsocketClient, XmppClient
from chitlaq.core.host import programs

HOST = "127.0.0.1"
OPENED_AT_ONCE = 100
START_SECONDS = 180.0
# When nothing has arrived for so long at the end, nothing more is on its way.
REST_SECONDS = 0.5


class ChatLoad(msgspec.Struct, frozen=True):
    """What to do.

    Args:
        tokens: one for each connection; empty for a server that knows no sign-in. Of XMPP: users.
        conversations: of each connection that sends; those beyond only receive. Of XMPP: users.
        per_second: messages of all together; 0: each sends as soon as it is answered.
        seconds: how long they send.
        pings: how many of the connections ping instead, once a second; their answers are timed.
        processes: of which the CPU time is measured, with their descendants, by name.
        padding: what messages say.
        is_xmpp: whether the clients speak XMPP.
    """

    port: int
    tokens: Sequence[str]
    connections: int
    conversations: Sequence[str]
    per_second: float
    seconds: float
    pings: int = 0
    processes: Mapping[str, int] = {}
    padding: str = PADDING
    is_xmpp: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """The result; latencies in milliseconds, from the moment a message was due to its delivery."""

    sent: int
    delivered: int
    delivered_in_all: int
    """Also of what was still on its way at the end: so many, ``cpu_seconds`` were spent on."""
    seconds: float
    p50: float
    p95: float
    errors: dict[str, int]
    cpu_seconds: dict[str, float]
    memory_bytes: dict[str, int]
    """At the end, while all are connected (PSS)."""


async def measure(load: ChatLoad) -> Outcome:
    """Run the clients in a separate process."""
    result = await programs.arun(
        [sys.executable, "-m", __name__],
        timeout_seconds=load.seconds + START_SECONDS,
        stdin=msgspec.json.encode(load),
    )
    return msgspec.json.decode(result.checked(), type=Outcome)


async def run(load: ChatLoad) -> Outcome:
    """Connect, say so, send, and wait for the last answers."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    clients: list[Client] = []
    for number in range(load.connections):
        client = _client(load, tally, number)
        await loop.create_connection(lambda client=client: client, HOST, load.port)  # type: ignore[misc]
        clients.append(client)
        if number % OPENED_AT_ONCE == OPENED_AT_ONCE - 1:
            await asyncio.gather(*(one.ready for one in clients))
    await asyncio.gather(*(one.ready for one in clients))
    pinging = [one for one in clients[: load.pings] if isinstance(one, WebsocketClient)]
    await _pinged(pinging, tally)
    before = cpu_seconds(load.processes)
    started = perf_counter()
    tally.deadline = started + load.seconds
    senders = clients[: len(load.conversations)]
    if load.pings:
        while perf_counter() < tally.deadline:
            for client in pinging:
                client.ping()
                await asyncio.sleep(1 / load.pings)
    elif load.per_second:
        await _at_rate(senders, load.per_second, tally)
    else:
        for client in senders:
            client.send()
        await asyncio.sleep(load.seconds)
    seconds = perf_counter() - started
    sent, delivered = tally.sent, tally.delivered
    memory = {name: _memory(pid) for name, pid in load.processes.items()}
    await _settled(tally)
    after = cpu_seconds(load.processes)
    latencies = sorted(tally.latencies)

    def quantile(share: float) -> float:
        return round(latencies[int(share * (len(latencies) - 1))] * 1000, 2) if latencies else 0.0

    return Outcome(
        sent,
        delivered,
        tally.delivered,
        seconds,
        quantile(0.5),
        quantile(0.95),
        tally.errors,
        {name: after[name] - before[name] for name in before},
        memory,
    )


def _client(load: ChatLoad, tally: Tally, number: int) -> Client:
    token = load.tokens[number % len(load.tokens)] if load.tokens else ""
    peer = load.conversations[number] if number < len(load.conversations) else None
    is_paced = load.per_second > 0
    if load.is_xmpp:
        return XmppClient(tally, token, peer or "", is_paced=is_paced, padding=load.padding)
    return WebsocketClient(tally, token, peer, is_paced=is_paced, padding=load.padding)


async def _settled(tally: Tally) -> None:
    """Wait until nothing more arrives."""
    before = -1
    while tally.delivered != before:
        before = tally.delivered
        await asyncio.sleep(REST_SECONDS)


async def _pinged(clients: Sequence[WebsocketClient], tally: Tally) -> None:
    """Wait for a first answer: who has signed in among many strangers waits for the turn of that first."""
    for client in clients:
        client.ping()
    await asyncio.gather(*(client.ponged for client in clients))
    del tally.latencies[:]


def cpu_seconds(processes: Mapping[str, int]) -> dict[str, float]:
    """The CPU time of processes with their descendants so far, by name; this one is ``clients``."""
    return {
        name: sum(sum(one.cpu_times()[:2]) for one in _family(pid))
        for name, pid in processes.items()
    } | {"clients": time.process_time()}


def _memory(pid: int) -> int:
    return sum(one.memory_full_info().pss for one in _family(pid))


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


async def _at_rate(senders: Sequence[Client], per_second: float, tally: Tally) -> None:
    """Send whether or not the last is answered: who is slow does not slow the measurement down."""
    started, number = perf_counter(), 0
    while (now := perf_counter()) < tally.deadline:
        while (due := started + number / per_second) <= now:
            senders[number % len(senders)].send_due(due)
            number += 1
        # uvloop counts in milliseconds: half of one is none, and this loop would take a core from the rest.
        await asyncio.sleep(max(started + number / per_second - perf_counter(), 0.001))


def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=ChatLoad)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(load))))


if __name__ == "__main__":
    main()
