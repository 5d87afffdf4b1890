"""Ids that sort by time, as PostgreSQL's uuidv7() makes them, for code that must work without PostgreSQL."""

from __future__ import annotations

import secrets
import time
from uuid import UUID

_VERSION = 7 << 76 | 2 << 62


def uuid7_bytes(microseconds: int, random_bits: int) -> bytes:
    """Return a UUIDv7 (RFC 9562, 5.7) with its microseconds in ``rand_a``.

    Args:
        microseconds: since 1970-01-01 UTC; ids sort by them.
        random_bits: 62 bits.
    """
    milliseconds, rest = divmod(microseconds, 1000)
    fraction = rest * 4096 // 1000
    return (milliseconds << 80 | fraction << 64 | _VERSION | random_bits).to_bytes(16, "big")


def new() -> UUID:
    return UUID(bytes=uuid7_bytes(time.time_ns() // 1000, secrets.randbits(62)))
