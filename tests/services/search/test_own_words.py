"""Whatever is stored is found by its own text, however it is written, until it is deleted."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core.text import folding
from tests.conftest import Stack
from tests.services.feed.crowd import Someone

ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz", "aáàâäãåæbcçčďeéèêëęfgğhıijłmnñńoóòôöõøœprřsšşśtťuúùûüvwyýzžźżßðþđ",
    "αάβγδεέζηήθιίκλμνξοόπρσςτυύφχψωώ", "абвгґдеёєжзиіїйклмнопрстуфхцчшщъыьэюяђјљњћџ",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهويآأإةىپچژگک", "אבגדהוזחטיכלמנסעפצקרשתםןףץך",
    "अआइईउऊएऐओकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    "กขคงจฉชซญดตถทธนบปผพฟมยรลวศสหอฮ",
    "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ", "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ",
    "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗明华伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛",
    "あいうえおかきくけこさしすせそたちつてとなにぬねの",
    "アイウエオカキクケコサシスセソタチツテトナニヌネノ",
    "가나다라마바사아자차카타파하김이박최정민서지현우",
)  # fmt: skip
JOINS = (" ", " ", " ", "-", "'", ". ", "\N{RIGHT SINGLE QUOTATION MARK}")
NAMES = 60
AMONG = 5
"""The first so many: of a name of one letter others begin with it, too."""

STORE = """
WITH who AS (
    INSERT INTO auth.accounts (university_id, email, username, display_name, verified_at)
    SELECT d.university_id, w.username || '@example.edu', w.username, w.display_name, now()
    FROM auth.university_domains d, unnest($1::text[], $2::text[]) w (username, display_name)
    WHERE d.domain = 'example.edu' RETURNING id, university_id, username, display_name
)
SELECT feed.create_member(id, university_id, username, display_name), id FROM who
"""


@dataclass
class Stored:
    viewer: Someone
    names: dict[str, str]
    """Display names, by username."""

    async def found(self, text: str) -> list[str]:
        page = await self.viewer.json(f"/search/users?{httpx.QueryParams(q=text, limit=AMONG)}")
        return [item["username"] for item in page["items"]]


def some_name(rng: random.Random) -> str:
    """A name of one to three words of one script: some are in capitals, and some have joined words."""
    letters = rng.choice(ALPHABETS)
    words = [
        "".join(rng.choices(letters, k=rng.randint(1, 10))) for _ in range(rng.choice((1, 2, 2, 3)))
    ]
    name = words[0]
    for word in words[1:]:
        name += rng.choice(JOINS) + word
    return rng.choice((name, name.title(), name.title(), name.upper()))


@pytest.fixture(scope="module")
async def stored(stack: Stack) -> AsyncIterator[Stored]:
    seed = secrets.randbits(32)
    print(f"names of seed {seed}")
    rng = random.Random(seed)
    names = {f"own_{seed:x}_{number}": some_name(rng) for number in range(NAMES)}
    rows = await stack.sql(STORE, list(names), list(names.values()))
    viewer = rows[0]["id"]
    base = f"http://127.0.0.1:{stack.ports['search']}"
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        yield Stored(Someone(client, stack, viewer, next(iter(names))), names)
    await stack.sql("DELETE FROM auth.accounts WHERE id = ANY ($1)", [row["id"] for row in rows])


async def test_member_is_found_by_name_and_username(stored: Stored) -> None:
    missed = [
        (username, text)
        for username, name in stored.names.items()
        for text in (name, name.lower(), " ".join(reversed(name.split())), username)
        if username not in await stored.found(text)
    ]
    assert missed == []


async def test_member_who_is_deleted_is_found_no_more(stack: Stack, stored: Stored) -> None:
    username, name = max(stored.names.items(), key=lambda pair: len(pair[1]))
    assert username in await stored.found(name)
    await stack.sql("DELETE FROM auth.accounts WHERE username = $1", username)
    assert username not in await stored.found(name)
    assert username not in await stored.found(username)
    connection = await asyncpg.connect(stack.dsn())
    try:
        tables = await connection.fetch(
            "SELECT c.oid::regclass::text AS name FROM pg_class c"
            " WHERE c.relnamespace = 'search'::regnamespace AND c.relkind = 'r'"
            # What others searched for is theirs.
            " AND c.relname <> 'history'"
        )
        for table in tables:
            left = await connection.fetchval(
                f"SELECT count(*) FROM {table['name']} t WHERE t::text LIKE '%' || $1 || '%'",
                username,
            )
            assert not left, table["name"]
    finally:
        await connection.close()


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    once = folding.folded(text)
    assert folding.folded(once) == once
