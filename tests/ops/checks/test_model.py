"""A verdict's sentence says why it is one."""

from __future__ import annotations

import pytest

from chitlaq.ops.checks.model import Value, Verdict, outcome

SLOW = Value(1.5, "seconds", 1.0, 5.0)
DEAD = Value(7.0, "seconds", 1.0, 5.0)
LOW = Value(0.5, "ratio", 0.9, 0.4)
FINE = Value(0.1, "seconds", 1.0, 5.0)


@pytest.mark.parametrize(
    ("summary", "values", "verdict", "expected"),
    [
        ("healthy", {"answer": FINE}, Verdict.OK, "healthy"),
        ("healthy", {"answer": SLOW}, Verdict.WARNING, "healthy; answer 1.5 s (WARNING from 1 s)"),
        (
            "healthy",
            {"first_answer": SLOW, "answer": DEAD},
            Verdict.CRITICAL,
            "healthy; answer 7 s (CRITICAL from 5 s)",
        ),
        ("hits", {"ratio": LOW}, Verdict.WARNING, "hits; ratio 50 % (WARNING up to 90 %)"),
        ("answered in 1.5 s", {"answer": SLOW}, Verdict.WARNING, "answered in 1.5 s"),
        ("up 11.5 s", {"answer": SLOW}, Verdict.WARNING, "up 11.5 s; answer 1.5 s (WARNING from 1 s)"),
    ],
)  # fmt: skip
def test_value_beyond_its_limit_is_named(
    summary: str, values: dict[str, Value], verdict: Verdict, expected: str
) -> None:
    found = outcome(summary, values)
    assert (found.verdict, found.summary) == (verdict, expected)


def test_sentence_of_another_reason_stays_as_it_is() -> None:
    found = outcome("the archive is lost", {"behind": SLOW}, least=Verdict.CRITICAL)
    assert (found.verdict, found.summary) == (Verdict.CRITICAL, "the archive is lost")
