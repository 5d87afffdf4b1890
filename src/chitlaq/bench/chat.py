"""What chat costs: durable messages beside bare inserts, fan-out beside a bare server, idle connections."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from statistics import median
from uuid import UUID

import msgspec
import psutil

from chitlaq.bench import bare_sockets, baseline, chat_load, ejabberd, load, processes, queries
from chitlaq.bench.chat_load import ChatLoad
from chitlaq.bench.installation import Installation, installed
from chitlaq.core import ids
from chitlaq.core.data import postgres
from chitlaq.core.installation.ports import free_ports
from chitlaq.core.installation.secrets import Secrets
from chitlaq.services.auth.sessions.signing import Signer

CONNECTIONS = 1000
# ejabberd lets ten in each second: a thousand would take minutes.
PEER_CONNECTIONS = 200
USERS = [f"user{number}" for number in range(PEER_CONNECTIONS)]
GROUP = 500
GROUP_SENDERS = 8
IDLE = 10_000
PINGS = 100
# Files that the server and the clients need beside their connections.
OTHER_FILES = 1000
ROUNDS = 3
SECONDS = 4.0
PGBENCH_CLIENTS = 16
READERS = 16
ROLE = "chitlaq_websocket"
TOKEN_SECONDS = 7200

# One message, one row, one transaction: the same table with the same indexes, and nothing else.
INSERT = (
    "INSERT INTO websocket.bench_messages (conversation_id, seq, client_id, text, sent_at)"
    " VALUES (gen_random_uuid(), 1, gen_random_uuid()::text, repeat('x', 76), clock_timestamp())"
)


class Report(msgspec.Struct, frozen=True):
    """Medians over the rounds; seconds of CPU are of all processes together, on all cores."""

    messages_per_second: float
    inserts_per_second: float
    ratio: float
    cpu_microseconds: dict[str, float]
    """Of a message, by process."""
    half_rate: float
    half_rate_p50: float
    half_rate_p95: float
    indexed_ratio: float
    """Of the messages that were sent until then; the index of the others' words is not in their CPU."""
    fan_out_per_second: float
    bare_fan_out_per_second: float
    fan_out_ratio: float
    idle: int
    idle_kilobytes: float
    idle_ping_p95: float
    history_per_second: float
    feed_per_second: float
    history_ratio: float
    errors: dict[str, int]
    ejabberd: Peer | None


class Peer(msgspec.Struct, frozen=True):
    """Another server, and ours under the same load of fewer connections; medians."""

    messages_per_second: float
    cpu_microseconds: dict[str, float]
    our_messages_per_second: float
    our_cpu_microseconds: dict[str, float]
    ratio: float
    """Its CPU of a message, with PostgreSQL's, relative to ours."""


async def run(say: Callable[[str], None], *, beside_ejabberd: bool = False) -> Report:
    """Measure everything on a temporary stack, which is always removed.

    Args:
        say: called with each step.
        beside_ejabberd: also measure that server.

    Raises:
        OperatorError: a component did not start, or ejabberd is not installed.
    """
    if beside_ejabberd:
        ejabberd.require()
    async with installed() as installation:
        say("a stack with demo members")
        await installation.start()
        await installation.command(
            "seed", "--members", str(CONNECTIONS), "--posts-per-member", "5", "--json"
        )
        accounts = await all_accounts(installation)
        tokens = await sign_in_without_passwords(installation, accounts)
        pairs = [accounts[at : at + 2] for at in range(0, CONNECTIONS, 2)]
        direct = await begin_conversations(installation, "direct", pairs)
        (group,) = await begin_conversations(installation, "group", [accounts[:GROUP]])
        async with AsyncExitStack() as stack:
            peer = None
            if beside_ejabberd:
                peer = await stack.enter_async_context(ejabberd.running(installation, USERS))
            return await _measured(installation, tokens, direct, group, peer, say)


