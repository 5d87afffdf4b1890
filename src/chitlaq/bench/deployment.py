"""What deployment changes: processes of a service, TLS at the edge, commits that wait for a second copy.

Each is compared with its opposite in alternating rounds of one run, on one machine, with the load generator
on the same cores.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

import msgspec

from chitlaq import inventory
from chitlaq.bench import baseline, chat, chat_load, load
from chitlaq.bench.chat_load import HOST, ChatLoad
from chitlaq.bench.installation import Installation, installed
from chitlaq.bench.load import NAME, Load, measure, successful
from chitlaq.core.errors import OperatorError

MEMBERS = 2000
SIGNED_IN = 64
CONNECTIONS = 32
WRITERS = 16
CHATTING = 200
ROUNDS = 3
SECONDS = 4.0
WARM_UP_SECONDS = 2.0
HANDSHAKES = 300
HANDSHAKE_SECONDS = 5.0
SERVICES = tuple(row for row in inventory.SERVICES if row.workers)
POSTS = "/api/posts"


class Side(msgspec.Struct, frozen=True):
    """One side of a comparison: medians over the rounds."""

    name: str
    per_second: float
    p95: float
    """Milliseconds, with as many requests at a time as there are connections."""
    microseconds: int
    """CPU time of a request or message, of all components together."""


class Compared(msgspec.Struct, frozen=True):
    what: str
    usual: Side
    other: Side
    ratio: float
    """Of ``other`` to ``usual``, by requests or messages per second: the median of the rounds' ratios."""


class Report(msgspec.Struct, frozen=True):
    cores: int
    load_average: float
    """Before anything was measured."""
    compared: list[Compared]
    handshake_microseconds: int
    """CPU time of nginx for a new connection with TLS, beyond that of one without."""


class _Round(msgspec.Struct, frozen=True):
    per_second: float
    p95: float
    microseconds: float


Measured = dict[str, list[_Round]]
"""Of each side, a figure for each round."""


async def run(say: Callable[[str], None]) -> Report:
    """Measure on a temporary stack, which is always removed.

    Raises:
        OperatorError: a component did not start, or a response was wrong.
    """
    load_average = os.getloadavg()[0]
    # The base backup and the receiver are there from the beginning: only who waits for them changes.
    async with installed(archive="on") as installation:
        say(f"{MEMBERS} members")
        await installation.start()
        await installation.command("seed", "--members", str(MEMBERS), "--json")
        accounts = (await chat.all_accounts(installation))[:CHATTING]
        tokens = await chat.sign_in_without_passwords(installation, accounts)
        pairs = [accounts[at : at + 2] for at in range(0, CHATTING, 2)]
        conversations = await chat.begin_conversations(installation, "direct", pairs)
        people = _People(tokens, [one for one in conversations for _ in range(2)])
        compared = [
            *await _processes(installation, people, say),
            *await _second_copy(installation, people, say),
        ]
        await _restart(installation)
        compared += await _tls(installation, people, say)
        handshake = await _handshake(installation, say)
    return Report(
        os.cpu_count() or 1, round(load_average, 1), compared, max(round(1e6 * handshake), 0)
    )


class _People(msgspec.Struct, frozen=True):
    tokens: Sequence[str]
    conversations: Sequence[str]
    """Of each of them: two neighbours have one."""


async def _processes(
    installation: Installation, people: _People, say: Callable[[str], None]
) -> list[Compared]:
    """One process of each service beside two."""
    feed: Measured = {}
    messages: Measured = {}
    for number in range(ROUNDS):
        for count, name in ((1, "one process of each service"), (2, "two")):
            say(f"{name}, round {number + 1} of {ROUNDS}")
            settings = {f"CHITLAQ_WORKERS_{row.setting.upper()}": str(count) for row in SERVICES}
            await _restart(installation, settings)
            feed.setdefault(name, []).append(
                await _requests(installation, _reads(installation, people))
            )
            messages.setdefault(name, []).append(await _messages(installation, people))
    return [_compared("GET /api/feed/home", feed), _compared("messages", messages)]


async def _second_copy(
    installation: Installation, people: _People, say: Callable[[str], None]
) -> list[Compared]:
    """Commits that wait for this disk alone, beside commits that wait until another copy is flushed, too."""
    posts: Measured = {}
    messages: Measured = {}
    for number in range(ROUNDS):
        for archive, name in (("on", "commits wait for one copy"), ("synchronous", "for two")):
            say(f"{name}, round {number + 1} of {ROUNDS}")
            await _restart(installation, {"CHITLAQ_BACKUPS_ARCHIVE": archive})
            writes = _writes(installation, people)
            posts.setdefault(name, []).append(await _requests(installation, writes, "201"))
            messages.setdefault(name, []).append(await _messages(installation, people))
    return [_compared("POST /api/posts", posts), _compared("messages", messages)]


