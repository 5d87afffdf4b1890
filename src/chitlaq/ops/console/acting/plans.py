"""Plans that operators were shown: each good for one use, for two minutes, and for who asked for it.

In memory only: what was planned before a restart of ops-service is planned anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.console.access.sessions import Session

LASTS_SECONDS = 120.0
MOST = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do to a target, as an operator was shown it."""

    id: UUID
    session_key: str
    action: Action
    target: str
    lines: Sequence[str]
    ends: float

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.ends - monotonic())

    @property
    def name(self) -> str:
        """What is typed to confirm: the target, or the action that has none."""
        return self.target or self.action.name


class PlanChangedError(OperatorError):
    """What was planned is no longer what would be done."""


class Plans:
    def __init__(self) -> None:
        self._plans: dict[UUID, Plan] = {}

    async def make(
        self, session: Session, action: Action, target: str, context: ActionContext
    ) -> Plan:
        """Plan an action.

        Raises:
            OperatorError: it cannot be planned, or there is nothing to do.
        """
        lines = await action.plan(context, target)
        if not lines:
            raise OperatorError(f"{action.title}: there is nothing to do.")
        self._plans = {key: one for key, one in self._plans.items() if one.seconds_left}
        if len(self._plans) >= MOST:
            del self._plans[next(iter(self._plans))]
        made = Plan(ids.new(), session.key, action, target, lines, monotonic() + LASTS_SECONDS)
        self._plans[made.id] = made
        return made

    def find(self, session: Session, identifier: UUID) -> Plan:
        """Return a plan that is still good.

        Raises:
            OperatorError: there is none, or not of this session.
        """
        found = self._plans.get(identifier)
        if found is None or found.session_key != session.key or not found.seconds_left:
            raise OperatorError(
                f"This plan is no longer good: it was used, or is older than {LASTS_SECONDS:g} s. Nothing was"
                " done; plan the action again."
            )
        return found

    async def take(self, session: Session, identifier: UUID, context: ActionContext) -> Plan:
        """Use a plan up, if what it describes is still so.

        Raises:
            PlanChangedError: it is not; the plan is used up all the same.
            OperatorError: as of `find`.
        """
        found = self.find(session, identifier)
        del self._plans[identifier]
        if not found.action.is_same(found.lines, await found.action.plan(context, found.target)):
            raise PlanChangedError(
                "The state has changed since this plan was made: nothing was done. Plan the action again, and"
                " look at what it would do now."
            )
        return found
