"""What backups cost: relative to PostgreSQL's bare tools, and in latency for members."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import msgspec

from chitlaq.backups.catalog import records
from chitlaq.backups.context import NICENESS, size_of
from chitlaq.bench import baseline, benchmark
from chitlaq.bench.installation import Installation, installed
from chitlaq.bench.load import Load, get, measure
from chitlaq.bench.queries import some_members
from chitlaq.core.data import postgres
from chitlaq.core.host import programs
from chitlaq.core.installation.secrets import BACKUP, SUPERUSER, Secrets
from chitlaq.stack.servers import postgres as server

SEED_SECONDS = 1800.0
STEP_SECONDS = 1800.0
SIGNED_IN = 16
CONNECTIONS = 4
WINDOW_SECONDS = 3.0
QUIET_WINDOWS = 5
ROUNDS = 3
# A day's changes between two backups: one post of a hundred, all over the table.
CHANGE = "UPDATE feed.posts SET text = text || '.' WHERE random() < 0.01"

Tool = Callable[[Installation, Path], Awaitable[int]]


class Step(msgspec.Struct, frozen=True):
    """One step and, if there is one, PostgreSQL's bare tool; medians over the rounds.

    Args:
        name: the step.
        seconds: of ``chitlaq backup``, from its first byte to its record.
        bytes: on disk.
        bare_seconds, bare_bytes: of PostgreSQL's own tool with the same options.
        ratio: the median over the rounds of ``seconds`` to ``bare_seconds``.
        quiet, beside: 95th percentile of the feed in milliseconds, before and during the step.
        noticed: ``beside`` relative to ``quiet``.
    """

    name: str
    seconds: float
    bytes: int
    bare_seconds: float | None
    bare_bytes: int | None
    ratio: float | None
    quiet: float
    beside: float
    noticed: float


class Report(msgspec.Struct, frozen=True):
    members: int
    posts: int
    follows: int
    database_bytes: int
    steps: list[Step]


async def run(members: int, say: Callable[[str], None]) -> Report:
    """Measure everything on a temporary stack with this many members.

    Raises:
        OperatorError: a component did not start, or a step failed; the message quotes its output.
    """
    async with installed(archive="on") as installation:
        say("starting")
        await installation.start()
        say(f"{members:,} members")
        await installation.command(
            "seed", "--members", str(members), "--json", seconds=SEED_SECONDS
        )
        posts, follows, size = await _counted(installation)
        say(f"{posts:,} posts, {follows:,} follows, {size / 1e9:.1f} GB")
        names = [name for _, name in await some_members(installation, SIGNED_IN)]
        tokens = await benchmark.sign_in(installation, names)
        requests = [get(baseline.TARGET, token) for token in tokens]
        load = Load(
            "127.0.0.1",
            installation.settings.port_of("api-gateway"),
            requests,
            CONNECTIONS,
            WINDOW_SECONDS,
        )
        measuring = _Measuring(installation, load, say)
        # Before measuring, as autovacuum would have done.
        await _sql(installation, "VACUUM ANALYZE")
        steps = [
            await measuring.step("full", "base backup", _base_backup),
            await measuring.step("dump", "dump", _dump),
            await measuring.step("incremental", "incremental backup", _incremental),
            await measuring.look("verify", "verify all"),
            await measuring.look("drill", "drill of the dump", "dump"),
            await measuring.look("drill", "drill of the base backup", "full", "incremental"),
        ]
    return Report(members, posts, follows, size, steps)


class _Measuring:
    """Runs the steps on one installation."""

    def __init__(self, installation: Installation, load: Load, say: Callable[[str], None]) -> None:
        self._installation = installation
        self._load = load
        self._say = say

    async def step(self, kind: records.BackupKind, name: str, bare: Tool) -> Step:
        """Alternate between a backup and the bare tool; then once more under members' load."""
        ours, theirs, sizes = [], [], []
        for number in range(ROUNDS):
            self._say(f"{name}, round {number + 1} of {ROUNDS}")
            if kind == "incremental":
                await _sql(self._installation, CHANGE)
            # As ops-service does every few seconds.
            await _backup(self._installation, "archive")
            seconds, size = await self._bare(bare)
            theirs.append(seconds)
            sizes.append(size)
            ours.append(await self._made(kind))
        quiet, beside = await self._noticed(name, ["run", kind])
        ratios = [one.seconds / other for one, other in zip(ours, theirs, strict=True)]
        return Step(
            name,
            round(median(one.seconds for one in ours), 1),
            ours[-1].bytes,
            round(median(theirs), 1),
            sizes[-1],
            round(median(ratios), 2),
            quiet,
            beside,
            round(beside / quiet, 2),
        )

    async def look(self, what: str, name: str, *kinds: records.BackupKind) -> Step:
        """Verify or drill under members' load."""
        newest = [records.read(self._folder).newest(*kinds)] if kinds else []
        words = [what, *(one.id for one in newest if one is not None)]
        self._say(name)
        begun = perf_counter()
        await _backup(self._installation, *words)
        seconds = perf_counter() - begun
        quiet, beside = await self._noticed(name, words)
        size = sum(one.bytes for one in newest if one is not None)
        return Step(
            name, round(seconds, 1), size, None, None, None, quiet, beside, round(beside / quiet, 2)
        )

    @property
    def _folder(self) -> Path:
        return self._installation.settings.backup_folder(self._installation.home)

    async def _made(self, kind: records.BackupKind) -> records.Record:
        await _backup(self._installation, "run", kind)
        record = records.read(self._folder).newest(kind)
        assert record is not None
        return record

    async def _bare(self, tool: Tool) -> tuple[float, int]:
        target = self._installation.home.root / "bare"
        target.mkdir()
        try:
            begun = perf_counter()
            size = await tool(self._installation, target)
            return perf_counter() - begun, size
        finally:
            shutil.rmtree(target)

    async def _noticed(self, name: str, words: Sequence[str]) -> tuple[float, float]:
        """The feed's p95 without the step, and in the windows within it."""
        self._say(f"{name}, under load")
        quiet = [(await measure(self._load)).p95 for _ in range(QUIET_WINDOWS)]
        step = asyncio.create_task(_backup(self._installation, *words))
        beside: list[float] = []
        while not step.done():
            window = await measure(self._load)
            if not step.done() or not beside:
                beside.append(window.p95)
        await step
        return median(quiet), median(beside)


