"""The supervisor's side of its socket: reads commands line by line, and says what they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import to_text
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status


class CommandServer:
    """Serves the commands of this machine's operator.

    Args:
        home: the installation whose socket this is.
        obey: carries out a command, of which the connection is given, too, and returns the answer.
        statuses: the state of all components.
        step: what a command is at, if it takes several; else empty.
        leave: called with a connection that has ended.
        close: called when the terminal of an attached command was closed.
    """

    def __init__(
        self,
        home: Home,
        obey: Callable[[control.Command, asyncio.StreamWriter], Awaitable[control.Answer]],
        statuses: Callable[[], list[Status]],
        step: Callable[[], str],
        leave: Callable[[asyncio.StreamWriter], Awaitable[None]],
        close: Callable[[], None],
    ) -> None:
        self._home = home
        self._obey = obey
        self._statuses = statuses
        self._step = step
        self._leave = leave
        self._close = close
        self._running: set[asyncio.Task[tuple[control.Answer, bool]]] = set()

    async def open(self) -> asyncio.Server:
        """Listen, for nobody but our own user."""
        socket = self._home.control_socket
        server = await asyncio.start_unix_server(self._serve, str(socket), limit=control.MAX_LINE)
        self._home.control_socket.chmod(0o600)
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a command, line by line."""
        try:
            while line := await reader.readline():
                # It goes on if the client leaves.
                running = asyncio.create_task(self._answer(line, writer))
                self._running.add(running)
                running.add_done_callback(self._running.discard)
                while not (await asyncio.wait([running], timeout=control.PROGRESS_SECONDS))[0]:
                    writer.write(_line(control.Answer(waiting=self._waits_for())))
                    await writer.drain()
                answer, is_attached = running.result()
                writer.write(_line(answer))
                await writer.drain()
                if is_attached:
                    await reader.read()
                    self._close()
        except (OSError, ValueError):
            pass  # the client disconnected, or its line is too long
        finally:
            writer.close()
            await self._leave(writer)

    async def _answer(
        self, line: bytes, client: asyncio.StreamWriter
    ) -> tuple[control.Answer, bool]:
        try:
            command = control.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return control.Answer(error=f"Not a command: {error}"), False
        answer = await self._obey(command, client)
        return answer, isinstance(command, control.Attach) and not answer.error

    def _waits_for(self) -> str:
        """What a running command waits for, as far as it is known."""
        if step := self._step():
            return step
        unfinished = [
            f"{status.name} ({status.state}{', ' if status.reason else ''}{status.reason})"
            for status in self._statuses()
            if status.state in {"stopping", "starting", "waiting", "backoff"}
            or (status.state == "healthy" and status.reason)
        ]
        return ", ".join(unfinished) or "it to finish"


def _line(answer: control.Answer) -> bytes:
    # The socket is its owner's alone.
    return msgspec.json.encode(answer, enc_hook=to_text) + b"\n"
