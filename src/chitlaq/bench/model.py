"""The load model: what sessions of members cost, predicted from single measurements, and measured."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping

import msgspec
import psutil

from chitlaq import inventory
from chitlaq.bench import model_load, queries
from chitlaq.bench.chat import all_accounts, begin_conversations, sign_in_without_passwords
from chitlaq.bench.chat_load import cpu_seconds
from chitlaq.bench.feed import SEED_SECONDS
from chitlaq.bench.installation import Installation, installed
from chitlaq.bench.model_load import ModelLoad, Outcome, Sessions
from chitlaq.core.installation.secrets import Secrets

SECONDS = 60.0
REST_SECONDS = 20.0
USERNAMES = 200
MODEL = Sessions()

COSTS: Mapping[str, int] = {
    "page": 562,
    "notifications": 910,
    "conversations": 910,
    "like": 786,
    "post": 2_600,
    "search": 1_800,
    "message": 88,
    "history": 1_060,
    "login": 32_050,
}
"""CPU of an action in µs, all components together; docs/capacity.md says where each was measured."""


class Report(msgspec.Struct, frozen=True):
    cores: int
    load_average: float
    """Before anything was measured."""
    members: int
    sessions: int
    """Open at a time."""
    model: Sessions
    whole_sessions: float
    """So many whole ones were lived while it was measured."""
    outcome: Outcome
    milliseconds: dict[str, float]
    """CPU of a session by component, less what it takes at rest."""
    at_rest_milliseconds: dict[str, float]
    """CPU of a second in which nobody is there, by component."""
    predicted_milliseconds: float

    @property
    def measured_milliseconds(self) -> float:
        """CPU of a session, all components; the members' own is not in it."""
        return sum(self.milliseconds.values())


def predicted(model: Sessions, costs: Mapping[str, int] = COSTS) -> float:
    """Return the CPU of a session in milliseconds."""
    counts = model.actions()
    for name in model_load.OPENED:
        counts[name] = counts.get(name, 0.0) + 1
    return sum(costs[name] * count for name, count in counts.items()) / 1000


async def run(
    members: int, sessions: int, say: Callable[[str], None], model: Sessions = MODEL
) -> Report:
    """Measure on a temporary stack, which is always removed.

    Args:
        members: of the installation, at least as many as sessions.
        sessions: open at a time, an even number.
        say: gets what is done next.
        model: what is done in a session.

    Raises:
        OperatorError: a component did not start.
    """
    load_average = os.getloadavg()[0]
    sessions -= sessions % 2
    async with installed() as installation:
        say(f"{max(members, sessions)} members")
        await installation.start()
        await installation.command(
            "seed", "--members", str(max(members, sessions)), "--json", seconds=SEED_SECONDS
        )
        accounts = (await all_accounts(installation))[:sessions]
        pairs = list(zip(accounts[::2], accounts[1::2], strict=True))
        load = ModelLoad(
            installation.settings.port_of("api-gateway"),
            model,
            await sign_in_without_passwords(installation, accounts),
            await begin_conversations(installation, "direct", pairs),
            [name for _, name in await queries.some_members(installation, USERNAMES)],
            Secrets(installation.home.secrets).demo_password,
            SECONDS,
            await _watched(installation),
        )
        say(f"nobody, for {REST_SECONDS:.0f} s")
        before = cpu_seconds(load.processes)
        await asyncio.sleep(REST_SECONDS)
        after = cpu_seconds(load.processes)
        say(f"{sessions} sessions, for {SECONDS:.0f} s once all are open")
        outcome = await model_load.measure(load)
    rest = {name: (after[name] - before[name]) / REST_SECONDS for name in load.processes}
    whole = sessions * outcome.seconds / model.seconds
    return Report(
        os.cpu_count() or 1,
        round(load_average, 1),
        max(members, sessions),
        sessions,
        model,
        round(whole, 1),
        outcome,
        {
            name: round(
                1000 * (outcome.cpu_seconds[name] - rest[name] * outcome.seconds) / whole, 2
            )
            for name in rest
        },
        {name: round(1000 * seconds, 1) for name, seconds in rest.items()},
        round(predicted(model), 1),
    )


async def _watched(installation: Installation) -> dict[str, int]:
    """The process of each component; what ops-service does is not members' doing."""
    names = [row.name for row in (*inventory.FORWARDED, *inventory.SERVERS)]
    return {name: psutil.Process((await installation.pids(name))[0]).pid for name in names}
