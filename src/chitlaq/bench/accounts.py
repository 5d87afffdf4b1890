"""Signing in: beside bare Argon2, beside the home feed, and whether times tell who has an account."""

from __future__ import annotations

import asyncio
import math
import os
import random
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from statistics import median
from time import perf_counter, process_time

import msgspec

from chitlaq.bench import baseline
from chitlaq.bench.benchmark import HOST, REQUEST_SECONDS, sign_in
from chitlaq.bench.installation import Installation, installed
from chitlaq.bench.load import Load, get, measure, post, successful
from chitlaq.core import passwords
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import http_client
from chitlaq.core.installation.secrets import Secrets

SERVICE = "auth-service"
MEMBERS = 2000
SIGNED_IN = 32
LOGIN_CONNECTIONS = 16
FEED_CONNECTIONS = 4
ROUNDS = 3
SECONDS = 4.0
TRIES = 300
"""Of each kind, existing and missing; an account or address is used once for each route."""

LOGIN, REGISTER, FORGOT = "/api/auth/login", "/api/auth/register", "/api/auth/password/forgot"


class Compared(msgspec.Struct, frozen=True):
    """The times to answer at one route, in milliseconds."""

    route: str
    existing: float
    """Median for accounts or addresses that exist."""
    missing: float
    p: float
    """How probable such a difference is if there is none (Mann and Whitney, two-sided)."""


class Report(msgspec.Struct, frozen=True):
    cores: int
    load_average: float
    """Before anything was measured."""
    logins_per_second: float
    hashes_per_second: float
    ratio: float
    login_milliseconds: float
    """CPU time of auth-service."""
    hash_milliseconds: float
    feed_quiet: float
    """95th percentile in milliseconds."""
    feed_beside: float
    noticed: float
    times: list[Compared]


async def run(say: Callable[[str], None]) -> Report:
    """Measure on a temporary stack, which is always removed.

    Raises:
        OperatorError: a component did not start, or a response was wrong.
    """
    load_average = os.getloadavg()[0]
    async with installed() as installation:
        say("starting")
        await installation.start()
        say(f"{MEMBERS} members")
        await installation.command("seed", "--members", str(MEMBERS), "--json")
        people = await _people(installation)
        port = installation.settings.port_of("api-gateway")
        names = [username for username, _ in people]
        password = Secrets(installation.home.secrets).demo_password
        logins = Load(
            HOST,
            port,
            [post(LOGIN, {"login": name, "password": password}) for name in names[:SIGNED_IN]],
            LOGIN_CONNECTIONS,
            SECONDS,
        )
        tokens = await sign_in(installation, names[:SIGNED_IN])
        feed = Load(
            HOST, port, [get(baseline.TARGET, token) for token in tokens], FEED_CONNECTIONS, SECONDS
        )
        rates, login_cpu, hashes, hash_cpu, quiet, beside = [], [], [], [], [], []
        for number in range(ROUNDS):
            say(f"logins and bare Argon2, round {number + 1} of {ROUNDS}")
            before = await installation.cpu_seconds(SERVICE)
            outcome = successful(await measure(logins))
            spent = await installation.cpu_seconds(SERVICE) - before
            rates.append(outcome.per_second)
            login_cpu.append(spent / outcome.requests * 1000)
            per_second, milliseconds = await asyncio.to_thread(_bare_hashes)
            hashes.append(per_second)
            hash_cpu.append(milliseconds)
        for number in range(ROUNDS):
            say(f"home feed alone and beside logins, round {number + 1} of {ROUNDS}")
            quiet.append(successful(await measure(feed)).p95)
            found, _ = await asyncio.gather(measure(feed), measure(logins))
            beside.append(successful(found).p95)
        times = [
            await _compared(port, route, pairs, say) for route, pairs in _pairs(people).items()
        ]
    return Report(
        os.cpu_count() or 1,
        round(load_average, 1),
        median(rates),
        median(hashes),
        round(median(_ratios(rates, hashes)), 2),
        round(median(login_cpu), 1),
        round(median(hash_cpu), 1),
        median(quiet),
        median(beside),
        round(median(_ratios(beside, quiet)), 2),
        times,
    )


