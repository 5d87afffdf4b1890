"""The benchmark: start-up, memory, and the home feed relative to a baseline and to the bare query."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from statistics import median
from time import perf_counter

import msgspec

from chitlaq import inventory
from chitlaq.bench import baseline, pages, queries, routines, tokens, without_telemetry
from chitlaq.bench.installation import Installation, Memory, installed
from chitlaq.bench.load import Load, Outcome, get, measure, successful
from chitlaq.bench.pages import Paged
from chitlaq.bench.queries import QueryRate
from chitlaq.bench.routines import Noticed, RoutineCost
from chitlaq.bench.tokens import TokenCost
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import http_client
from chitlaq.core.installation.ports import free_ports
from chitlaq.core.installation.secrets import Secrets

MEMBERS = 2000
SIGNED_IN = 64
LOGINS_AT_ONCE = 4
REQUEST_SECONDS = 20.0
CONNECTIONS = 32
ROUNDS = 3
SECONDS = 5.0
WARM_UP_SECONDS = 2.0
COST_ROUNDS = 8
COST_SECONDS = 2.0
PGBENCH_CLIENTS = 8
PGBENCH_SECONDS = 4
LATER_STARTS = 2

HOST = "127.0.0.1"


class Row(msgspec.Struct, frozen=True):
    """Medians over the rounds; latencies in milliseconds."""

    name: str
    per_second: float
    p50: float
    p95: float
    p99: float
    ratio: float
    """Requests per second, relative to the other row of the same table."""
    rounds: list[Outcome]


class Report(msgspec.Struct, frozen=True):
    cores: int
    python: str
    members: int
    connections: int
    answer_bytes: int
    feed: Row
    baseline: Row
    queries: list[QueryRate]
    without_telemetry: Row
    """The feed without metrics and logs."""
    with_telemetry: Row
    """The same feed with them, alternating; its ratio is to ``without``, not to the baseline."""
    tokens: TokenCost
    scrape_milliseconds: dict[str, float]
    """How long each service took to serve ``/metrics``."""
    routines: list[RoutineCost]
    noticed: Noticed
    paged: Paged
    first_start_seconds: float
    later_start_seconds: float
    memory: list[Memory]
    memory_megabytes: float


async def run(say: Callable[[str], None]) -> Report:
    """Measure everything on a temporary stack, which is always removed.

    Args:
        say: called with each step.

    Raises:
        OperatorError: a component did not start, or a response was wrong.
    """
    _cancel_on_sigterm()
    async with installed() as installation:
        say("first start")
        first = await installation.start()
        later = []
        for number in range(LATER_STARTS):
            say(f"later start {number + 1} of {LATER_STARTS}")
            await installation.stop()
            later.append(await installation.start())
        say("memory at rest")
        memory = await installation.memory()
        say(f"{MEMBERS} members")
        await installation.command("seed", "--members", str(MEMBERS), "--json")
        members = await queries.some_members(installation, SIGNED_IN)
        say(f"signing in {len(members)} of them")
        signed_in = await sign_in(installation, [username for _, username in members])
        feed, best, size = await _feed_and_baseline(installation, signed_in, say)
        requests = [get(baseline.TARGET, token) for token in signed_in]
        say("tokens")
        gateway = installation.settings.port_of("api-gateway")
        token_cost = await tokens.cost(
            installation, signed_in, lambda: _loaded(gateway, requests, COST_SECONDS)
        )
        with_it, without = await _with_and_without_telemetry(installation, requests, say)
        say("scrapes")
        scrapes = await _scrapes(installation)
        say("routines")
        costs = await routines.costs(installation)
        noticed = await routines.noticed(installation, requests, say)
        say("pages")
        paged = await pages.paged(installation)
        say("pgbench")
        rates = await queries.measure(
            installation, [member for member, _ in members], PGBENCH_CLIENTS, PGBENCH_SECONDS
        )
    return Report(
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        members=MEMBERS,
        connections=CONNECTIONS,
        answer_bytes=size,
        feed=_row("home feed, signed in", feed, best),
        baseline=_row("(a) the same bytes from memory", best, best),
        queries=rates,
        without_telemetry=_row("without metrics and logs", without, without),
        with_telemetry=_row("with them", with_it, without),
        tokens=token_cost,
        scrape_milliseconds=scrapes,
        routines=costs,
        noticed=noticed,
        paged=paged,
        first_start_seconds=round(first, 2),
        later_start_seconds=round(median(later), 2),
        memory=memory,
        memory_megabytes=round(sum(row.megabytes for row in memory), 1),
    )


def _cancel_on_sigterm() -> None:
    """Treat SIGTERM like Ctrl-C, so that the stack is stopped first."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _feed_and_baseline(
    installation: Installation, tokens: Sequence[str], say: Callable[[str], None]
) -> tuple[list[Outcome], list[Outcome], int]:
    """Alternate between the feed and its baseline, so that a slow moment of the machine affects both."""
    gateway = installation.settings.port_of("api-gateway")
    requests = [get(baseline.TARGET, token) for token in tokens]
    signed = [{"Authorization": f"Bearer {token}"} for token in tokens]
    bodies = [await request(gateway, "GET", baseline.TARGET, headers) for headers in signed]
    # The response of median length: the same bytes without the work.
    body = sorted(bodies, key=len)[len(bodies) // 2]
    folder = installation.home.root / "baseline"
    folder.mkdir(mode=0o755)
    (port,) = free_ports(1)
    outcomes: dict[str, list[Outcome]] = {"feed": [], "baseline": []}
    async with baseline.running(folder, body, port):
        for name, address in (("feed", gateway), ("baseline", port)):
            say(f"warming up the {name}")
            successful(await _loaded(address, requests, WARM_UP_SECONDS))
        for number in range(ROUNDS):
            for name, address in (("feed", gateway), ("baseline", port)):
                say(f"{name}, round {number + 1} of {ROUNDS}")
                outcomes[name].append(successful(await _loaded(address, requests, SECONDS)))
    return outcomes["feed"], outcomes["baseline"], len(body)


async def _with_and_without_telemetry(
    installation: Installation, requests: list[str], say: Callable[[str], None]
) -> tuple[list[Outcome], list[Outcome]]:
    """Alternate between the feed with metrics and logs and the feed without."""
    folder = installation.home.root / "without-telemetry"
    folder.mkdir(mode=0o755)
    with_it: list[Outcome] = []
    without: list[Outcome] = []
    async with without_telemetry.running(installation, folder) as port:
        say("warming up the feed without metrics and logs")
        successful(await _loaded(port, requests, WARM_UP_SECONDS))
        for number in range(COST_ROUNDS):
            say(f"metrics and logs on and off, round {number + 1} of {COST_ROUNDS}")
            with_it.append(
                await _loaded(installation.settings.port_of("api-gateway"), requests, COST_SECONDS)
            )
            without.append(successful(await _loaded(port, requests, COST_SECONDS)))
    return with_it, without


async def _scrapes(installation: Installation) -> dict[str, float]:
    """Scrape each service once; returns the milliseconds that each took."""
    taken = {}
    for service in (row.name for row in inventory.SERVICES):
        started = perf_counter()
        await request(installation.settings.port_of(service), "GET", "/metrics")
        taken[service] = round((perf_counter() - started) * 1000, 1)
    return taken


async def _loaded(port: int, requests: list[str], seconds: float) -> Outcome:
    return await measure(Load(HOST, port, requests, CONNECTIONS, seconds))


async def sign_in(installation: Installation, usernames: Sequence[str]) -> list[str]:
    """Return an access token of each member, through the gateway."""
    turns = asyncio.Semaphore(LOGINS_AT_ONCE)
    password = Secrets(installation.home.secrets).demo_password
    port = installation.settings.port_of("api-gateway")

    async def one(username: str) -> str:
        body = msgspec.json.encode({"login": username, "password": password})
        headers = {"Content-Type": "application/json"}
        async with turns:
            answer = await request(port, "POST", "/api/auth/login", headers, body)
        return msgspec.json.decode(answer, type=_SignedIn).access_token

    return await asyncio.gather(*map(one, usernames))


class _SignedIn(msgspec.Struct):
    access_token: str


async def request(
    port: int,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    status: int = HTTPStatus.OK,
) -> bytes:
    """Return the body of an answer.

    Raises:
        OperatorError: it has another status.
    """
    answer = await http_client.request(
        method,
        f"http://{HOST}:{port}{target}",
        timeout_seconds=REQUEST_SECONDS,
        headers=headers,
        body=body,
    )
    if answer.status != status:
        raise OperatorError(f"{method} {target} returned {answer.status}: {answer.text}")
    return answer.body


def _row(name: str, outcomes: list[Outcome], best: list[Outcome]) -> Row:
    per_second = median(outcome.per_second for outcome in outcomes)
    # Each round is compared with the one next to it: the median of ratios, not the ratio of medians.
    ratios = [own.per_second / other.per_second for own, other in zip(outcomes, best, strict=True)]
    return Row(
        name,
        round(per_second, 1),
        median(outcome.p50 for outcome in outcomes),
        median(outcome.p95 for outcome in outcomes),
        median(outcome.p99 for outcome in outcomes),
        round(median(ratios), 2),
        outcomes,
    )
