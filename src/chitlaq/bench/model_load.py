"""Sessions as members live them: open, scroll, like, write, search, chat, close.

It runs as a separate process (``python -m chitlaq.bench.model_load``, a `ModelLoad` as JSON on stdin, an
`Outcome` as JSON on stdout), as `load` does. Everything goes through the gateway. Each request has a
connection of its own: members pause for longer than nginx keeps one.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import perf_counter

import msgspec
import uvloop

from chitlaq.bench.chat_clients import Tally, WebsocketClient
from chitlaq.bench.chat_load import HOST, OPENED_AT_ONCE, cpu_seconds
from chitlaq.core.host import http_client, programs

REQUEST_SECONDS = 20.0
START_SECONDS = 600.0
SOCKET_SECONDS = 30.0
JSON = "application/json"
PAGE = "/api/feed/home?limit=10"
OPENED = {
    "page": PAGE,
    "notifications": "/api/notifications?limit=10",
    "conversations": "/api/conversations",
}
"""What is asked for when a session begins."""


class Sessions(msgspec.Struct, frozen=True):
    """The model: how long a session lasts, and what its member does in it, as means.

    Besides, each begins with a page of the home feed, notifications, conversations and a socket.
    """

    seconds: float = 600.0
    """Ends are exponential: who is here for long stays no shorter."""
    page: float = 20.0
    """Further pages of the home feed, of ten posts."""
    like: float = 2.0
    post: float = 0.1
    search: float = 0.3
    message: float = 6.0
    history: float = 0.6
    """Conversations opened, with ten messages."""
    login: float = 0.05

    def actions(self) -> dict[str, float]:
        """How often each action occurs within a session, after its beginning."""
        return {
            name: count for name, count in msgspec.structs.asdict(self).items() if name != "seconds"
        }


class ModelLoad(msgspec.Struct, frozen=True):
    """What to do.

    Args:
        tokens: one for each session that is open at a time; neighbours (0 and 1, 2 and 3 …) chat.
        conversations: of each pair of neighbours.
        usernames: who signs in and is searched for.
        seconds: how long is measured, once all sessions are open.
        processes: of which the CPU time is measured, with their descendants, by name.
    """

    port: int
    sessions: Sessions
    tokens: Sequence[str]
    conversations: Sequence[str]
    usernames: Sequence[str]
    password: str
    seconds: float
    processes: Mapping[str, int]


class Kind(msgspec.Struct, frozen=True):
    """What became of one kind of action; latencies in milliseconds, of those that succeeded."""

    count: int
    p50: float
    p95: float


class Outcome(msgspec.Struct, frozen=True):
    seconds: float
    began: int
    """Sessions that began while it was measured; as many ended."""
    kinds: dict[str, Kind]
    refusals: dict[str, int]
    """By kind and status, or by what broke."""
    cpu_seconds: dict[str, float]


class _Socket(WebsocketClient):
    """A member's; that its session ends is no failure."""

    is_over = False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_over:
            super().connection_lost(exc)

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def close(self) -> None:
        self.is_over = True
        self._transport.close()


class _Page(msgspec.Struct):
    items: list[_Post]
    next_cursor: str | None = None


class _Post(msgspec.Struct):
    id: str


