"""Have a process of its own carry out an action: it goes on, and ends its record, also when this one ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from chitlaq.core.host import programs
from chitlaq.core.installation.home import Home
from chitlaq.ops.actions import record
from chitlaq.ops.actions.model import ActionRecord
from chitlaq.ops.database.database import OpsDatabase, OpsDatabaseUnavailableError

POLL_SECONDS = 0.2
READ_BYTES = 1 << 16


async def carry_out(
    home: Home, begun: ActionRecord, say: Callable[[str], None], database: OpsDatabase
) -> ActionRecord:
    """Have `chitlaq ops do` carry out an action, tell what it says, and return its record."""
    await record.store(database, begun)
    # In memory: a pipe would break with this process, and the disk may be full.
    output = os.memfd_create("output")
    # No program takes this character.
    reason = begun.reason.replace("\0", " ")
    try:
        process = programs.start(
            [
                sys.executable, "-m", "chitlaq", "ops", "do", begun.action, "--yes",
                f"--why={reason}", "--as", begun.operator, "--recorded-as", str(begun.id),
                "--", begun.target,
            ],
            output=output,
            environment=os.environ | {"CHITLAQ_HOME": str(home.root), "NO_COLOR": "1"},
            death_signal=None,
        )  # fmt: skip
        told = b""
        while (code := process.poll()) is None or _has_more(output, told):
            new = os.pread(output, READ_BYTES, len(told))
            whole = new if code is not None else new[: new.rfind(b"\n") + 1]
            told += whole
            for line in whole.decode(errors="replace").splitlines():
                say(line)
            if not whole:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        os.close(output)
    said = told.decode(errors="replace")
    try:
        found = await record.find(database, begun.id)
    except OpsDatabaseUnavailableError:
        # Its own record waits for room on the disk.
        return record.ended(begun, said, succeeded=code == 0)
    if found is not None and found.ended_at is not None:
        return found
    done = record.ended(begun, f"{said}{programs.describe_exit(code)}", succeeded=False)
    await record.store(database, done)
    return done


def _has_more(output: int, told: bytes) -> bool:
    return os.fstat(output).st_size > len(told)
