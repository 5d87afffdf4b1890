"""The languages that ChitLaq speaks, and which of them a client prefers."""

from __future__ import annotations

LANGUAGES = ("en", "tr")
"""The first is for who prefers none of them."""


def preferred(accept_language: str) -> str:
    """Return the language that a request's Accept-Language prefers (RFC 9110, 12.5.4)."""
    ranked = []
    for place, one in enumerate(accept_language.split(",")[:20]):
        tag, _, weight = one.strip().partition(";")
        language = tag.split("-")[0].strip().lower()
        if language in LANGUAGES:
            ranked.append((-_weight(weight), place, language))
    return min(ranked)[2] if ranked and min(ranked)[0] < 0 else LANGUAGES[0]


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
