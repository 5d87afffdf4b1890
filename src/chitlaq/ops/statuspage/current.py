"""The state of each component as members see it: a person's word, else maintenance, else what is measured."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.visible import one_line
from chitlaq.ops.actions import record
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.statuspage import maintenance
from chitlaq.ops.statuspage.components import COMPONENTS, State, selected


class ComponentStatus(msgspec.Struct, frozen=True):
    """One component as the page shows it.

    Args:
        state: what is shown.
        measured: what checks and alerts say, after hysteresis.
        since: when what is shown began, as far as that is known.
        set_by: who overrode what is measured, or None.
        maintenance: the number of the maintenance that is going on, or None.
    """

    id: str
    state: State
    measured: State
    since: datetime | None
    set_by: str | None = None
    maintenance: int | None = None


async def components(database: OpsDatabase, now: datetime | None = None) -> list[ComponentStatus]:
    """Return all components in the page's order.

    Raises:
        OpsDatabaseUnavailableError: they cannot be read.
    """
    now = now or datetime.now(UTC)
    measured = {row["component"]: row for row in await database.rows("component_states")}
    said = {row["component"]: row for row in await database.rows("component_overrides")}
    going_on = [one for one in await maintenance.listed(database, now) if one.is_on(now)]
    found = []
    for name in COMPONENTS:
        row = measured.get(name)
        state, since = State.OPERATIONAL, None
        if row is not None:
            state, since = State(row["state"]), datetime.fromisoformat(row["since"])
        work = next((one for one in going_on if name in one.components), None)
        shown = ComponentStatus(name, state, state, since)
        if name in said:
            shown = msgspec.structs.replace(
                shown,
                state=State(said[name]["state"]),
                since=datetime.fromisoformat(said[name]["set_at"]),
                set_by=said[name]["set_by"],
            )
        elif work is not None:
            shown = msgspec.structs.replace(
                shown, state=State.UNDER_MAINTENANCE, since=work.starts_at, maintenance=work.id
            )
        found.append(shown)
    return found


_WORDS = {"degraded": State.DEGRADED_PERFORMANCE, "maintenance": State.UNDER_MAINTENANCE}


def state_of(word: str) -> State:
    """Read a state: Statuspage's word, or ``degraded``, ``partial``, ``major``, ``maintenance``.

    Raises:
        OperatorError: it is none.
    """
    short = {one.value.partition("_")[0]: one for one in State} | _WORDS
    if word in short:
        return short[word]
    try:
        return State(word)
    except ValueError:
        raise OperatorError(
            f"There is no state {word}; there are {', '.join(State)}, and `clear` for what is measured."
        ) from None


async def set_by_person(
    database: OpsDatabase, names: list[str], state: State, operator: str
) -> list[str]:
    """Show a state whatever is measured, until it is cleared; return the components.

    Raises:
        OperatorError: there is no such component, or it cannot be stored.
    """
    chosen, now = selected(names), datetime.now(UTC)
    await database.write(
        *(statement("set_component", one, state, one_line(operator), now) for one in chosen),
        record.done("status set", f"{' '.join(chosen)} {state}", operator),
    )
    return chosen


async def clear(database: OpsDatabase, names: list[str], operator: str) -> list[str]:
    """Show what is measured again; return the components.

    Raises:
        OperatorError: there is no such component, or it cannot be stored.
    """
    chosen = selected(names)
    await database.write(
        *(statement("clear_component", one) for one in chosen),
        record.done("status set", f"{' '.join(chosen)} clear", operator),
    )
    return chosen
