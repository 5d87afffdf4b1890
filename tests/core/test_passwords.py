"""Passwords are compared as they are meant, and without an account in the same time."""

from __future__ import annotations

import asyncio
import re

import pytest
from argon2 import PasswordHasher

from chitlaq.core import passwords
from chitlaq.core.http.problems import Problem

FORM = re.compile(r"(\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+)\$([^$]+)\$([^$]+)")


async def test_hash_that_stands_for_no_account_costs_what_any_costs() -> None:
    made = FORM.fullmatch(await passwords.hashed("any password"))
    kept = FORM.fullmatch(passwords.NOBODYS_HASH)
    assert made
    assert kept
    assert kept[1] == made[1]
    assert [len(part) for part in kept.groups()] == [len(part) for part in made.groups()]
    assert not passwords.needs_rehash(passwords.NOBODYS_HASH)


async def test_no_password_is_right_without_an_account() -> None:
    assert not await passwords.matches("", None)
    assert not await passwords.matches(passwords.NOBODYS_HASH, None)


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("cafe\u0301 au lait noir", "caf\u00e9 au lait noir"),
        ("\ufb01ne \u2460 words", "fine 1 words"),
    ],
)
async def test_password_is_right_however_a_keyboard_writes_it(stored: str, typed: str) -> None:
    made = await passwords.hashed(stored)
    assert await passwords.matches(typed, made)
    assert await passwords.matches(stored, made)
    assert not await passwords.matches(f"{typed}.", made)


async def test_hash_of_a_password_that_was_not_normalized_keeps_working() -> None:
    older = PasswordHasher(time_cost=1, memory_cost=1_024, parallelism=1).hash("cafe\u0301 noir")
    assert await passwords.matches("cafe\u0301 noir", older)
    assert passwords.needs_rehash(older)


async def test_flood_is_refused_with_a_time_to_come_again() -> None:
    """And comparing for somebody else goes on meanwhile."""
    flood = [
        asyncio.create_task(passwords.matches("x", None, client="192.0.2.1")) for _ in range(200)
    ]
    await asyncio.sleep(0)
    assert not await passwords.matches("x", None, client="192.0.2.2")
    waiting = [one for one in flood if not one.done()]
    assert waiting, "who comes from elsewhere does not wait for all of them"
    for one in waiting:
        one.cancel()
    answers = await asyncio.gather(*flood, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, Problem)]
    assert len(refused) > 100
    assert {(one.status, one.retry_after_seconds) for one in refused} == {(503, 2)}
