"""Processes that the benchmark runs next to the stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.logs.rotation import last_lines

READY_SECONDS = 60.0


@asynccontextmanager
async def running(
    commands: Sequence[Sequence[str]],
    socket: Path | None,
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Sequence[programs.RunningProgram]]:
    """Run programs until the block ends; it begins when the socket and the port accept connections.

    Raises:
        OperatorError: they did not in time; the message quotes their output.
    """
    started: list[programs.RunningProgram] = []
    try:
        for command in commands:
            with log.open("ab") as output:
                started.append(programs.start(command, output=output, environment=environment))
        await _answering(socket, port, log)
        yield started
    finally:
        for process in reversed(started):
            await asyncio.to_thread(programs.stop, process)


async def _answering(socket: Path | None, port: int, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                with suppress(OSError):
                    if socket is not None:
                        _, writer = await asyncio.open_unix_connection(str(socket))
                        writer.close()
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        said = " | ".join(last_lines(log, 3))
        raise OperatorError(f"{log.stem} did not start: {said}") from None
