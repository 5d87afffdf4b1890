"""Causes before symptoms: which problems of a run are explained by another one.

A check declares what it `stands_on`, and its outcome may say more exactly `because` of what it is bad. What
is explained keeps its verdict, but has no remedy of its own: mending the cause mends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chitlaq.ops.checks.model import WORST_FIRST, Check, CheckOutcome, Verdict


@dataclass(frozen=True, slots=True)
class Causes:
    """The outcomes of a run, by the id of their check."""

    checks: Mapping[str, Check]
    found: Mapping[str, CheckOutcome]

    def of(self, name: str, seen: frozenset[str] = frozenset()) -> str:
        """Return the check whose problem explains this one's; empty if none does."""
        outcome, seen = self.found[name], seen | {name}
        if not outcome.verdict.is_problem:
            return ""
        for ground in self._grounds(name, outcome):
            if ground not in seen:
                return self.of(ground, seen) or ground
        return ""

    def _grounds(self, name: str, effect: CheckOutcome) -> list[str]:
        """Return the problems that explain an effect's, what it names itself first."""
        below = [one for one in self.checks[name].stands_on if self._explains(one, effect)]
        # What judges the source that does not answer here may be this check itself.
        named = [one for one in effect.because if one != name]
        if not named:
            return below
        behind = [self._behind(one, effect) for one in named]
        if all(behind):
            return behind
        # What was seen needs all its reasons. Who saw nothing stands on more than what it named.
        return [] if effect.has_seen else below

    def _behind(self, name: str, effect: CheckOutcome) -> str:
        """Return a check that is named as the reason, or what it stands on if it looks well itself.

        A disk that stands still keeps a service waiting for a database that answers.
        """
        if name not in self.found:
            return ""
        if self.found[name].verdict.is_problem:
            return name
        bad = (one for one in self.checks[name].stands_on if self._explains(one, effect))
        return next(bad, "")

    def _explains(self, name: str, effect: CheckOutcome) -> bool:
        """Whether what an effect stands on is a problem, and as bad; any is, for one that saw nothing.

        That says nothing of how bad it is: whatever kept it from seeing may be a WARNING as yet.
        """
        ground = self.found.get(name)
        return (
            ground is not None
            and ground.verdict.is_problem
            and (
                not effect.has_seen
                or WORST_FIRST.index(ground.verdict) <= WORST_FIRST.index(effect.verdict)
            )
        )


def verdicts(found: Mapping[str, CheckOutcome], by: Mapping[str, str]) -> dict[str, Verdict]:
    """Return the verdicts; a cause is CRITICAL if what it explains is worse than itself.

    Args:
        found: the outcomes of a run.
        by: the cause of each that is explained.
    """
    final = {name: one.verdict for name, one in found.items()}
    for name, cause in by.items():
        if WORST_FIRST.index(found[name].verdict) < WORST_FIRST.index(final[cause]):
            final[cause] = Verdict.CRITICAL
    return final
