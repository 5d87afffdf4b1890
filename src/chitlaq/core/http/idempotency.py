"""The header ``Idempotency-Key``: what is sent again under the same key happens once."""

from __future__ import annotations

from typing import Annotated

from litestar.params import HeaderParameter

from chitlaq.core.http import problems

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        max_length=200,
        description="Sending the same again with the same key does not make a second one.",
    ),
]


def required_valid(key: str | None) -> str | None:
    """Return the key.

    Raises:
        Problem: 422 for one that cannot be stored.
    """
    if key is not None and (not key or "\x00" in key):
        raise problems.invalid({"Idempotency-Key": "must be 1 to 200 characters without NUL"})
    return key
