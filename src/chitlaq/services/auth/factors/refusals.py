"""What is said to somebody whose second factor is missing or wrong."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from chitlaq.core.http.problems import Problem

KIND = "second-factor-required"


def second_factor_needed(factors: Iterable[str]) -> Problem:
    """Refuse a password that came alone."""
    return second_factor_required(
        "A second factor is needed: send a code of your app, a recovery code or a passkey's answer, too.",
        factors,
    )


def second_factor_required(detail: str, factors: Iterable[str]) -> Problem:
    """Refuse for want of a second factor, with the ways there are; recovery codes come with each."""
    return Problem(HTTPStatus.UNAUTHORIZED, detail, kind=KIND, methods=[*factors, "recovery_code"])