def mann_whitney(ones: Sequence[float], others: Sequence[float]) -> float:
    """Return the two-sided p of Mann and Whitney's U test, in its normal approximation with ties.

    Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, 3rd ed., 4.1; good from 20 values each.
    """
    first, second = len(ones), len(others)
    both = sorted([(value, True) for value in ones] + [(value, False) for value in others])
    rank_sum, ties, before = 0.0, 0, 0
    for _, group in groupby(both, key=lambda pair: pair[0]):
        alike = [is_first for _, is_first in group]
        rank_sum += sum(alike) * (before + (len(alike) + 1) / 2)
        ties += len(alike) ** 3 - len(alike)
        before += len(alike)
    u = rank_sum - first * (first + 1) / 2
    total = first + second
    variance = first * second / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance == 0:
        return 1.0
    z = max(abs(u - first * second / 2) - 0.5, 0.0) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


async def _people(installation: Installation) -> list[tuple[str, str]]:
    """Usernames and addresses of as many members as are asked for."""
    owner = postgres.dsn(installation.settings, installation.home, postgres.OWNER)
    async with postgres.connection(owner) as connection:
        rows = await connection.fetch(
            "SELECT username, email FROM auth.accounts ORDER BY random() LIMIT $1", TRIES
        )
    return [(row["username"], row["email"]) for row in rows]


def _pairs(people: Iterable[tuple[str, str]]) -> dict[str, list[tuple[Mapping[str, str], ...]]]:
    """For each route the bodies to send: about something that exists, and about something that does not."""
    found: dict[str, list[tuple[Mapping[str, str], ...]]] = {LOGIN: [], REGISTER: [], FORGOT: []}
    for number, (username, email) in enumerate(people):
        name, host = f"bench{number}", email.partition("@")[2]
        nobody = f"{name}@{host}"
        wrong = secrets.token_urlsafe()
        new = {"password": wrong, "display_name": "Bench"}
        found[LOGIN].append(
            ({"login": username, "password": wrong}, {"login": name, "password": wrong})
        )
        found[REGISTER].append(
            (
                {"email": email, "username": f"old{number}", **new},
                {"email": nobody, "username": f"new{number}", **new},
            )
        )
        found[FORGOT].append(({"email": email}, {"email": f"no{nobody}"}))
    return found


async def _compared(
    port: int,
    route: str,
    pairs: Sequence[tuple[Mapping[str, str], ...]],
    say: Callable[[str], None],
) -> Compared:
    """Send each pair in random order, one request at a time, so that a slow moment hits both alike."""
    say(f"{len(pairs)} times {route} for what exists, and for what does not")
    order = random.Random(route)  # noqa: S311 - no secret
    taken: tuple[list[float], list[float]] = ([], [])
    statuses = set()
    for pair in pairs:
        for which in order.sample((0, 1), 2):
            started = perf_counter()
            answer = await http_client.request(
                "POST",
                f"http://{HOST}:{port}{route}",
                timeout_seconds=REQUEST_SECONDS,
                headers={"Content-Type": "application/json"},
                body=msgspec.json.encode(pair[which]),
            )
            taken[which].append(perf_counter() - started)
            statuses.add(answer.status)
    if len(statuses) != 1 or not statuses <= {201, 202, 401}:
        raise OperatorError(f"{route} answered {sorted(statuses)}: the work was not done.")
    existing, missing = (round(median(times) * 1000, 2) for times in taken)
    return Compared(route, existing, missing, round(mann_whitney(*taken), 4))


def _bare_hashes() -> tuple[float, float]:
    """Hash without a service, in as many threads as cores: how many a second, and the CPU ms of one."""
    deadline = perf_counter() + SECONDS

    def hashes() -> int:
        count = 0
        while perf_counter() < deadline:
            passwords.hashed_now("correct horse battery")
            count += 1
        return count

    started, began, cores = perf_counter(), process_time(), os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as threads:
        counts = [threads.submit(hashes) for _ in range(cores)]
    total = sum(one.result() for one in counts)
    per_second = total / (perf_counter() - started)
    return round(per_second, 1), (process_time() - began) / total * 1000


def _ratios(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(ones, others, strict=True)]
