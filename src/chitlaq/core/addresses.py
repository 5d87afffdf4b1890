"""Email addresses: which ones we write to.

A mail must go to the address that was checked and to no other, so everything is refused that a mail
library or a mail server could read as something else: encoded words (RFC 2047), quoted and
non-ASCII local parts, routes of old servers (``user%host@relay``, ``host!user``).

Addresses are compared in one form: lower case, and the domain as DNS has it (A-labels, RFC 5891), whatever
form of Unicode it was typed in.
"""

from __future__ import annotations

import re

# Dot-atoms (RFC 5322, 3.2.3) without "=" and "?" of encoded words, and without "%", "!" and "|".
_WORD = r"[A-Za-z0-9_+'&~#$*/^{}`-]+"
_LOCAL_PART = re.compile(rf"{_WORD}(?:\.{_WORD})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAMED = re.compile(r"(?P<name>[^<>@]*)<(?P<address>[^<>]*)>")
LONGEST_LOCAL_PART = 64
LONGEST = 254


def checked(text: str) -> str:
    """Return an address in the form that is stored, compared and written to.

    Raises:
        ValueError: it is not an address that we write to; the message says why.
    """
    local_part, at, domain = text.rpartition("@")
    if not at or not local_part or not domain:
        raise ValueError("must be an address such as name@example.edu")
    if not _LOCAL_PART.fullmatch(local_part):
        raise ValueError(
            "may have before the @ English letters, digits, single dots between them,"
            " and _ + - ' & ~ # $ * / ^ { } `"
        )
    try:
        address = f"{local_part.lower()}@{checked_domain(domain)}"
    except ValueError:
        raise ValueError("must have a domain such as example.edu after the @") from None
    if len(local_part) > LONGEST_LOCAL_PART or len(address) > LONGEST:
        raise ValueError(f"may be {LONGEST} characters long, and {LONGEST_LOCAL_PART} before the @")
    return address


def checked_domain(text: str) -> str:
    """Return a domain as DNS has it: ``Bücher.Example`` is ``xn--bcher-kva.example`` (UTS 46).

    Raises:
        ValueError: it is no domain; the message says why.
    """
    domain = text
    if not text.isascii() or "xn--" in text.lower():
        # Its tables are large, and most domains need none.
        import idna

        try:
            domain = idna.encode(text, uts46=True, std3_rules=True).decode()
        except idna.IDNAError as error:
            raise ValueError(f"must be a domain such as example.edu ({error})") from None
    if not _DOMAIN.fullmatch(domain):
        raise ValueError("must be a domain such as example.edu")
    return domain.lower()


def split_name(text: str) -> tuple[str, str]:
    """Return name and address of ``ChitLaq <no-reply@example.edu>``, or of an address alone.

    Raises:
        ValueError: it is neither.
    """
    named = _NAMED.fullmatch(text.strip())
    if named is None:
        return "", checked(text.strip())
    name = named["name"].strip().strip('"').strip()
    if not name.isprintable():
        raise ValueError("must have one line of visible characters before the address")
    return name, checked(named["address"].strip())
