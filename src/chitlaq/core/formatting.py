"""Format numbers for people."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes: ``1.4 GB``."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= length:
            return f"{count / length:.3g} {unit}"
    return f"{count:.0f} B"


def duration(seconds: float) -> str:
    """Time: ``3 d``, ``2 h``, ``15 min``, ``1.2 s``, ``8 ms``."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def lasted(seconds: float) -> str:
    """How long something lasts or has lasted, in whole seconds: ``1 s`` for what has only begun."""
    return duration(max(1, round(seconds)))


def share(ratio: float) -> str:
    """A ratio: ``93 %``, ``0.2 %``."""
    return f"{ratio * 100:.3g} %"


def count(number: float, one: str, many: str = "") -> str:
    """``1 session``, ``3 sessions``."""
    return f"{number:,.0f} {one if number == 1 else many or one + 's'}"


def number(value: float) -> str:
    """A number: ``12,346``, ``0.123``."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def quantity(value: float, unit: str) -> str:
    """A value with its unit, for people."""
    if unit == "seconds":
        return duration(value)
    if unit == "bytes":
        return size(value)
    if unit == "ratio":
        return share(value)
    return f"{number(value)} {unit}".rstrip()
