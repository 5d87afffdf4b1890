"""What a provider's claims say of a person, by the rules of the operator."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from chitlaq.core import addresses
from chitlaq.core.http.schemas import require_name
from chitlaq.services.auth.accounts import usernames

Kind = Literal["department", "role"]

LONGEST_DISPLAY_NAME = 80
LONGEST_SUBJECT = 255
NUMBERED = 20
"""So many numbers are tried behind a name that is taken, then random ones."""


class ClaimRule(msgspec.Struct, frozen=True):
    """Whoever has a value of the claim that matches the pattern has this department or role.

    Args:
        kind: of the first rule for departments that matches, the value is taken; of those for roles, all are.
        claim: its name; dots lead into objects, ``realm_access.roles``.
        pattern: with ``*`` and ``?``.
        value: the department, or the role.
    """

    kind: Kind
    claim: str
    pattern: str
    value: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who has signed in at a provider.

    Args:
        subject: what the provider calls them for good.
        email: a checked address that the provider has verified, if there is one.
        username: what may be proposed for the account; it may be empty, or not allowed.
        has_second_factor: they proved who they are by more than a password.
        proved_at: when they did, in Unix seconds; None if the provider does not say it.
    """

    subject: str
    email: str | None
    username: str
    display_name: str
    language: str
    department: str
    roles: frozenset[str]
    has_second_factor: bool
    proved_at: float | None


def person(
    claims: Mapping[str, Any],
    rules: Sequence[ClaimRule],
    verified_claim: str,
    second_factors: Sequence[str],
) -> Person:
    """Return who claims are about.

    Raises:
        ValueError: they name nobody.
    """
    subject = claims.get("sub")
    if (
        not isinstance(subject, str)
        or not 0 < len(subject) <= LONGEST_SUBJECT
        or not subject.isprintable()  # PostgreSQL stores neither NUL nor lone surrogates
    ):
        raise ValueError("its ID token names nobody: the claim sub")
    wanted = _text(claims, "preferred_username").partition("@")[0]
    departments = [one.value for one in rules if one.kind == "department" and _holds(one, claims)]
    shown = {text for name in ("amr", "acr") for text in _texts(claims, name)}
    return Person(
        subject,
        _verified_address(claims, verified_claim),
        wanted,
        _display_name(claims) or wanted,
        "tr" if _text(claims, "locale").lower().startswith("tr") else "en",
        departments[0] if departments else "",
        frozenset(one.value for one in rules if one.kind == "role" and _holds(one, claims)),
        not shown.isdisjoint(second_factors),
        _proved_at(claims),
    )


def usernames_for(who: Person) -> Iterator[str]:
    """Yield names for an account that may be chosen, the best first, without end."""
    local_part = (who.email or "").partition("@")[0]
    for text in (who.username, local_part, who.display_name, "member"):
        name = _as_username(text)
        if name is not None:
            break
    assert name is not None
    yield name
    for number in range(2, NUMBERED):
        yield f"{name[: usernames.LONGEST - 3]}_{number}"
    while True:
        yield f"{name[: usernames.LONGEST - 7]}_{secrets.token_hex(3)}"


def _as_username(text: str) -> str | None:
    plain = unicodedata.normalize("NFKD", text.lower().replace("ı", "i"))
    plain = "".join(one for one in plain if not unicodedata.combining(one))
    name = re.sub("[^a-z0-9]+", "_", plain).strip("_")[: usernames.LONGEST].rstrip("_")
    try:
        return usernames.checked(name)
    except ValueError:
        return None


def _verified_address(claims: Mapping[str, Any], verified_claim: str) -> str | None:
    if verified_claim and claims.get(verified_claim) not in (True, "true", "1", 1):
        return None
    try:
        return addresses.checked(_text(claims, "email"))
    except ValueError:
        return None


def _display_name(claims: Mapping[str, Any]) -> str:
    name = _text(claims, "name") or (
        f"{_text(claims, 'given_name')} {_text(claims, 'family_name')}".strip()
    )
    name = name[:LONGEST_DISPLAY_NAME].strip()
    try:
        require_name("name", name)
    except ValueError:
        return ""
    return name


def _proved_at(claims: Mapping[str, Any]) -> float | None:
    moment = claims.get("auth_time")
    return max(0.0, min(moment, time.time())) if isinstance(moment, int) else None


def _holds(rule: ClaimRule, claims: Mapping[str, Any]) -> bool:
    return any(fnmatchcase(text, rule.pattern) for text in _texts(claims, rule.claim))


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.strip() if isinstance(value, str) and "\x00" not in value else ""


def _texts(claims: Mapping[str, Any], path: str) -> list[str]:
    """The values of a claim, whose name may have dots itself: ``https://example.edu/groups``."""
    value: Any = claims
    if path in claims:
        value = claims[path]
    else:
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]
