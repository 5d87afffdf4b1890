"""Times of two kinds of requests can be told apart, or not."""

from __future__ import annotations

import random

import pytest

from chitlaq.bench.accounts import mann_whitney


@pytest.mark.parametrize(
    ("ones", "others", "p"),
    # By SciPy's `mannwhitneyu(…, method="asymptotic")`.
    [
        ([1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 0.012186),
        ([1, 2, 2, 3, 5], [2, 3, 4, 4, 6], 0.241844),
        ([1, 1, 1], [1, 1, 1], 1.0),
    ],
)
def test_p_is_that_of_the_reference(ones: list[float], others: list[float], p: float) -> None:
    assert mann_whitney(ones, others) == pytest.approx(p, abs=1e-5)
    assert mann_whitney(others, ones) == pytest.approx(p, abs=1e-5)


def test_five_percent_more_are_seen_and_nothing_is_not() -> None:
    noise = random.Random(1)
    once, again, later = (
        [base * noise.lognormvariate(0, 0.1) for _ in range(300)] for base in (30, 30, 31.5)
    )
    assert mann_whitney(once, again) > 0.01
    assert mann_whitney(once, later) < 0.01
