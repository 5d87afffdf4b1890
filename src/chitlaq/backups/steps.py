"""Steps of backup jobs: each runs on its own, and a failure is reported without stopping the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from chitlaq.backups.catalog.records import ProofResult, Record
from chitlaq.backups.errors import InconclusiveError
from chitlaq.core.errors import OperatorError


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """The result of one step.

    Args:
        step: its name, such as ``verify full_20261124T023000``.
        is_good: it succeeded.
        detail: the result in one sentence.
        seconds: how long it took.
        is_finding: the step ran, and a bad outcome is its result: running it again finds the same.
        is_conclusive: the outcome describes the backup; else the backup could not be examined.
    """

    step: str
    is_good: bool
    detail: str
    seconds: float
    is_finding: bool = True
    is_conclusive: bool = True


OnOutcome = Callable[[StepOutcome], None]
"""Called after each step."""


class Steps:
    """Runs steps, and reports and collects their outcomes."""

    def __init__(self, on_outcome: OnOutcome) -> None:
        self.outcomes: list[StepOutcome] = []
        self._on_outcome = on_outcome

    def run(
        self, step: str, work: Callable[..., str], *args: object, is_finding: bool = True
    ) -> None:
        """Run a step; ``work`` returns the detail, and raises when it fails."""
        begun = monotonic()
        is_conclusive = True
        try:
            detail, is_good = work(*args), True
        except InconclusiveError as error:
            detail, is_good, is_conclusive = str(error), False, False
        except (OperatorError, OSError) as error:
            detail, is_good = str(error), False
        except Exception as error:
            # An unexpected error must not keep the remaining steps from running.
            detail, is_good = f"{type(error).__name__}: {error}", False
        seconds = monotonic() - begun
        self.add(StepOutcome(step, is_good, detail, seconds, is_finding, is_conclusive))

    def prove(self, verb: str, record: Record, work: Callable[[Record], ProofResult]) -> None:
        """Verify or drill a backup.

        Raises:
            OperatorError: it is not a backup of this kind.
        """
        step = f"{verb} {record.id}"
        try:
            result = work(record)
        except InconclusiveError as error:
            self.add(StepOutcome(step, False, str(error), 0.0, is_conclusive=False))
        else:
            self.add(StepOutcome(step, result.is_good, result.detail, result.seconds))

    def add(self, outcome: StepOutcome) -> None:
        self.outcomes.append(outcome)
        self._on_outcome(outcome)
