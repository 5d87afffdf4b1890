"""Jobs: work after a commit, at least once, by any process of the service that runs its kind.

A job is a row of ``jobs.jobs``, written in the caller's transaction. A process claims due jobs with
``FOR UPDATE SKIP LOCKED`` and holds each by a lease that it renews; when it is killed, the lease
ends and another process takes the job. A lease rather than a row lock: no transaction stays open
while a job runs, and an attempt counts even when it kills its process. PostgreSQL is polled once a
second; the process that enqueued a job may run it at once, and who runs a kind that ``is_prompt`` is
woken when another process enqueues one (`wake_ups`).
Jobs of a kind with many small ones are taken in batches, which share a transaction.
Figures: docs/decisions/0005-jobs.md.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from chitlaq.core import ids, tasks
from chitlaq.core.data import valkey
from chitlaq.core.data.batching import Batcher
from chitlaq.core.data.postgres import Database, PostgresUnavailableError, Session
from chitlaq.core.data.valkey import Script, Valkey
from chitlaq.core.data.wake_ups import WakeUps
from chitlaq.core.telemetry import logs, metrics

POLL_SECONDS = 1.0
# Whoever is woken again and again looks this often: jobs that come meanwhile share a batch.
WOKEN_SECONDS = 0.25
RENEW_SECONDS = 1.5
# Jobs of one kind that one process runs at once, unless the kind's limit is lower.
AT_ONCE = 8
# Running jobs get this long at shutdown; then another process starts them again.
DRAIN_SECONDS = 10.0
JITTER = 0.25

RESULTS = ("done", "failed", "postponed", "dead")

# May be an outage, or a job whose own command fails each time: `Runner._is_outage` asks.
_UNAVAILABLE = (*valkey.UNAVAILABLE, PostgresUnavailableError)
PROBE_SECONDS = 1.0
# Of a cluster, every node is asked: they are spread over all.
_PROBED = [b"jobs:probe:" + valkey.hash_tag(number) for number in range(valkey.HASH_TAGS)]
_PROBE = Script("for _, key in ipairs(KEYS) do redis.call('SET', key, '', 'PX', 1000) end")

log = logs.get("jobs")

P = TypeVar("P", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class JobKind(Generic[P]):
    """A kind of job, declared beside its handler.

    Args:
        name: as in the table, in policies and in metrics.
        payload: what its handler gets; a newer version of it must read what an older one wrote.
        version: raise it when older processes cannot read the payload; they skip such jobs.
        timeout_seconds: an attempt that takes longer is cancelled and counts as failed.
        limit: the most that run at once over all processes. `Runner.run_now` cannot run such a job.
        max_attempts: after this many failures a job is dead.
        first_pause_seconds: before the second attempt; doubles with each one after that.
        longest_pause_seconds: the upper bound of the doubling.
        batch: how many a `BatchHandler` gets at once; a process handles one batch after the other.
        is_prompt: whoever writes one wakes a process that runs it; else it is found by the next poll.
    """

    name: str
    payload: type[P]
    version: int = 1
    timeout_seconds: float = 300.0
    limit: int | None = None
    max_attempts: int = 20
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 3600.0
    batch: int = 1
    is_prompt: bool = False

    def pause_seconds(self, attempts: int, chance: float) -> float:
        """Return the pause after this many attempts, with jitter of ±25 % by ``chance`` (0 to 1)."""
        doubled = self.first_pause_seconds * 2.0 ** min(attempts - 1, 60)
        return min(doubled, self.longest_pause_seconds) * (1 + JITTER * (2 * chance - 1))


class LeaseLostError(Exception):
    """The job took longer than its lease and belongs to another process now."""


class Job:
    """One attempt at a job. ``attempts`` only grows: with the id, it is the fence against others."""

    __slots__ = ("_database", "attempts", "counted", "id", "is_done", "request_id", "started")

    def __init__(
        self, database: Database, job_id: UUID, attempts: int, counted: int, request_id: str
    ) -> None:
        self._database = database
        self.id = job_id
        self.attempts = attempts
        self.counted = counted
        self.request_id = request_id
        self.is_done = False
        self.started = perf_counter()

    @asynccontextmanager
    async def completing(self) -> AsyncIterator[Session]:
        """Open the transaction that ends the job: what is written in it happens exactly once.

        Raises:
            LeaseLostError: another process has the job; nothing was written.
        """
        async with self._database.transaction() as session:
            if not await session.execute("finish_jobs", [self.id], [self.attempts]):
                raise LeaseLostError
            yield session
        self.is_done = True


@dataclass(frozen=True, slots=True)
class Batch(Generic[P]):
    """Jobs of a kind that are handled at once. Of a batch that fails, each is a batch of its own then.

    A handler may complete it in `parts`, one after the other: what is completed stays so.
    """

    jobs: Sequence[Job]
    payloads: Sequence[P]

    def parts(self, work_of: Callable[[P], int], most: int) -> Iterator[Batch[P]]:
        """Yield batches of as much work as ``most``, or of a single job that is more."""
        start = work = 0
        for at, payload in enumerate(self.payloads):
            more = work_of(payload)
            if at > start and work + more > most:
                yield Batch(self.jobs[start:at], self.payloads[start:at])
                start, work = at, 0
            work += more
        yield Batch(self.jobs[start:], self.payloads[start:])

    @asynccontextmanager
    async def completing(self) -> AsyncIterator[Session]:
        """Open the transaction that ends all of the jobs: what is written in it happens exactly once.

        Raises:
            LeaseLostError: another process has one of them; nothing was written.
        """
        async with self.jobs[0]._database.transaction() as session:
            ids_, attempts = [job.id for job in self.jobs], [job.attempts for job in self.jobs]
            if await session.execute("finish_jobs", ids_, attempts) < len(self.jobs):
                raise LeaseLostError
            yield session
        for job in self.jobs:
            job.is_done = True


@dataclass(frozen=True, slots=True)
class Handler(Generic[P]):
    """Handles jobs of a kind. It must be idempotent: a crash repeats a job."""

    kind: JobKind[P]
    work: Callable[[Job, P], Awaitable[None]]

    async def handle(self, jobs: Sequence[Job], payloads: Sequence[P]) -> None:
        for job, payload in zip(jobs, payloads, strict=True):
            await self.work(job, payload)


@dataclass(frozen=True, slots=True)
class BatchHandler(Generic[P]):
    """Handles jobs of a kind many at once. It must write in `Batch.completing` only."""

    kind: JobKind[P]
    work: Callable[[Batch[P]], Awaitable[None]]

    async def handle(self, jobs: Sequence[Job], payloads: Sequence[P]) -> None:
        await self.work(Batch(jobs, payloads))


async def enqueue(
    session: Session, kind: JobKind[P], payload: P, *, delay_seconds: float = 0.0
) -> UUID:
    """Write a job in the caller's transaction; some process runs it after the commit.

    A statement may also insert into ``jobs.jobs`` itself, as ``insert_post`` does.
    """
    job_id = ids.new()
    encoded = msgspec.json.encode(payload).decode()
    request_id = logs.request_id()
    await session.execute(
        "enqueue_job", job_id, kind.name, kind.version, encoded, request_id, delay_seconds
    )
    if kind.is_prompt and not delay_seconds:
        session.job_kinds |= {kind.name}
    return job_id


class Runner:
    """Runs the jobs of a process. What one of them raises delays no other.

    Args:
        database: where the jobs are.
        handlers: one for each kind that the process runs.
        client: the Valkey that the handlers use, if they do; its outages do not count.
        wake_ups: where to hear of new jobs of kinds that are prompt.
    """

    def __init__(
        self,
        database: Database,
        *handlers: Handler[Any] | BatchHandler[Any],
        client: Valkey | None = None,
        wake_ups: WakeUps | None = None,
    ) -> None:
        self._database = database
        self._client = client
        self._wake_ups = wake_ups
        self._woken = asyncio.Event()
        self._handlers = {handler.kind.name: handler for handler in handlers}
        self._under_way: dict[asyncio.Task[None], tuple[JobKind[Any], Sequence[Job]]] = {}
        self._finishing = Batcher(self._finish)
        self._paused_until: dict[str, float] = {}
        for name in self._handlers:
            metrics.initialize(metrics.JOBS, *((name, result) for result in RESULTS))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Claim jobs until the block ends; then finish the running ones."""
        async with tasks.running(self._renew_forever):
            async with tasks.running(self._poll_forever, self._listen_forever):
                yield
            await self._drain()

    async def run_now(
        self, kind: JobKind[P], job_id: UUID, payload: P, patience_seconds: float
    ) -> None:
        """Run a job that was committed as running; return when it is done or patience ends.

        The caller's statement inserts it with ``state = 'running'``, ``attempts = 1`` and
        ``due_at = jobs.lease()``, which saves the claim.
        """
        job = Job(self._database, job_id, 1, 1, logs.request_id())
        task = self._start(kind, [job], self._run(kind, job, payload))
        await asyncio.wait({task}, timeout=patience_seconds)

    async def _listen_forever(self) -> None:
        kinds = [name for name, handler in self._handlers.items() if handler.kind.is_prompt]
        if self._wake_ups is not None and kinds:
            await self._wake_ups.listen_forever(kinds, self._woken)

    async def _poll_forever(self) -> None:
        while True:
            # Before looking: what is committed from here on wakes again.
            self._woken.clear()
            looked_at = perf_counter()
            try:
                is_more = await self._claim_due()
            except PostgresUnavailableError as error:
                log.warning("jobs wait for the database", error=str(error))
                is_more = False
            if not is_more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._woken.wait()
                        await asyncio.sleep(WOKEN_SECONDS - (perf_counter() - looked_at))
            elif self._under_way:
                await asyncio.wait(
                    self._under_way, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )

    async def _claim_due(self) -> bool:
        """Start due jobs within the limits; return whether more may be due."""
        now = asyncio.get_running_loop().time()
        kinds = [
            handler.kind
            for name, handler in self._handlers.items()
            if self._paused_until.get(name, now) <= now
        ]
        if not kinds:
            return False
        names, versions = [kind.name for kind in kinds], [kind.version for kind in kinds]
        is_more = False
        for row in await self._database.rows("due_kinds", names, versions):
            kind = self._handlers[row["kind"]].kind
            try:
                is_more |= await self._claim(kind)
            except PostgresUnavailableError:
                raise
            except Exception as error:
                log.error("jobs not claimed", kind=kind.name, fault=error)
        return is_more

    async def _claim(self, kind: JobKind[Any]) -> bool:
        under_way = sum(other is kind for other, _ in self._under_way.values())
        free = AT_ONCE - under_way if kind.batch == 1 else 0 if under_way else kind.batch
        if free <= 0:
            return True
        open_session = self._database.session if kind.limit is None else self._database.transaction
        async with open_session() as session:
            if kind.limit is not None:
                # Counting and claiming must not cross those of another process.
                if not await session.value("try_lock_kind", kind.name):
                    return False
                free = min(free, kind.limit - await session.value("count_running", kind.name))
            if free <= 0:
                return False
            rows = await session.rows("claim_jobs", kind.name, kind.version, free)
        claimed = [
            (Job(self._database, each["id"], each["attempts"], each["counted"], each["request_id"]),
             each["payload"])
            for each in rows
        ]  # fmt: skip
        if kind.batch > 1 and claimed:
            jobs = [job for job, _ in claimed]
            with logs.request_context(jobs[0].request_id):
                self._start(kind, jobs, self._run_together(kind, claimed))
            return len(rows) == free
        for job, payload in claimed:
            with logs.request_context(job.request_id):
                self._start(kind, [job], self._run(kind, job, payload))
        return len(rows) == free

    def _start(
        self, kind: JobKind[Any], jobs: Sequence[Job], running: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        task = asyncio.create_task(running)
        self._under_way[task] = (kind, jobs)
        task.add_done_callback(self._under_way.pop)
        return task

    async def _run_together(
        self, kind: JobKind[Any], claimed: Sequence[tuple[Job, msgspec.Struct | str]]
    ) -> None:
        """Run jobs in one transaction, or one by one if that fails: a faulty one delays no other.

        Those that were tried before are run alone: one of them may be why their process exited.
        """
        new = [each for each in claimed if each[0].counted == 1]
        if len(new) > 1:
            started = perf_counter()
            try:
                await self._attempt(kind, new)
            except Exception as error:
                if await self._is_outage(error):
                    self._pause(kind)
                    log.warning("jobs postponed", kind=kind.name, jobs=len(new), error=_said(error))
                    await self._release([job for job, _ in claimed])
                    done = sum(job.is_done for job, _ in new)
                    metrics.JOBS.labels(kind.name, "done").inc(done)
                    metrics.JOBS.labels(kind.name, "postponed").inc(len(new) - done)
                    return
                log.warning(
                    "jobs failed together", kind=kind.name, jobs=len(new), error=_said(error)
                )
            else:
                metrics.JOBS.labels(kind.name, "done").inc(len(new))
                metrics.JOB_DURATION.labels(kind.name).observe(perf_counter() - started)
        for job, payload in claimed:
            if not job.is_done:
                with logs.request_context(job.request_id):
                    await self._run(kind, job, payload)

    async def _run(self, kind: JobKind[Any], job: Job, payload: msgspec.Struct | str) -> None:
        result = "done"
        try:
            await self._attempt(kind, [(job, payload)])
        except LeaseLostError:
            log.warning("job taken over by another process", job_id=job.id, kind=kind.name)
            return
        except Exception as error:
            result = "failed" if job.counted < kind.max_attempts else "dead"
            if await self._is_outage(error):
                result = "postponed"
                self._pause(kind)
            await self._put_back(kind, job, error, result)
        metrics.JOBS.labels(kind.name, result).inc()
        metrics.JOB_DURATION.labels(kind.name).observe(perf_counter() - job.started)

    def _pause(self, kind: JobKind[Any]) -> None:
        self._paused_until[kind.name] = asyncio.get_running_loop().time() + POLL_SECONDS

    async def _is_outage(self, error: Exception) -> bool:
        """Whether what the attempt needed is down still; otherwise the fault is the job's, and counts.

        Valkey is asked to write: when its memory or disk is full it refuses that, and only that.
        """
        if not isinstance(error, _UNAVAILABLE):
            return False
        try:
            if isinstance(error, PostgresUnavailableError):
                await self._database.ping(PROBE_SECONDS)
            elif self._client is not None:
                await self._client.run_for_each(_PROBE, _PROBED)
        except _UNAVAILABLE:
            return True
        return False

    async def _attempt(
        self, kind: JobKind[Any], claimed: Sequence[tuple[Job, msgspec.Struct | str]]
    ) -> None:
        jobs = [job for job, _ in claimed]
        if any(job.counted > kind.max_attempts for job in jobs):
            raise RuntimeError("each process that ran it exited before the job finished")
        payloads = [
            msgspec.json.decode(payload, type=kind.payload) if isinstance(payload, str) else payload
            for _, payload in claimed
        ]
        try:
            async with asyncio.timeout(kind.timeout_seconds) as limit:
                await self._handlers[kind.name].handle(jobs, payloads)
        except TimeoutError as error:
            if limit.expired():
                raise RuntimeError(f"not done within {kind.timeout_seconds:g} s") from error
            raise
        except Exception:
            raise
        except BaseException as error:
            # SystemExit and its like would end the process, and with it every other job.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError):
                if task is None or task.cancelling():
                    raise
                raise RuntimeError("its handler cancelled itself") from error
            raise RuntimeError(f"its handler raised {type(error).__name__}") from error
        for job in jobs:
            if not job.is_done:
                await self._finishing.ask(job)

    async def _finish(self, jobs: Sequence[Job]) -> Sequence[None]:
        async with self._database.session() as session:
            await session.execute(
                "finish_jobs", [job.id for job in jobs], [job.attempts for job in jobs]
            )
        return [None] * len(jobs)

    async def _put_back(self, kind: JobKind[Any], job: Job, error: Exception, result: str) -> None:
        """Store why an attempt failed and when the next one is due, if any."""
        uncounted = int(result == "postponed")
        counted = job.counted - uncounted
        reason = _said(error)
        about = {"job_id": job.id, "kind": kind.name, "attempts": counted}
        if result == "dead":
            log.error("job dead", fault=error, **about)
        else:
            log.warning("job failed", error=reason, **about)
        state = "dead" if result == "dead" else "waiting"
        pause = kind.pause_seconds(max(counted, 1), random.random())  # noqa: S311 - no secret
        try:
            async with self._database.session() as session:
                await session.execute(
                    "put_back_job", job.id, job.attempts, state, pause, reason, uncounted
                )
        except PostgresUnavailableError as fault:
            log.warning("job stays until its lease ends", error=str(fault), **about)
        except Exception as fault:
            log.error("job stays until its lease ends", fault=fault, **about)

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            since = perf_counter() - RENEW_SECONDS
            held = [
                job
                for _, jobs in self._under_way.values()
                for job in jobs
                if job.started < since and not job.is_done
            ]
            if not held:
                continue
            try:
                async with self._database.session() as session:
                    await session.execute(
                        "renew_jobs", [job.id for job in held], [job.attempts for job in held]
                    )
            except PostgresUnavailableError as error:
                log.warning("leases not renewed", jobs=len(held), error=str(error))

    async def _drain(self) -> None:
        """Let running jobs finish; release those that do not in time to another process."""
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=DRAIN_SECONDS)
        if not late:
            return
        given_up = [job for task in late for job in self._under_way.get(task, ((), ()))[1]]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._release(given_up)

    async def _release(self, jobs: Sequence[Job]) -> None:
        """Let any process take these jobs; without PostgreSQL, their leases expire."""
        with suppress(PostgresUnavailableError):
            async with self._database.session() as session:
                await session.execute(
                    "release_jobs", [job.id for job in jobs], [job.attempts for job in jobs]
                )


def _said(error: Exception) -> str:
    """What an exception says, as text that can be stored, whatever it is; without secrets, as in a log."""
    try:
        text = str(error)
    except Exception:
        text = ""
    storable = logs.redacted((text or type(error).__name__).encode(errors="backslashreplace"))
    return storable.decode()[:1000].replace("\x00", "")
