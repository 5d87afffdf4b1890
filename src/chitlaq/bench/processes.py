"""Programs that the benchmark runs beside the stack: started together, and gone afterwards."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

READY_SECONDS = 15.0


@asynccontextmanager
async def running(
    commands: Sequence[Sequence[str]],
    socket: Path,
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[None]:
    """Run programs until the block ends; it begins when the socket and the port are listened on.

    Raises:
        RuntimeError: they did not listen in time, with what they said.
    """
    processes: list[asyncio.subprocess.Process] = []
    try:
        for command in commands:
            with log.open("ab") as output:
                processes.append(
                    await asyncio.create_subprocess_exec(
                        *command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        env=environment,
                    )
                )
        await _answering(socket, port, log)
        yield
    finally:
        for process in reversed(processes):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.wait()


async def _answering(socket: Path, port: int, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_unix_connection(str(socket))
                    writer.close()
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise RuntimeError(f"{socket.stem} did not start; it said: {_last_words(log)}") from None


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace").strip()[-500:]