class _Run:
    """What all members share, and what is counted of them."""

    def __init__(self, load: ModelLoad) -> None:
        self.load = load
        self.chance = random.Random(0)  # noqa: S311 - no secret
        self.sockets = Tally()
        self.opening = asyncio.Semaphore(OPENED_AT_ONCE)
        self.forget()

    def forget(self) -> None:
        """Count from now on."""
        self.began = 0
        self.latencies: dict[str, list[float]] = {}
        self.refusals: Counter[str] = Counter()
        del self.sockets.latencies[:]
        self.sockets.errors.clear()

    async def ask(
        self, kind: str, method: str, target: str, token: str, body: object = None
    ) -> bytes:
        """Return the body of an answer, or nothing if it was refused; either is counted."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = b"" if body is None else msgspec.json.encode(body)
        if body is not None:
            headers["Content-Type"] = JSON
        started = perf_counter()
        try:
            answer = await http_client.request(
                method,
                f"http://{HOST}:{self.load.port}{target}",
                timeout_seconds=REQUEST_SECONDS,
                headers=headers,
                body=content,
            )
        except (OSError, TimeoutError) as error:
            self.refusals[f"{kind}: {type(error).__name__}"] += 1
            return b""
        if answer.status >= 400:
            self.refusals[f"{kind}: {answer.status}"] += 1
            return b""
        self.latencies.setdefault(kind, []).append(perf_counter() - started)
        return answer.body


class _Member:
    """Somebody whose sessions follow each other."""

    def __init__(self, run: _Run, number: int) -> None:
        load = run.load
        self._run = run
        self._token = load.tokens[number]
        self._conversation = load.conversations[number // 2]
        self._username = load.usernames[number % len(load.usernames)]
        self._posts: Sequence[_Post] = ()
        self._cursor: str | None = None
        self.is_in = asyncio.Event()

    async def live(self) -> None:
        """Have one session after the other, until cancelled."""
        while True:
            await self._session()

    async def _session(self) -> None:
        run, model = self._run, self._run.load.sessions
        async with run.opening:
            run.began += 1
            socket = await self._connect()
            for kind, target in OPENED.items():
                answer = await run.ask(kind, "GET", target, self._token)
                if kind == "page":
                    self._read(answer)
        self.is_in.set()
        actions = model.actions()
        names, weights = list(actions), list(actions.values())
        end = perf_counter() + run.chance.expovariate(1 / model.seconds)
        try:
            while True:
                pause = run.chance.expovariate(sum(weights) / model.seconds)
                left = end - perf_counter()
                if pause >= left:
                    await asyncio.sleep(max(left, 0))
                    return
                await asyncio.sleep(pause)
                (name,) = run.chance.choices(names, weights)
                await self._do(name, socket)
        finally:
            if socket:
                socket.close()

    async def _connect(self) -> _Socket | None:
        """Open the session's socket and sign in; None if that was refused, which is counted."""
        run = self._run
        client = _Socket(run.sockets, self._token, self._conversation, is_paced=True)
        started = perf_counter()
        try:
            async with asyncio.timeout(SOCKET_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: client, HOST, run.load.port
                )
                await client.ready
        except (OSError, TimeoutError) as error:
            run.refusals[f"socket: {type(error).__name__}"] += 1
            return None
        if not client.is_open:
            return None
        run.latencies.setdefault("socket", []).append(perf_counter() - started)
        return client

    async def _do(self, name: str, socket: _Socket | None) -> None:
        run, token = self._run, self._token
        match name:
            case "page":
                after = f"&cursor={self._cursor}" if self._cursor else ""
                self._read(await run.ask("page", "GET", PAGE + after, token))
            case "like" if self._posts:
                post = run.chance.choice(self._posts)
                await run.ask("like", "PUT", f"/api/posts/{post.id}/like", token)
            case "post":
                await run.ask(
                    "post", "POST", "/api/posts", token, {"text": "Room 1 is free. #library"}
                )
            case "search":
                begun = run.chance.choice(run.load.usernames)[:4]
                await run.ask("search", "GET", f"/api/search/users?q={begun}", token)
            case "history":
                target = f"/api/conversations/{self._conversation}/messages?limit=10"
                await run.ask("history", "GET", target, token)
            case "login":
                who = {"login": self._username, "password": run.load.password}
                await run.ask("login", "POST", "/api/auth/login", "", who)
            case "message" if socket and socket.is_open:
                socket.send()

    def _read(self, answer: bytes) -> None:
        if answer:
            page = msgspec.json.decode(answer, type=_Page)
            self._posts, self._cursor = page.items, page.next_cursor


async def measure(load: ModelLoad) -> Outcome:
    """Run the members in a separate process."""
    result = await programs.arun(
        [sys.executable, "-m", __name__],
        timeout_seconds=load.seconds + START_SECONDS,
        stdin=msgspec.json.encode(load),
    )
    return msgspec.json.decode(result.checked(), type=Outcome)


async def run(load: ModelLoad) -> Outcome:
    """Open all sessions, then count what happens for a while."""
    shared = _Run(load)
    members = [_Member(shared, number) for number in range(len(load.tokens))]
    living = [asyncio.create_task(one.live()) for one in members]
    try:
        await asyncio.gather(*(one.is_in.wait() for one in members))
        shared.forget()
        before, started = cpu_seconds(load.processes), perf_counter()
        await asyncio.sleep(load.seconds)
        seconds, after = perf_counter() - started, cpu_seconds(load.processes)
        failed = [task.exception() for task in living if task.done()]
        if failed:
            raise failed[0] or RuntimeError("a member left")
        kinds = shared.latencies | {"message": list(shared.sockets.latencies)}
        refusals = shared.refusals + Counter(shared.sockets.errors)
        return Outcome(
            round(seconds, 1),
            shared.began,
            {name: _kind(found) for name, found in sorted(kinds.items())},
            dict(sorted(refusals.items())),
            {name: round(after[name] - before[name], 2) for name in before},
        )
    finally:
        for task in living:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*living, return_exceptions=True)


def _kind(latencies: Sequence[float]) -> Kind:
    found = sorted(latencies)

    def quantile(share: float) -> float:
        return round(found[int(share * (len(found) - 1))] * 1000, 1) if found else 0.0

    return Kind(len(found), quantile(0.5), quantile(0.95))


def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=ModelLoad)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(load))))


if __name__ == "__main__":
    main()
