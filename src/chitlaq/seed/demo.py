"""Demo data as commands see it: what is there already, and what is asked for."""

from __future__ import annotations

from chitlaq.core.home import Home
from chitlaq.core.settings import Settings


async def at_first_start(settings: Settings, home: Home, members: int) -> None:
    pass