async def _backup(installation: Installation, *words: str) -> None:
    await installation.command("backup", *words, "--as", "bench", seconds=STEP_SECONDS)


async def _base_backup(installation: Installation, target: Path, *more: str) -> int:
    """As Barman runs it: the same role and options."""
    await _tool(
        installation,
        "pg_basebackup",
        *("--pgdata", str(target / "base"), "--wal-method", "none", "--checkpoint", "fast"),
        *more,
    )
    return size_of(target / "base")


async def _incremental(installation: Installation, target: Path) -> int:
    folder = installation.settings.backup_folder(installation.home)
    newest = records.read(folder).newest("full", "incremental")
    assert newest is not None
    manifest = folder / newest.path / "backup_manifest"
    return await _base_backup(installation, target, "--incremental", str(manifest))


async def _dump(installation: Installation, target: Path) -> int:
    file = target / "dump"
    await _tool(
        installation,
        "pg_dump",
        *("--dbname", postgres.DATABASE, "--format", "custom", "--compress", "gzip:3"),
        *("--file", str(file)),
        role=postgres.OWNER,
    )
    return file.stat().st_size


async def _tool(installation: Installation, program: str, *words: str, role: str = BACKUP) -> None:
    settings, home = installation.settings, installation.home
    result = await programs.arun(
        [
            server.programs(settings) / program,
            *("--host", str(home.postgres_socket), "--port", str(settings.port_of("postgres"))),
            *("--username", role, "--no-password", *words),
        ],
        timeout_seconds=STEP_SECONDS,
        variables={"PGPASSWORD": Secrets(home.secrets).postgres_password(role)},
        niceness=NICENESS,
    )
    result.checked()


def _dsn(installation: Installation) -> str:
    return postgres.dsn(installation.settings, installation.home, SUPERUSER)


async def _sql(installation: Installation, statement: str) -> None:
    async with postgres.connection(_dsn(installation)) as connection:
        await connection.execute(statement)


async def _counted(installation: Installation) -> tuple[int, int, int]:
    async with postgres.connection(_dsn(installation)) as connection:
        row = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM feed.posts), (SELECT count(*) FROM feed.follows),"
            " pg_database_size(current_database())"
        )
        assert row is not None
        return row[0], row[1], row[2]
