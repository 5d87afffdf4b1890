"""Signing in without an account takes as long as with a wrong password."""

from __future__ import annotations

import re

from chitlaq.core import passwords

FORM = re.compile(r"(\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+)\$([^$]+)\$([^$]+)")


async def test_hash_that_stands_for_no_account_costs_what_any_costs() -> None:
    made = FORM.fullmatch(await passwords.hashed("any password"))
    kept = FORM.fullmatch(passwords.NOBODYS_HASH)
    assert made
    assert kept
    assert kept[1] == made[1]
    assert [len(part) for part in kept.groups()] == [len(part) for part in made.groups()]
    assert not passwords.needs_rehash(passwords.NOBODYS_HASH)


async def permitted() -> None:
    """No limit was reached."""


async def test_no_password_is_right_without_an_account() -> None:
    assert not await passwords.matches("", None, permitted)
    assert not await passwords.matches(passwords.NOBODYS_HASH, None, permitted)