async def _tls(
    installation: Installation, people: _People, say: Callable[[str], None]
) -> list[Compared]:
    """The edge's port without TLS beside the one with it, over connections that stay."""
    plain = _reads(installation, people)
    authority = str(installation.home.authority)
    encrypted = msgspec.structs.replace(plain, port=_tls_port(installation), authority=authority)
    feed: Measured = {}
    for number in range(ROUNDS):
        say(f"TLS, round {number + 1} of {ROUNDS}")
        for one, name in ((plain, "HTTP"), (encrypted, "HTTPS")):
            feed.setdefault(name, []).append(await _requests(installation, one))
    return [_compared("GET /api/feed/home", feed)]


async def _handshake(installation: Installation, say: Callable[[str], None]) -> float:
    """Return nginx's seconds for a new connection with TLS 1.3, beyond those for one without."""
    say("new connections")
    context = ssl.create_default_context(cafile=str(installation.home.authority))
    spent = []
    plain = installation.settings.port_of("nginx")
    for port, tls in ((plain, None), (_tls_port(installation), context)):
        before = (await installation.cpu())["nginx"]
        await asyncio.to_thread(_connect, port, tls)
        spent.append((await installation.cpu())["nginx"] - before)
    return (spent[1] - spent[0]) / HANDSHAKES


def _tls_port(installation: Installation) -> int:
    port = installation.settings.optional_port_of("nginx")
    assert port is not None
    return port


def _connect(port: int, tls: ssl.SSLContext | None) -> None:
    request = f"HEAD /login HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
    for _ in range(HANDSHAKES):
        with socket.create_connection((HOST, port), HANDSHAKE_SECONDS) as plain:
            connection = tls.wrap_socket(plain, server_hostname=NAME) if tls else plain
            with connection:
                connection.sendall(request)
                if not connection.recv(64).startswith(b"HTTP/1.1 "):
                    raise OperatorError(f"Port {port} does not answer as a web server.")


async def _restart(installation: Installation, settings: dict[str, str] | None = None) -> None:
    """Start anew, with other settings than the installation's own."""
    await installation.stop()
    await replace(
        installation, environment={**installation.environment, **(settings or {})}
    ).start()


async def _requests(installation: Installation, requests: Load, status: str = "200") -> _Round:
    successful(await measure(msgspec.structs.replace(requests, seconds=WARM_UP_SECONDS)), status)
    before = await installation.cpu()
    outcome = successful(await measure(requests), status)
    spent = _spent(before, await installation.cpu())
    return _Round(outcome.per_second, outcome.p95, 1e6 * spent / outcome.requests)


async def _messages(installation: Installation, people: _People) -> _Round:
    port = installation.settings.port_of("websocket")
    clients = ChatLoad(port, people.tokens, CHATTING, people.conversations, 0, SECONDS)
    before = await installation.cpu()
    outcome = await chat_load.measure(clients)
    if outcome.errors:
        raise OperatorError(f"Some messages were refused: {outcome.errors}")
    spent = _spent(before, await installation.cpu())
    rate = outcome.delivered / outcome.seconds
    return _Round(rate, outcome.p95, 1e6 * spent / outcome.delivered_in_all)


def _spent(before: dict[str, float], after: dict[str, float]) -> float:
    return sum(seconds - before.get(name, 0.0) for name, seconds in after.items())


def _reads(installation: Installation, people: _People) -> Load:
    requests = [load.get(baseline.TARGET, token) for token in people.tokens[:SIGNED_IN]]
    port = installation.settings.port_of("nginx")
    return Load(HOST, port, requests, CONNECTIONS, SECONDS)


def _writes(installation: Installation, people: _People) -> Load:
    requests = [
        load.post(POSTS, {"text": f"Room {number} is free now."}, token)
        for number, token in enumerate(people.tokens[:SIGNED_IN])
    ]
    port = installation.settings.port_of("nginx")
    return Load(HOST, port, requests, WRITERS, SECONDS)


def _compared(what: str, rounds: Measured) -> Compared:
    (usual, before), (other, after) = rounds.items()
    ratios = [one.per_second / base.per_second for base, one in zip(before, after, strict=True)]
    return Compared(what, _side(usual, before), _side(other, after), round(median(ratios), 2))


def _side(name: str, rounds: Sequence[_Round]) -> Side:
    return Side(
        name,
        round(median(one.per_second for one in rounds), 1),
        round(median(one.p95 for one in rounds), 1),
        round(median(one.microseconds for one in rounds)),
    )
