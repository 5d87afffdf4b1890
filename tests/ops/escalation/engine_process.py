"""An engine in a process of its own, which kills itself at a step: ``python -m … HOME SMTP_PORT [STEP]``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings, Smtp
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.escalation import pages, planning
from chitlaq.ops.escalation.engine import Engine
from chitlaq.ops.oncall import channels


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(function: Callable[..., Any]) -> Callable[..., Any]:
    def killed(*args: Any, **options: Any) -> Any:
        die()
        return function(*args, **options)

    return killed


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    async def killed(*args: Any, **options: Any) -> Any:
        await function(*args, **options)
        die()

    return killed


def within_commit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Die when all is written and nothing committed."""

    def killed(*args: Any, **options: Any) -> Any:
        function(*args, **options)
        die()

    return killed


# What is replaced, and when the process dies around it.
STEPS: dict[str, Callable[[], None]] = {
    "before the plan is committed": lambda: setattr(
        planning, "advance", within_commit(planning.advance)
    ),
    "after the plan": lambda: setattr(Engine, "_send", before(Engine._send)),
    "before the claim is committed": lambda: setattr(
        Engine, "_claim", within_commit(Engine._claim)
    ),
    "after the claim": lambda: setattr(channels, "send", before(channels.send)),
    "after sending": lambda: setattr(channels, "send", after(channels.send)),
    "before the end is committed": lambda: setattr(pages, "ends", within_commit(pages.ends)),
    "after the end": lambda: setattr(Engine, "_end", after(Engine._end)),
}


async def main(home: str, smtp_port: str, step: str = "") -> None:
    if step:
        STEPS[step]()
    settings = Settings(smtp=Smtp(host="127.0.0.1", port=int(smtp_port), start_tls=False))
    with OpsDatabase(Home(Path(home)), is_keeper=True) as database:
        await Engine(Home(Path(home)), settings, database, asyncio.Event()).run_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
