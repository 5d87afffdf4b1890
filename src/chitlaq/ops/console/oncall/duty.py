"""Who is on call at a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from chitlaq.ops.database.database import OpsDatabase, OpsDatabaseUnavailableError
from chitlaq.ops.escalation import escalation
from chitlaq.ops.escalation.escalation import NextStep
from chitlaq.ops.oncall import current, overrides, rotations
from chitlaq.ops.oncall.current import Current
from chitlaq.ops.oncall.roster import ON_CALL, Person
from chitlaq.ops.oncall.rotations import Override
from chitlaq.ops.state import OpsState


class Duty(msgspec.Struct, frozen=True):
    """The roster in effect, and who is told at each of its levels now.

    Args:
        overrides: who stands in, from now on; None if that cannot be read.
    """

    current: Current
    overrides: Sequence[Override] | None
    told: Mapping[str, list[Person]]

    @property
    def on_call(self) -> Sequence[Person]:
        """Who is told first."""
        return self.told.get(ON_CALL, ())

    async def next_steps(self, database: OpsDatabase, number: int) -> list[NextStep]:
        """Return what the escalation of an incident does next, and whom it tells."""
        return await escalation.next_steps(
            database, number, self.current.roster, self.overrides or ()
        )

    @property
    def is_configured(self) -> bool:
        return current.is_configured(self.current.roster)


async def now(state: OpsState) -> Duty:
    """Return who is on call now."""
    at = datetime.now(UTC)
    context = state.context
    found = await asyncio.to_thread(current.read, context.home, context.settings.operations)
    standing_in: Sequence[Override] | None
    try:
        standing_in = await overrides.listed(state.operations, at)
    except OpsDatabaseUnavailableError:
        standing_in = None
    told = {
        level: rotations.told(found.roster, standing_in or (), level, at)
        for level in found.roster.levels
    }
    return Duty(found, standing_in, told)
