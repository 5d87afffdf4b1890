"""Versions of ChitLaq, as ``1.2.0``."""

from __future__ import annotations

import re


def is_older(one: str, other: str) -> bool:
    """Whether a version came before another one."""
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
