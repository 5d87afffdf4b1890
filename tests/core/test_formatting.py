"""Numbers as people read them."""

from __future__ import annotations

import pytest

from chitlaq.core.formatting import lasted


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "1 s"), (0.0438, "1 s"), (1.6, "2 s"), (89.6, "90 s"), (540, "9 min"), (7_200, "2 h")],
)
def test_what_has_only_begun_has_lasted_a_second(seconds: float, said: str) -> None:
    assert lasted(seconds) == said
