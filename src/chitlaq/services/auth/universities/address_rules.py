"""Rules of a university: which of its addresses may register, and what they say about their owners.

A pattern is a whole address with ``*`` and ``?``, or a domain: ``cs.example.edu`` is ``*@cs.example.edu``.
It is said of a mailbox, so it also matches the mailbox's addresses with a tag: ``name+tag@example.edu``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from chitlaq.core import addresses

Kind = Literal["allow", "refuse", "department"]

LONGEST = 254
_PATTERN = re.compile(r"[a-z0-9_+'&~#$/^{}`.*?-]+@[a-z0-9.*?-]+")


class AddressRule(msgspec.Struct, frozen=True):
    """What is said of the addresses that match a pattern.

    Args:
        kind: if a university allows some addresses, it allows no other; what it refuses, it refuses
            in any case.
        pattern: as `checked_pattern` returns it.
        department: of the first rule that matches, if its kind is that.
    """

    kind: Kind
    pattern: str
    department: str = ""


def checked_pattern(text: str) -> str:
    """Return a pattern in the form in which it is compared.

    Raises:
        ValueError: it is none; the message says why.
    """
    local_part, at, domain = text.rpartition("@")
    if not re.search("[*?]", domain):
        domain = addresses.checked_domain(domain)
    pattern = f"{local_part if at else '*'}@{domain}".lower()
    if len(pattern) > LONGEST or not _PATTERN.fullmatch(pattern):
        raise ValueError(
            f"{text!r} is no pattern: write a domain, or an address with * and ?, such as s*@example.edu"
        )
    return pattern


def may_register(rules: Sequence[AddressRule], email: str) -> bool:
    """Whether a checked address may register at the university of these rules."""
    if any(one.kind == "refuse" and _matches(one, email) for one in rules):
        return False
    allowed = [one for one in rules if one.kind == "allow"]
    return not allowed or any(_matches(one, email) for one in allowed)


def department(rules: Sequence[AddressRule], email: str) -> str:
    """Return the department of a checked address; none if no rule says so."""
    matching = (
        one.department for one in rules if one.kind == "department" and _matches(one, email)
    )
    return next(matching, "")


def _matches(rule: AddressRule, email: str) -> bool:
    local_part, _, domain = email.rpartition("@")
    mailbox = f"{local_part.partition('+')[0]}@{domain}"
    return any(fnmatchcase(one, rule.pattern) for one in (email, mailbox))
