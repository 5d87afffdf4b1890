"""Chat through kills, stops and losses: what was acknowledged is seen by everybody, once and in order."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tests.conftest import (
    Member,
    Stack,
    become_member,
    eventually,
    short_form,
    start_stack,
    stop_stack,
)
from tests.services.websocket.chat.history import Record, faults

WORKERS = 2
SERVICE = "websocket"


@pytest.fixture(scope="module")
def pair_of_processes() -> Iterator[Stack]:
    stack = start_stack(CHITLAQ_WORKERS_WEBSOCKET=str(WORKERS))
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture
async def members(pair_of_processes: Stack, name: Callable[[], str]) -> AsyncIterator[list[Member]]:
    async with httpx.AsyncClient(base_url=pair_of_processes.gateway, timeout=20) as client:
        found = [await become_member(pair_of_processes, client, name()) for _ in range(4)]
        for other in found[1:]:
            # Else the conversation would be a request.
            await other.put(f"/api/users/{found[0].username}/follow")
        yield found


def processes(stack: Stack) -> list[int]:
    """The websocket processes, each with a socket of its own."""
    return [row["pid"] for row in stack.json("ps", "--json") if row["service"].startswith(SERVICE)]


class Client:
    """A device: it connects to one process, sends, and resumes after whatever happens."""

    def __init__(self, stack: Stack, member: Member, worker: int, record: Record) -> None:
        self.name = f"{member.username}@{worker}"
        self._member = member
        self._path = stack.home / "run" / f"{SERVICE}.{worker}.sock"
        self._record = record
        self._socket: ClientConnection | None = None
        self._acks: dict[str, asyncio.Future[None]] = {}
        self.conversations: list[str] = []

    @property
    def is_connected(self) -> bool:
        return self._socket is not None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            with suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with asyncio.timeout(5):
                    socket = await websockets.unix_connect(str(self._path), "ws://localhost/ws")
                async with socket:
                    await self._listen(socket)
            self._socket = None
            await asyncio.sleep(0.1)

    async def _listen(self, socket: ClientConnection) -> None:
        await socket.send(json.dumps({"type": "auth", "token": self._member.token}))
        seen = {one: len(self._seen(one)) for one in self.conversations}
        await socket.send(json.dumps({"type": "resume", "conversations": seen}))
        async for text in socket:
            frame = json.loads(text)
            match frame["type"]:
                case "resumed":
                    self._socket = socket
                case "message":
                    self._see(frame["conversation_id"], frame["seq"], frame["text"])
                case "ack":
                    place = frame["conversation_id"], frame["seq"]
                    self._see(*place, frame["client_id"])
                    self._acknowledge(frame["client_id"], *place)
                case "error" if "client_id" not in frame:
                    return
                case "error" if frame["status"] < 500:
                    self._record.refused.add(frame["client_id"])
                    self._finish(frame["client_id"])

    def _finish(self, text: str) -> None:
        if (waiting := self._acks.pop(text, None)) is not None and not waiting.done():
            waiting.set_result(None)

    def _seen(self, conversation: str) -> list[tuple[int, str]]:
        return self._record.seen[self.name, conversation]

    def _see(self, conversation: str, seq: int, text: str) -> None:
        seen = self._seen(conversation)
        # What comes before the answer to `resume` is repeated by it.
        if seq > len(seen) and (self._socket is not None or seq == len(seen) + 1):
            seen.append((seq, text))

    def _acknowledge(self, text: str, conversation: str, seq: int) -> None:
        self._record.acknowledged[text] = (conversation, seq)
        if (waiting := self._acks.pop(text, None)) is not None and not waiting.done():
            waiting.set_result(None)

    async def send(self, conversation: str, number: int) -> None:
        """Send until it is acknowledged or refused; the text is the client's own name for it, too."""
        text = f"{self.name}/{number}"
        done = self._acks[text] = asyncio.get_running_loop().create_future()
        frame = {"type": "send", "conversation_id": conversation, "text": text, "client_id": text}
        while not done.done():
            if (socket := self._socket) is not None:
                with suppress(websockets.ConnectionClosed):
                    await socket.send(json.dumps(frame))
            await asyncio.wait({done}, timeout=1)


