"""How each disaster is planted, and what has to be seen of it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
import httpx
import psutil

from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import judge
from tests.conftest import Stack, become_member, eventually
from tests.disasters import outside
from tests.disks import fill
from tests.ops.checks.conftest import frozen, status_of, system_of
from tests.services.feed.pictures import encoded, picture, uploaded

Plant = Callable[[Stack], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Disaster:
    """One disaster.

    Args:
        plant: makes it, for as long as the context lasts.
        cause: the check that has to be first; empty if only an alert tells.
        alert: what fires within two minutes; one of several, where it depends on what is stored meanwhile.
        briefly: makes it for a moment, at less cost; the supervisor heals what is frozen for long.
        blind: checks whose names begin so did not see what they look at, and must not be green.
    """

    name: str
    plant: Plant
    cause: str
    alert: str | tuple[str, ...]
    blind: str = ""
    briefly: Plant | None = None

    def __str__(self) -> str:
        return self.name


@asynccontextmanager
async def stopped(stack: Stack, name: str) -> AsyncIterator[None]:
    """Frozen, also after the supervisor has put another in its place."""
    with ExitStack() as held:
        known: set[int | None] = {None}

        async def hold() -> None:
            if (await asyncio.to_thread(status_of, stack, name)).pid not in known:
                known.add(held.enter_context(frozen(stack, name)))

        await hold()
        async with _while(hold):
            yield


@asynccontextmanager
async def table_locked(stack: Stack, table: str = "feed.posts") -> AsyncIterator[None]:
    """A forgotten transaction, and a member who reads again and again."""
    connection = await asyncpg.connect(stack.dsn())
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    try:
        async with _while(lambda: _asked(stack, "/api/feed/home")):
            yield
    finally:
        await transaction.rollback()
        await connection.close()


@asynccontextmanager
async def killed_in_a_loop(stack: Stack, name: str) -> AsyncIterator[None]:
    async def kill() -> None:
        pid = (await asyncio.to_thread(status_of, stack, name)).pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async with _while(kill):
        yield


@asynccontextmanager
async def slow(stack: Stack) -> AsyncIterator[None]:
    """Whoever reads posts waits for two seconds, as for a query whose plan has turned bad."""
    (row,) = await stack.sql("SELECT pg_get_functiondef('feed.readable_posts'::regproc) AS quick")
    quick: str = row["quick"]
    read = "FROM feed.permitted_posts(viewer) p"
    assert quick.count(read) == 1
    await stack.sql(quick.replace(read, f"{read} WHERE (SELECT pg_sleep(2)) IS NOT NULL"))
    try:
        yield
    finally:
        await stack.sql(quick)


@asynccontextmanager
async def backup_damaged(stack: Stack) -> AsyncIterator[None]:
    """The newest dump is cut short; its operator puts it back and has it verified."""

    async def is_proved() -> bool:
        system = system_of(stack)
        try:
            return (await judge(CHECKS["backup.database"], system)).verdict is Verdict.OK
        finally:
            await system.close()

    await eventually(is_proved, seconds=300)
    dump = max((stack.home / "backups").glob("chitlaq_*.sql"))
    whole = dump.read_bytes()
    dump.write_bytes(whole[: len(whole) // 2])
    try:
        yield
    finally:
        dump.write_bytes(whole)
        verified = await asyncio.to_thread(stack.command, "backup", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr


@asynccontextmanager
async def disk_full(stack: Stack) -> AsyncIterator[None]:
    """It is full within seconds; the little that others free later is theirs."""
    filler = await asyncio.to_thread(fill, stack.home)
    try:
        yield
    finally:
        filler.unlink()


@asynccontextmanager
async def disk_kept_full(stack: Stack) -> AsyncIterator[None]:
    """Whatever becomes free is taken at once: no sample is stored that would tell."""
    async with disk_full(stack), _while(lambda: asyncio.to_thread(fill, stack.home)):
        yield


@asynccontextmanager
async def campus(stack: Stack) -> AsyncIterator[None]:
    """Everybody behind one address, whose limit is for one household."""

    async def ask() -> None:
        await asyncio.gather(
            *(_asked(stack, "/api/auth/status", address="127.0.0.2") for _ in range(20))
        )

    async with _while(ask):
        yield


@asynccontextmanager
async def valkey_full(stack: Stack) -> AsyncIterator[None]:
    """Its memory is used up, and an operator has forbidden it to evict: it answers, and refuses writes."""
    planted = {"maxmemory-policy": "noeviction", "maxmemory": "1000"}
    before = {name: stack.redis("config", "get", name).splitlines()[-1] for name in planted}
    for name, value in planted.items():
        assert stack.redis("config", "set", name, value) == "OK"
    try:
        yield
    finally:
        for name, value in reversed(before.items()):
            assert stack.redis("config", "set", name, value) == "OK"


@asynccontextmanager
async def postgres_read_only(stack: Stack) -> AsyncIterator[None]:
    """As after a failover to a standby: it answers, and refuses writes."""
    await stack.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    await stack.sql("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        connection = await asyncpg.connect(stack.dsn())
        try:
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()


@asynccontextmanager
async def nginx_workers_frozen(stack: Stack) -> AsyncIterator[None]:
    """Its workers stand still, also those of the next one, while their master lives."""
    frozen_ones: set[psutil.Process] = set()

    async def freeze() -> None:
        pid = (await asyncio.to_thread(status_of, stack, "nginx")).pid
        with suppress(psutil.NoSuchProcess):
            for worker in psutil.Process(pid).children() if pid is not None else ():
                worker.suspend()
                frozen_ones.add(worker)

    try:
        async with _while(freeze):
            yield
    finally:
        for worker in frozen_ones:
            with suppress(psutil.NoSuchProcess):
                worker.resume()


@asynccontextmanager
async def connections_used_up(stack: Stack) -> AsyncIterator[None]:
    """A program of somebody's opens a connection for whatever it does, and closes none."""
    held: list[asyncpg.Connection] = []

    async def take() -> None:
        with suppress(asyncpg.TooManyConnectionsError, OSError):
            while True:
                held.append(await asyncpg.connect(stack.dsn("chitlaq_feed")))

    try:
        async with _while(take):
            yield
    finally:
        for one in held:
            one.terminate()


