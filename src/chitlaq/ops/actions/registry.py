"""All actions, by the word that an operator types."""

from __future__ import annotations

from collections.abc import Mapping

from chitlaq.core.errors import OperatorError
from chitlaq.ops.actions import backup, cleanup, machine, postgres, routine, silences
from chitlaq.ops.actions.model import Action

ACTIONS: Mapping[str, Action] = {
    one.name: one
    for one in (
        machine.RESTART,
        silences.SILENCE,
        silences.UNSILENCE,
        postgres.KILL,
        postgres.ROLLBACK,
        machine.ROTATE,
        cleanup.PRUNE,
        postgres.VACUUM,
        machine.UPDATES,
        routine.RUN,
        backup.BACKUP,
        backup.RESTORE,
    )
}


def select(name: str, target: str) -> Action:
    """Return the action with this name, if its target is given exactly where it needs one.

    Raises:
        OperatorError: there is no such action, or its target is missing or superfluous.
    """
    if name not in ACTIONS:
        raise OperatorError(f"There is no action {name}; there are {', '.join(ACTIONS)}.")
    action = ACTIONS[name]
    if action.target and not target:
        raise OperatorError(f"{name} needs {action.target}: `chitlaq ops do {name} …`.")
    if target and not action.target:
        raise OperatorError(f"{name} takes no target: `chitlaq ops do {name}`.")
    return action
