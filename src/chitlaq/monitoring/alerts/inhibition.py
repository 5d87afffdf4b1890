"""Which alert explains which other, by the same rules by which Alertmanager inhibits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from chitlaq.monitoring.alerts import routing

_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"(.*)"')

Explanation = tuple[int, tuple[str, ...]]
"""The number of a rule, and the values of the labels that it wants equal."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label; one that is missing is empty."""

    label: str
    value: str
    pattern: re.Pattern[str] | None
    is_negated: bool

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.label, "")
        is_found = found == self.value if self.pattern is None else self.pattern.fullmatch(found)
        return bool(is_found) != self.is_negated


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert that matches ``source`` inhibits those that match ``target`` and have the same labels."""

    source: Sequence[Matcher]
    target: Sequence[Matcher]
    equal: Sequence[str]


@cache
def rules() -> Sequence[Rule]:
    """Return the rules of `routing`, as Alertmanager reads them."""
    return tuple(
        Rule(
            tuple(map(_matcher, one["source_matchers"])),
            tuple(map(_matcher, one["target_matchers"])),
            tuple(one.get("equal", ())),
        )
        for one in routing.inhibit_rules()
    )


def _matcher(text: str) -> Matcher:
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no matcher")
    label, operator, value = found.groups()
    pattern = re.compile(value) if operator.endswith("~") else None
    return Matcher(label, value, pattern, operator.startswith("!"))


def inhibits(labels: Mapping[str, str]) -> frozenset[Explanation]:
    """Return what this alert explains: every alert that is `inhibited` by one of these."""
    return _explanations(labels, [one.source for one in rules()])


def inhibited(labels: Mapping[str, str]) -> frozenset[Explanation]:
    """Return what would explain this alert."""
    return _explanations(labels, [one.target for one in rules()])


def _explanations(
    labels: Mapping[str, str], sides: Sequence[Sequence[Matcher]]
) -> frozenset[Explanation]:
    return frozenset(
        (number, tuple(labels.get(label, "") for label in rule.equal))
        for number, (rule, side) in enumerate(zip(rules(), sides, strict=True))
        if all(one.matches(labels) for one in side)
    )