async def _measured(
    installation: Installation,
    tokens: Sequence[str],
    direct: Sequence[str],
    group: str,
    peer: tuple[int, int] | None,
    say: Callable[[str], None],
) -> Report:
    port = installation.settings.port_of("websocket")
    watched = await _watched(installation)
    # Each conversation has two connections, which are neighbours.
    conversations = [one for one in direct for _ in range(2)]
    errors = Counter[str]()

    async def chat(conversations: Sequence[str], count: int, rate: float) -> chat_load.Outcome:
        outcome = await chat_load.measure(
            ChatLoad(port, tokens, count, conversations, rate, SECONDS, processes=watched)
        )
        errors.update(outcome.errors)
        return outcome

    durable, inserts, cpu = [], [], []
    beside: list[chat_load.Outcome] = []
    same: list[chat_load.Outcome] = []
    for number in range(ROUNDS):
        say(f"inserts and messages, round {number + 1} of {ROUNDS}")
        rate, _ = await queries.pgbench(
            installation, f"row-{number}", [INSERT], PGBENCH_CLIENTS, int(SECONDS), ROLE
        )
        inserts.append(rate)
        outcome = await chat(conversations, CONNECTIONS, 0)
        durable.append(outcome.delivered / outcome.seconds)
        cpu.append(_microseconds(outcome))
        if peer is not None:
            say("ejabberd, and the same load here")
            beside.append(await _beside(peer, watched["postgres"]))
            same.append(await chat(conversations[:PEER_CONNECTIONS], PEER_CONNECTIONS, 0))
    say("half of that rate")
    half = median(durable) / 2
    paced = [await chat(conversations, CONNECTIONS, half) for _ in range(ROUNDS)]
    indexed = await _indexed(installation)
    say("a group of five hundred, and the bare server")
    fan_out, bare = [], []
    (bare_port,) = free_ports(1)
    command = [sys.executable, "-m", bare_sockets.__name__, str(bare_port)]
    for _ in range(ROUNDS):
        outcome = await chat([group] * GROUP_SENDERS, GROUP, 0)
        fan_out.append(outcome.delivered / outcome.seconds)
        async with processes.running(
            [command], None, bare_port, installation.home.logs / "bare.log"
        ):
            outcome = await chat_load.measure(
                ChatLoad(bare_port, (), GROUP, [group] * GROUP_SENDERS, 0, SECONDS)
            )
        bare.append(outcome.delivered / outcome.seconds)
    say("idle connections")
    files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], IDLE + OTHER_FILES)
    idle = files - OTHER_FILES
    few = await chat_load.measure(_idle(port, tokens, PINGS, watched))
    many = await chat_load.measure(_idle(port, tokens, idle, watched))
    grown = many.memory_bytes["websocket"] - few.memory_bytes["websocket"]
    say("history, and the home feed")
    history: list[float] = []
    feed: list[float] = []
    gateway = installation.settings.port_of("api-gateway")
    target = "/api/conversations/{}/messages?limit=10"
    readings = [
        load.get(target.format(one), token)
        for one, token in zip(conversations[:64], tokens[:64], strict=True)
    ]
    pages = [load.get(baseline.TARGET, token) for token in tokens[:64]]
    for _ in range(ROUNDS):
        for requests, rates in ((readings, history), (pages, feed)):
            got = await load.measure(load.Load(chat_load.HOST, gateway, requests, READERS, SECONDS))
            rates.append(got.per_second)
            if set(got.statuses) != {"200"}:
                errors.update(got.statuses)
    return Report(
        messages_per_second=round(median(durable)),
        inserts_per_second=round(median(inserts)),
        ratio=_ratio(durable, inserts),
        cpu_microseconds=_medians(cpu),
        half_rate=round(median(one.delivered / one.seconds for one in paced)),
        half_rate_p50=median(one.p50 for one in paced),
        half_rate_p95=median(one.p95 for one in paced),
        indexed_ratio=indexed,
        fan_out_per_second=round(median(fan_out)),
        bare_fan_out_per_second=round(median(bare)),
        fan_out_ratio=_ratio(fan_out, bare),
        idle=idle,
        idle_kilobytes=round(grown / (idle - PINGS) / 1024, 1),
        idle_ping_p95=many.p95,
        history_per_second=round(median(history)),
        feed_per_second=round(median(feed)),
        history_ratio=_ratio(history, feed),
        errors=errors,
        ejabberd=_peer(beside, same) if beside else None,
    )


async def _beside(peer: tuple[int, int], database: int) -> chat_load.Outcome:
    """Put the same load on ejabberd: each user writes to their neighbour, who writes to them."""
    port, process = peer
    neighbours = [USERS[at ^ 1] for at in range(PEER_CONNECTIONS)]
    watched = {"ejabberd": process, "postgres": database}
    return await chat_load.measure(
        ChatLoad(
            port, USERS, PEER_CONNECTIONS, neighbours, 0, SECONDS, processes=watched, is_xmpp=True
        )
    )


