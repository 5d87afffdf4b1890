"""Names that one person goes by: Bob is found as Robert, and Robert as Bob."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files


def _read() -> dict[str, frozenset[str]]:
    groups: dict[str, set[str]] = {}
    text = files(__package__).joinpath("nicknames.txt").read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, *short = line.split()
        groups.setdefault(name, set()).update(short)
        for one in short:
            groups.setdefault(one, set()).add(name)
    return {name: frozenset(others - {name}) for name, others in groups.items()}


NICKNAMES: Mapping[str, frozenset[str]] = _read()
"""By folded name, the others."""