@asynccontextmanager
async def load(
    stack: Stack, members: list[Member], pause_seconds: float = 0.05
) -> AsyncIterator[tuple[Record, list[Client]]]:
    """Everybody writes to everybody, from devices at both processes, until the block ends.

    Then all messages are sent to their end, and everybody has seen what was acknowledged.
    """
    record = Record()
    names = [member.username for member in members[1:]]
    body = {"kind": "group", "members": names, "name": "all"}
    group = (await members[0].post("/api/conversations", body)).json()["id"]
    body = {"kind": "direct", "members": names[:1]}
    pair = (await members[0].post("/api/conversations", body)).json()["id"]
    clients = [
        Client(stack, member, worker, record) for member in members for worker in range(WORKERS)
    ]
    for client in clients:
        client.conversations = (
            [group, pair]
            if client.name.startswith(tuple(one.username for one in members[:2]))
            else [group]
        )
    is_over = asyncio.Event()

    async def write(client: Client) -> None:
        for number in itertools.count():
            if is_over.is_set():
                return
            await client.send(client.conversations[number % len(client.conversations)], number)
            await asyncio.sleep(pause_seconds)

    async with asyncio.TaskGroup() as group_of_tasks:
        running = [group_of_tasks.create_task(client.run()) for client in clients]
        writing = [group_of_tasks.create_task(write(client)) for client in clients]
        await eventually(lambda: len(record.acknowledged) > 3 * len(clients))
        yield record, clients
        is_over.set()
        await asyncio.wait_for(asyncio.gather(*writing), 60)

        def have_all_seen_all() -> bool:
            latest: dict[str, int] = {}
            for of, seq in record.acknowledged.values():
                latest[of] = max(seq, latest.get(of, 0))
            return all(
                len(record.seen[client.name, one]) >= latest.get(one, 0)
                for client in clients
                for one in client.conversations
            )

        with suppress(TimeoutError):
            await asyncio.wait_for(eventually(have_all_seen_all), 20)
        for task in running:
            task.cancel()


def kill_process(stack: Stack) -> None:
    os.kill(processes(stack)[0], signal.SIGKILL)


def pid_of(stack: Stack, component: str) -> int:
    pid: int = stack.ps()[component]["pid"]
    return pid


def kill_valkey(stack: Stack) -> None:
    os.kill(pid_of(stack, "redis"), signal.SIGKILL)


def kill_postgres(stack: Stack) -> None:
    os.kill(pid_of(stack, "postgres"), signal.SIGKILL)


def restart_service(stack: Stack) -> None:
    stack.command("restart", SERVICE)


def freeze(component: str) -> Callable[[Stack], Any]:
    async def frozen(stack: Stack) -> None:
        pid = pid_of(stack, component) if component != SERVICE else processes(stack)[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(2)  # how long it stands still, not a wait for anything
        finally:
            os.kill(pid, signal.SIGCONT)

    return frozen


DISTURBANCES = {
    "kill a process": kill_process,
    "freeze a process": freeze(SERVICE),
    "kill Valkey": kill_valkey,
    "freeze Valkey": freeze("redis"),
    "kill PostgreSQL": kill_postgres,
    "restart the service": restart_service,
}


def stop_valkey(stack: Stack) -> int:
    pid = pid_of(stack, "redis")
    os.kill(pid, signal.SIGSTOP)
    return pid


async def test_message_reaches_other_processes_while_valkey_stands_still(
    pair_of_processes: Stack, members: list[Member]
) -> None:
    """Nothing follows it that would show that it was missed."""
    record = Record()
    body = {"kind": "direct", "members": [members[1].username]}
    conversation = (await members[0].post("/api/conversations", body)).json()["id"]
    clients = [
        Client(pair_of_processes, members[worker], worker, record) for worker in range(WORKERS)
    ]
    async with asyncio.TaskGroup() as group:
        for client in clients:
            client.conversations = [conversation]
        running = [group.create_task(client.run()) for client in clients]
        await eventually(lambda: all(client.is_connected for client in clients))
        seen = record.seen[clients[1].name, conversation]
        await clients[0].send(conversation, 1)
        await eventually(lambda: len(seen) == 1)
        frozen = stop_valkey(pair_of_processes)
        try:
            for count in range(2, 5):
                await clients[0].send(conversation, count)
                await eventually(lambda: len(seen) == count, 20)  # noqa: B023 - it is awaited here
        finally:
            os.kill(frozen, signal.SIGCONT)
            for task in running:
                task.cancel()
    assert list(faults(record))[:5] == []


@pytest.mark.parametrize(
    "what", short_form(DISTURBANCES, "kill a process", "kill Valkey", "kill PostgreSQL")
)
async def test_acknowledged_messages_survive(
    pair_of_processes: Stack, members: list[Member], what: str
) -> None:
    async with load(pair_of_processes, members) as (record, _):
        disturb = DISTURBANCES[what]
        if asyncio.iscoroutinefunction(disturb):
            await disturb(pair_of_processes)
        else:
            await asyncio.to_thread(disturb, pair_of_processes)
        before = len(record.acknowledged)
        await eventually(lambda: len(record.acknowledged) > before + 50)
    assert list(faults(record))[:5] == []
    await eventually(pair_of_processes.is_healthy)