@asynccontextmanager
async def pictures_gone(stack: Stack) -> AsyncIterator[None]:
    """The folder of the pictures is another one, as when its disk is not mounted after a restart."""
    folder = stack.home / "media"
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
        await stack.add_university("Example University", "example.edu")
        owner = await become_member(stack, client, f"m{secrets.token_hex(6)}")
        await uploaded(owner, encoded(picture()))
    away = folder.rename(folder.with_name("media-away"))
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        away.rename(folder)


@asynccontextmanager
async def _while(work: Callable[[], asyncio.Future[None] | object]) -> AsyncIterator[None]:
    """Do this again and again meanwhile."""

    async def forever() -> None:
        while True:
            await work()  # type: ignore[misc]
            await asyncio.sleep(0.2)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _asked(stack: Stack, path: str, address: str = "127.0.0.1") -> None:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(base_url=stack.edge, transport=transport, timeout=20) as client:
        with suppress(httpx.HTTPError):
            await client.get(path)


DISASTERS = {
    one.name: one
    for one in (
        Disaster(
            "postgres stopped",
            lambda stack: killed_in_a_loop(stack, "postgres"),
            "database.ready",
            "DatabaseDown",
            "database.",
            lambda stack: stopped(stack, "postgres"),
        ),
        Disaster("table locked", table_locked, "database.locks", "LocksWaiting"),
        Disaster(
            "queue locked",
            lambda stack: table_locked(stack, "jobs.jobs"),
            "database.locks",
            "LocksWaiting",
        ),
        Disaster(
            "feed killed in a loop",
            lambda stack: killed_in_a_loop(stack, "feed-service"),
            "feed.health",
            "ServiceDown",
        ),
        Disaster(
            "valkey stopped",
            lambda stack: killed_in_a_loop(stack, "redis"),
            "redis.ready",
            "CacheDown",
            "redis.",
            lambda stack: stopped(stack, "redis"),
        ),
        Disaster("feed slow", slow, "", "ProbeSlow"),
        Disaster("campus behind one address", campus, "", "LimitReached"),
        Disaster("backup damaged", backup_damaged, "backup.database", "BackupBad"),
        Disaster(
            "archive stopped",
            lambda stack: killed_in_a_loop(stack, "wal-archive"),
            "backup.archive",
            "LogNotReceived",
        ),
        Disaster(
            "disk full",
            disk_full,
            "host.disk",
            # What others free for a moment may take the samples that tell.
            ("DiskAlmostFull", "SamplesNotStored"),
        ),
        Disaster("disk kept full", disk_kept_full, "host.disk", "SamplesNotStored"),
        Disaster("valkey full", valkey_full, "redis.ready", "CacheDown"),
        Disaster("postgres takes no writes", postgres_read_only, "database.ready", "DatabaseDown"),
        Disaster("nginx workers frozen", nginx_workers_frozen, "gateway.health", "EdgeDown"),
        Disaster(
            "chat frozen",
            lambda stack: stopped(stack, "websocket"),
            "websocket.health",
            "ServiceDown",
            "websocket.",
        ),
        Disaster(
            "connections used up",
            connections_used_up,
            "database.connections",
            "DatabaseConnectionsExhausted",
        ),
        Disaster("pictures gone", pictures_gone, "media.store", "PicturesMissing", "media."),
        Disaster("mail server away", outside.mail_server_away, "mail.server", "MailServerDown"),
        Disaster("mail server silent", outside.mail_server_silent, "mail.server", "MailServerDown"),
        Disaster("mails refused", outside.mails_refused, "mail.server", "MailsRefused"),
        Disaster(
            "certificate ends",
            lambda stack: outside.certificate(stack, 1, 60),
            "security.certificates",
            "CertificateExpiresNow",
        ),
        Disaster(
            "intermediate ends",
            lambda stack: outside.certificate(stack, 60, 1),
            "security.certificates",
            "CertificateExpiresNow",
        ),
        Disaster(
            "certificate of another name",
            lambda stack: outside.certificate(stack, 60, 60, host="www.example.edu"),
            "security.certificates",
            "CertificateWrong",
        ),
        Disaster(
            "configuration of nginx lost",
            outside.edge_configuration_lost,
            "gateway.health",
            "EdgeDown",
        ),
        Disaster("disk slow", outside.disk_slow, "host.disk_sync", "DiskSlow"),
    )
}