def _peer(theirs: Sequence[chat_load.Outcome], ours: Sequence[chat_load.Outcome]) -> Peer:
    cpu, own_cpu = [list(map(_microseconds, outcomes)) for outcomes in (theirs, ours)]
    ratios = [
        (other["ejabberd"] + other["postgres"]) / (own["websocket"] + own["postgres"])
        for other, own in zip(cpu, own_cpu, strict=True)
    ]
    return Peer(
        round(median(one.delivered / one.seconds for one in theirs)),
        _medians(cpu),
        round(median(one.delivered / one.seconds for one in ours)),
        _medians(own_cpu),
        round(median(ratios), 1),
    )


def _microseconds(outcome: chat_load.Outcome) -> dict[str, float]:
    """CPU of a message, by process."""
    return {name: s / outcome.delivered_in_all * 1e6 for name, s in outcome.cpu_seconds.items()}


def _medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(median(one[name] for one in rounds)) for name in rounds[0]}


def _idle(port: int, tokens: Sequence[str], count: int, watched: dict[str, int]) -> ChatLoad:
    return ChatLoad(port, tokens, count, (), 0, SECONDS, pings=PINGS, processes=watched)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Each round is compared with the one next to it: the median of ratios, not the ratio of medians."""
    return round(median(a / b for a, b in zip(ours, theirs, strict=True)), 2)


async def all_accounts(installation: Installation) -> list[UUID]:
    """Return all members' accounts, and make an empty chat and a bare table beside it."""
    async with postgres.connection(_dsn(installation)) as connection:
        rows = await connection.fetch("SELECT id FROM feed.members ORDER BY id")
        await connection.execute(
            # The demo's own, which may have the same pairs.
            "TRUNCATE websocket.conversations CASCADE;"
            "CREATE TABLE websocket.bench_messages (LIKE websocket.messages INCLUDING ALL);"
            f"GRANT INSERT ON websocket.bench_messages TO {ROLE}"
        )
        return [row["id"] for row in rows]


async def sign_in_without_passwords(
    installation: Installation, accounts: Sequence[UUID]
) -> list[str]:
    """Return a token of each without their password: a thousand hashes would take a minute."""
    secrets = Secrets(installation.home.secrets)
    (key,) = secrets.signing_keys.values()
    signer = Signer(key, secrets.edge_key, installation.settings.base_url)
    sessions = [ids.new() for _ in accounts]
    until = datetime.now(UTC) + timedelta(days=1)
    async with postgres.connection(_dsn(installation)) as connection:
        await connection.copy_records_to_table(
            "sessions",
            schema_name="auth",
            columns=("id", "account_id", "refresh_hash", "user_agent", "expires_at"),
            records=[
                (session, account, 2 * session.bytes, "chitlaq-bench", until)
                for session, account in zip(sessions, accounts, strict=True)
            ],
        )
    return [
        signer.sign(account, session, TOKEN_SECONDS)
        for account, session in zip(accounts, sessions, strict=True)
    ]


async def begin_conversations(
    installation: Installation, kind: str, groups: Sequence[Sequence[UUID]]
) -> list[str]:
    """Begin conversations as the service does, but for a thousand requests."""
    found = [ids.new() for _ in groups]
    async with postgres.connection(_dsn(installation)) as connection:
        await connection.executemany(
            "INSERT INTO websocket.conversations (id, kind, lower_id, upper_id) VALUES ($1, $2, $3, $4)",
            [
                (one, kind, *(sorted(group) if kind == "direct" else (None, None)))
                for one, group in zip(found, groups, strict=True)
            ],
        )
        await connection.executemany(
            "INSERT INTO websocket.participants (conversation_id, account_id, state)"
            " VALUES ($1, $2, 'joined')",
            [(one, who) for one, group in zip(found, groups, strict=True) for who in group],
        )
    return list(map(str, found))


async def _indexed(installation: Installation) -> float:
    async with postgres.connection(_dsn(installation)) as connection:
        return float(
            await connection.fetchval(
                "SELECT sum(coalesce(i.seq, 0)) / sum(c.last_seq) FROM websocket.conversations c"
                " LEFT JOIN websocket.indexed_messages i ON i.conversation_id = c.id"
            )
        )


async def _watched(installation: Installation) -> dict[str, int]:
    rows = msgspec.json.decode(
        await installation.command("ps", "--json"), type=list[dict[str, object]]
    )
    names = {"websocket", "postgres", "redis", "search-service"}
    return {
        str(row["service"]): psutil.Process(int(str(row["pid"]))).pid
        for row in rows
        if row["service"] in names
    }


def _dsn(installation: Installation) -> str:
    return postgres.dsn(installation.settings, installation.home, postgres.OWNER)
