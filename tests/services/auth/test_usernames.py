"""Names: what nobody may choose, because others would take it for somebody else's."""

from __future__ import annotations

import httpx
import pytest

from chitlaq.services.auth.accounts import usernames
from tests.conftest import PASSWORD, Stack

ALIKE = [
    ("anna", "anna_"),
    ("anna_bell", "anna__bell"),
    ("oscar", "0scar"),
    ("lily", "1i1y"),
    ("ilya", "lIya"),
    ("marnie", "mamie"),
    ("wendy", "vvendy"),
]
DIFFERENT = [("anna", "ana"), ("anna_bell", "annabell"), ("dora", "clora"), ("seven7", "seven1")]


async def test_database_and_program_agree_on_what_looks_alike(stack: Stack) -> None:
    names = [name.lower() for pair in (*ALIKE, *DIFFERENT) for name in pair]
    rows = await stack.sql(
        "SELECT auth.skeleton(name) AS skeleton FROM unnest($1::text[]) AS name", names
    )
    assert [row["skeleton"] for row in rows] == [usernames.skeleton(name) for name in names]
    for one, other in ALIKE:
        assert usernames.skeleton(one) == usernames.skeleton(other), (one, other)
    for one, other in DIFFERENT:
        assert usernames.skeleton(one) != usernames.skeleton(other), (one, other)


@pytest.mark.parametrize(
    "name",
    [
        "ab", "a" * 21, "____", "ad\u0430_in_cyrillic", "\u212aelvin", "a-b", "a b", "",
        "admin", "ADMIN", "adm1n", "_root_", "rnoderator", "settings",
    ],
)  # fmt: skip
def test_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"letters|letter or a digit|reserved"):
        usernames.checked(name)


@pytest.mark.parametrize("name", ["abc", "a" * 20, "Ada_1", "_ada", "007"])
def test_name_is_stored_in_lower_case(name: str) -> None:
    assert usernames.checked(name) == name.lower()


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "  ",
        "\u3000",
        "\u0301\u0301",
        "\u200d\u200d",
        "\u200b",
        "\u202eadA",
        "A\x00da",
        "\u2800",
        "\ufe0f",
    ],
)
async def test_display_name_that_hides_or_shows_nothing_is_refused(
    client: httpx.AsyncClient, shown: str
) -> None:
    body = {
        "email": "x@example.edu",
        "password": PASSWORD,
        "username": "shown",
        "display_name": shown,
    }
    answer = await client.post("/api/auth/register", json=body)
    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == {"display_name"}
