"""Which passwords may be chosen, what a refusal says, and how long the answer may take."""

from __future__ import annotations

import time

import pytest

from chitlaq.core.http.problems import Problem
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.passwords import policy
from tests.conftest import PASSWORD

OWNER = ("ada_k", "Ada Kaya Yıldız", "ada.kaya@cs.example.edu")
FULL_WIDTH = "".join(chr(ord(letter) + 0xFEE0) for letter in "password123")
ORIGIN = Origin(None, None, "")


async def reason(password: str) -> str:
    """Why a password is refused."""
    with pytest.raises(Problem) as refused:
        await policy.hashed(password, OWNER, ORIGIN, "password")
    assert refused.value.errors is not None
    assert set(refused.value.errors) == {"password"}
    return refused.value.errors["password"]


@pytest.mark.parametrize("password", ["12345678", "password", " " * 8, "e\u0301" * 9, "short one"])
async def test_short_password_is_refused_with_what_to_do(password: str) -> None:
    said = await reason(password)
    assert "at least 10 characters" in said
    assert "Four words" in said


@pytest.mark.parametrize(
    "password",
    [
        "1234567890", " " * 12, "passwordpassword", "Password123!", "p4$$w0rd2026", "qwertyuiop[]",
        "1q2w3e4r5t6y", "iloveyou123", "a" * 256, "Chitlaq2026", "ada_k2026!", "Yıldız1234",
        "!32enidaN123", "Fall2025!!", "Winter#2025#", "!2026.Welcome", "Sonbahar2025", "Besiktas1903!!",
        "Üniversite.2025",
        "yıldız.kaya", "ada.kaya@cs.example.edu", "example.edu1", FULL_WIDTH,
    ],
)  # fmt: skip
async def test_common_patterned_or_own_one_is_refused_with_what_to_do(password: str) -> None:
    said = await reason(password)
    assert "easy to guess" in said
    assert "Four words" in said


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "mavi bulut eski kapı",
        "正确的马电池订书钉天空",
        "🐎🔋🖇️🌩️🥖🪑🧦🪴🎈🧊",
        "xK9#mQ2$vL7p",
        "é" * 3 + "w0zp!kfh9",
        "8!3@9#2$7%4",
    ],
)
async def test_password_in_any_script_may_be_chosen(password: str) -> None:
    assert await policy.hashed(password, OWNER, ORIGIN)


async def test_estimate_of_the_worst_password_is_bounded() -> None:
    """Attacks the search for substitutions, which takes seconds of a long password that is made for it."""
    worst = "@4a8{[(<31i1|7$5"
    policy.is_guessable(PASSWORD, ())
    began = time.process_time()
    assert not policy.is_guessable(worst * 16, OWNER)
    long = time.process_time() - began
    began = time.process_time()
    policy.is_guessable((worst * 16)[: policy.EXAMINED_CHARACTERS], OWNER)
    assert long < 5 * (time.process_time() - began) + 0.05
