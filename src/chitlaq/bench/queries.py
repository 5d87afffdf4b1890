"""The bare home feed queries in pgbench: what PostgreSQL alone can do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

import msgspec

from chitlaq.bench.installation import Installation
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.core.installation.secrets import Secrets
from chitlaq.stack.servers import postgres as server

TIMELINES = "chitlaq.services.feed.timelines"
ROLE = "chitlaq_feed"
PAGE = 10
TIMELINE = 250
TOGETHER = 16
# From the end of the measurement to the end of pgbench.
GRACE_SECONDS = 60

_TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([\d.]+) ms", re.MULTILINE)


class QueryRate(msgspec.Struct, frozen=True):
    """pgbench's result: pages per second, and the mean latency of a statement in milliseconds."""

    query: str
    per_second: float
    latency: float


async def some_members(installation: Installation, count: int) -> list[tuple[UUID, str]]:
    """Return ids and usernames of members spread over the network, the same each time."""
    async with postgres.connection(dsn(installation)) as connection:
        rows = await connection.fetch(
            "SELECT id, username FROM feed.members ORDER BY md5(username) LIMIT $1", count
        )
        return [(row["id"], row["username"]) for row in rows]


async def measure(
    installation: Installation, members: Sequence[UUID], clients: int, seconds: int
) -> list[QueryRate]:
    """Run the two queries of a home feed for these members, prepared, as the service's own role.

    ``home_posts`` reads the posts of a page whose ids are known, as a request does when the timeline is
    in Valkey: for one member, and for as many as the service batches. ``home_timeline`` builds a
    timeline, as a request does when Valkey has none.
    """
    queries = postgres.load_queries(TIMELINES, "feed-service")
    hydrate, rebuild = queries["home_posts"].sql, queries["home_timeline"].sql
    pages: list[tuple[UUID, list[str]]] = []
    async with postgres.connection(dsn(installation)) as connection:
        for member in members:
            rows = await connection.fetch(rebuild, member, None, PAGE + 1)
            pages.append((member, [str(row["id"]) for row in rows]))
    groups = [pages[at : at + TOGETHER] for at in range(0, len(pages) - TOGETHER + 1, TOGETHER)]
    scripts = {
        "home_posts": (1, [_hydration(hydrate, [page]) for page in pages]),
        f"home_posts, {TOGETHER} together": (
            TOGETHER,
            [_hydration(hydrate, group) for group in groups],
        ),
        "home_timeline": (
            1,
            [_filled(rebuild, f"'{member}'::uuid", "NULL", str(TIMELINE)) for member in members],
        ),
    }
    rates = []
    for number, (name, (count, statements)) in enumerate(scripts.items()):
        per_second, latency = await pgbench(installation, f"{number}", statements, clients, seconds)
        rates.append(QueryRate(name, count * per_second, latency))
    return rates


def _hydration(sql: str, pages: Sequence[tuple[UUID, Sequence[str]]]) -> str:
    """Read the posts of these members' pages in one statement."""
    firsts: list[int] = []
    lasts: list[int] = []
    ids: list[str] = []
    for _, page in pages:
        firsts.append(len(ids) + 1)
        ids += page
        lasts.append(len(ids))
    arrays: list[Sequence[object]] = [
        [member for member, _ in pages],
        firsts,
        lasts,
        [PAGE + 1] * len(pages),
        ids,
    ]
    return _filled(sql, *("'{" + ",".join(map(str, array)) + "}'" for array in arrays))


async def pgbench(
    installation: Installation,
    name: str,
    statements: Sequence[str],
    clients: int,
    seconds: int,
    role: str = ROLE,
) -> tuple[float, float]:
    """Run pgbench, which picks one of the statements each time; each client prepares each once.

    Returns:
        Statements per second, and their mean latency in milliseconds.
    """
    folder = installation.home.run
    files = []
    for number, statement in enumerate(statements):
        file = folder / f"pgbench-{name}-{number}.sql"
        file.write_text(f"{statement};\n")
        files += ["-f", str(file)]
    password = Secrets(installation.home.secrets).postgres_password(role)
    result = await programs.arun(
        [
            server.programs(installation.settings) / "pgbench",
            *("--no-vacuum", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(seconds)),
            *("-h", str(installation.home.postgres_socket), "-U", role),
            *("-p", str(installation.settings.port_of("postgres"))),
            *files,
            postgres.DATABASE,
        ],
        timeout_seconds=seconds + GRACE_SECONDS,
        variables={"PGPASSWORD": password},
    )
    text = result.checked()
    rate, latency = _TPS.search(text), _LATENCY.search(text)
    if rate is None or latency is None:
        raise OperatorError(f"pgbench reported neither rate nor latency: {text}")
    return float(rate[1]), float(latency[1])


def _filled(sql: str, *literals: str) -> str:
    """Replace a query's parameters by literals; pgbench has no arrays."""
    return re.sub(r"\$(\d)", lambda place: literals[int(place[1]) - 1], sql)


def dsn(installation: Installation) -> str:
    return postgres.dsn(installation.settings, installation.home, postgres.OWNER)
