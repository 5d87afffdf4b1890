"""Members are found at once, by everything that is said of them, and by nobody who may not find them."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import quote
from uuid import UUID

import asyncpg
import httpx
import pytest

from chitlaq.core.data import named_queries, postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Paging
from chitlaq.services.search.members import members, typed
from chitlaq.services.search.members.common import Common
from tests.conftest import Member, Stack, become_member

Join = Callable[[], Awaitable[Member]]


async def usernames(by: Member | httpx.AsyncClient, text: str) -> list[str]:
    answer = await by.get(f"/api/search/users?q={quote(text)}")
    assert answer.status_code == 200, answer.text
    return [one["username"] for one in answer.json()["items"]]


async def test_member_is_found_by_what_was_changed_and_no_longer_by_what_it_was(
    stack: Stack, join: Join
) -> None:
    own, other = await join(), await join()
    before = {"display_name": "Zdravko Quellenhofer", "bio": "keeps axolotls", "department": "Law"}
    assert (await own.patch("/api/users/me", before)).status_code == 200
    for text in ("zdravko", "quellenhofre", "Quellen zdr", "axolotls", own.username.upper()):
        assert own.username in await usernames(other, text), text
    after = {"display_name": "Yaroslav Brightwater", "bio": "keeps bees"}
    assert (await own.patch("/api/users/me", after)).status_code == 200
    for text in ("zdravko", "quellenhofer", "axolotls"):
        assert own.username not in await usernames(other, text), text
    assert own.username in await usernames(other, "brightwaetr")
    words = "SELECT word FROM search.words WHERE word = ANY ($1)"
    gone = ["zdravko", "quellenhofer", "axolotls"]
    assert await stack.sql(words, gone) == []
    await stack.sql("DELETE FROM auth.accounts WHERE id = $1", own.id)
    assert own.username not in await usernames(other, "brightwater")
    assert await stack.sql(words, ["yaroslav", "brightwater", "bees"]) == []


async def test_more_followers_are_another_step_of_fame(stack: Stack, join: Join) -> None:
    own = await join()
    fame = "SELECT fame FROM search.members WHERE member_id = $1"
    for followers, step in ((15, 0), (16, 1), (8192, 4), (3, 0)):
        await stack.sql(
            "UPDATE feed.members SET followers_count = $2 WHERE id = $1", own.id, followers
        )
        assert (await stack.sql(fame, own.id))[0]["fame"] == step
    await stack.sql("UPDATE feed.members SET followers_count = 0 WHERE id = $1", own.id)


async def test_of_namesakes_those_near_the_viewer_come_first(
    stack: Stack, client: httpx.AsyncClient, join: Join, name: Callable[[], str]
) -> None:
    domain = f"{name()}.edu"
    await stack.add_university(domain, domain)
    viewer, followed, colleague, fellow = [await join() for _ in range(4)]
    stranger = await become_member(stack, client, name(), domain)
    called = f"Ottokar {name().title()}"
    for own in (stranger, fellow, colleague, followed):
        assert (await own.patch("/api/users/me", {"display_name": called})).status_code == 200
        assert (await own.put("/api/users/me/privacy", {"may_find": "everyone"})).is_success
    for own in (viewer, colleague):
        await own.patch("/api/users/me", {"department": "Palaeography"})
    await viewer.put(f"/api/users/{followed.username}/follow")
    expected = [own.username for own in (followed, colleague, fellow, stranger)]
    assert await usernames(viewer, called) == expected
    assert (await usernames(stranger, called))[0] == stranger.username


async def test_what_was_not_searched_for_is_said(join: Join, name: Callable[[], str]) -> None:
    own, viewer, called = await join(), await join(), name()
    about = {"display_name": f"Kunigunde {called}"}
    assert (await own.patch("/api/users/me", about)).is_success
    for text, expected in (
        (f"Kunigunde {called}", []),
        (f"kunigudne {called}", []),
        (f"{called} - Kunigunde", [("-", "no_words")]),
        (f"kunigunde Qxwvzk {called}", [("Qxwvzk", "not_found")]),
        (
            f"{called} kunigunde ku kun kuni kunig kunigu kunigun Kunigund k {called}",
            [("Kunigund", "too_many"), ("k", "too_many")],
        ),
    ):
        page = (await viewer.get("/api/search/users", params={"q": text})).json()
        assert [one["username"] for one in page["items"]] == [own.username], text
        assert [(one["text"], one["reason"]) for one in page["ignored"]] == expected, text


NAMESAKES = 230
STORE = """
WITH who AS (
    INSERT INTO auth.accounts (university_id, email, username, display_name, verified_at)
    SELECT d.university_id, $1 || n || '@example.edu', $1 || n, name, now()
    FROM auth.university_domains d, unnest($2::text[]) WITH ORDINALITY w (name, n)
    WHERE d.domain = 'example.edu' RETURNING id, university_id, username, display_name
)
SELECT feed.create_member(id, university_id, username, display_name), id, username, display_name FROM who
"""


async def test_list_goes_on_to_the_last_whom_the_viewer_may_find(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    viewer, token = await join(), "".join(secrets.choice("bcdfghjklm") for _ in range(9))
    rows = await stack.sql(STORE, f"own_{token}_", [f"Walburga {token}"] * NAMESAKES)
    own = {row["username"]: row["id"] for row in rows}
    try:
        hidden, blocking, *_ = own.values()
        await stack.sql("UPDATE feed.members SET may_find = 'nobody' WHERE id = $1", hidden)
        blocks = "INSERT INTO feed.blocks (blocker_id, blocked_id) VALUES ($1, $2::uuid)"
        await stack.sql(blocks, blocking, viewer.id)
        expected = {name for name, one in own.items() if one not in (hidden, blocking)}
        path, narrow = f"/api/search/users?q=walb%20{token}&limit=", f"{token}%20{NAMESAKES}"
        for limit in (35, 100):
            page = (await viewer.get(f"{path}{limit}")).json()
            assert not page["is_total_exact"]
            assert 90 < page["total"] < len(expected)
            found = page["items"]
            while cursor := page["next_cursor"]:
                page = (await viewer.get(f"{path}{limit}&cursor={cursor}")).json()
                found += page["items"]
            names = [one["username"] for one in found]
            assert (len(names), set(names)) == (len(expected), expected), limit
            pages = [(await viewer.get(f"{path}{limit}&page={n}")).json() for n in range(1, 9)]
            numbered = [one["username"] for page in pages for one in page["items"]]
            assert numbered == names
        for text in (narrow, f"own_{token}_{NAMESAKES}"):
            page = (await viewer.get(f"/api/search/users?q={text}")).json()
            assert (page["total"], page["is_total_exact"], page["next_cursor"]) == (1, True, None)
            assert [one["username"] for one in page["items"]] == [f"own_{token}_{NAMESAKES}"]
            page = (await viewer.get(f"/api/search/users?q={text}&page=3")).json()
            assert (page["items"], page["total"]) == ([], 1)
        assert (await client.get(f"{path}5")).json()["next_cursor"] is None
    finally:
        await stack.sql("DELETE FROM auth.accounts WHERE id = ANY ($1)", list(own.values()))


STORE_WORDS = "INSERT INTO search.words SELECT w, $2, search.keys_of(w) FROM unnest($1::text[]) w"


async def test_namesakes_whom_the_viewer_may_not_find_hide_nobody(
    stack: Stack, client: httpx.AsyncClient, join: Join, name: Callable[[], str]
) -> None:
    """More than are ranked are found at their own university alone, and are better known."""
    viewer, fellow, called, domain = await join(), await join(), name(), f"{name()}.edu"
    await stack.add_university(domain, domain)
    stranger = await become_member(stack, client, name(), domain)
    about = {"display_name": f"Adelgund {called}", "department": "Palaeography"}
    assert (await fellow.patch("/api/users/me", about)).is_success
    rows = await stack.sql(STORE, f"own_{called}_", [f"Adelgund {called}"] * 101)
    ids = [row["id"] for row in rows]
    try:
        await stack.sql(
            "UPDATE feed.members SET (university_id, followers_count, may_find) ="
            " (SELECT university_id, 16, 'university' FROM feed.members WHERE id = $2)"
            " WHERE id = ANY ($1)",
            ids,
            stranger.id,
        )
        for text in (f"adelgund {called}", called):
            page = (await viewer.get("/api/search/users", params={"q": text})).json()
            assert [one["username"] for one in page["items"]] == [fellow.username], text
            assert page["total"] == 1
            suggested = (await viewer.get("/api/search/suggest", params={"q": text})).json()
            assert [one["username"] for one in suggested["members"]] == [fellow.username], text
    finally:
        await stack.sql("DELETE FROM auth.accounts WHERE id = ANY ($1)", ids)


async def test_list_goes_on_when_the_last_who_was_shown_is_gone(join: Join) -> None:
    """Each is blocked as soon as they are the last of a page."""
    viewer, *own = [await join() for _ in range(7)]
    called = f"Walpurga {own[0].username}"
    for one in own:
        assert (await one.patch("/api/users/me", {"display_name": called})).is_success
    shown: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"q": called, "limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await viewer.get("/api/search/users", params=params)).json()
        shown += [one["username"] for one in page["items"]]
        cursor = page["next_cursor"]
        await viewer.put(f"/api/users/{shown[-1]}/block")
    assert (len(shown), set(shown)) == (len(own), {one.username for one in own})


async def test_word_that_is_meant_is_compared_however_many_words_are_like_it(stack: Stack) -> None:
    """Attacks what is cut: among the words of 100,000 members, hundreds share a key with a typo."""
    letters, meant = "bcdfghjkmnpqrstvwz", "zaloxyella"
    # Another letter, two swapped, one too few, one too many, two faults, and half typed.
    typos = ("zaloxiella", "zaolxyella", "zalxyella", "zalloxyella", "zaolxyell", "zalixyel")
    connection = await asyncpg.connect(stack.dsn())
    try:
        for typo in typos:
            others = [f"{typo[:2]}{a}{typo[3]}{b}{typo[5:]}" for a in letters for b in letters]
            await connection.execute("BEGIN")
            await connection.execute(STORE_WORDS, others, 320)
            await connection.execute(STORE_WORDS, [meant], 0)
            keys = "{" + ",".join(map(str, typed.keys(typo, 2))) + "}"
            rows = await connection.fetch("SELECT * FROM search.words_like($1, $2)", [typo], [keys])
            assert meant in {row["word"] for row in rows}, typo
            await connection.execute("ROLLBACK")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("meant", "mistyped", "others"),
    [
        ("Brekkenhofer", "brekkenhofre", "Brakkenhofer"),
        ("Wrondan", "wrodnan", "Wrodnaxberg"),
    ],
    ids=["of more than are ranked", "whole before begun"],
)
async def test_nearest_to_what_was_mistyped_comes_first(
    stack: Stack, join: Join, meant: str, mistyped: str, others: str
) -> None:
    viewer, own = await join(), await join()
    rows = await stack.sql(STORE, f"{others.lower()}_", [f"Ottokar {others}"] * 110)
    ids = [row["id"] for row in rows]
    known = "UPDATE feed.members SET followers_count = 128 WHERE id = ANY ($1)"
    try:
        await stack.sql(known, ids)
        await own.patch("/api/users/me", {"display_name": f"Ottokar {meant}"})
        found = await usernames(viewer, mistyped)
        assert found[0] == own.username
        assert len(found) > 1, "others are near as well"
    finally:
        await stack.sql("DELETE FROM auth.accounts WHERE id = ANY ($1)", ids)


async def test_whom_the_viewer_follows_is_ranked_among_more_namesakes_than_are(
    stack: Stack, join: Join
) -> None:
    """Attacks words that few have, but more than are ranked."""
    viewer, followed = await join(), await join()
    rows = await stack.sql(STORE, f"{viewer.username}_", ["Wunibald Krethenow"] * 110)
    ids = [row["id"] for row in rows]
    try:
        await stack.sql("UPDATE feed.members SET followers_count = 128 WHERE id = ANY ($1)", ids)
        await followed.patch("/api/users/me", {"display_name": "Wunibald Krethenow"})
        await viewer.put(f"/api/users/{followed.username}/follow")
        for text in ("Wunibald Krethenow", "wunibald kreth", "krethenow"):
            assert (await usernames(viewer, text))[0] == followed.username, text
    finally:
        await stack.sql("DELETE FROM auth.accounts WHERE id = ANY ($1)", ids)


WHOLE = (
    "Li", "Bo", "Q", "Ли", "李", "李明", "Bo Li", "Q Li", "Bo-Li", "Lin", "Li Weng", "Ли Ангел",
    "Bo Li Zhang",
)  # fmt: skip
PARTS = {"Li Weng": ("weng",), "Bo Li Zhang": ("Bo Li", "li bo")}
"""What is typed of these names as well."""
BETTER_KNOWN = "Linus Boris Quentin Лидия 李明华 Wengler Ангелина"
"""Some word of theirs begins with each of these names, and each of two words with one of theirs."""


@pytest.mark.parametrize("are_many", [False, True], ids=["read at once", "read by fame"])
async def test_who_is_called_just_so_is_found_among_better_known_namesakes(
    stack: Stack, join: Join, monkeypatch: pytest.MonkeyPatch, *, are_many: bool
) -> None:
    """Attacks short names: more members than are ranked have a name that begins so."""
    viewer = await join()
    known = await stack.sql(STORE, f"{viewer.username}_1x", [BETTER_KNOWN] * 101)
    own = await stack.sql(STORE, f"{viewer.username}_", list(WHOLE))
    ids = [row["id"] for row in (*known, *own)]
    queries = postgres.load_queries("chitlaq.services.search.members", "search-service")
    database = Database(stack.dsn("chitlaq_search"), "test", queries)
    names = Common(database)
    monkeypatch.setattr(Common, "are_many", lambda *_: are_many)
    try:
        # Of the viewer's own department, some are ranked in any case.
        await stack.sql(
            "UPDATE feed.members SET department = 'Law', followers_count = CASE WHEN id = ANY ($2)"
            " THEN 16 ELSE 0 END WHERE id = ANY ($1)",
            ids,
            [row["id"] for row in known],
        )
        for row in own:
            called = row["display_name"]
            for text in (called, f"@{row['username']}", *PARTS.get(called, ())):
                page = await members.find(database, names, UUID(viewer.id), text, Paging.of(1, 5))
                assert row["username"] in [one.username for one in page.items], text
                suggested = await members.suggest(database, names, UUID(viewer.id), text, 5)
                assert row["username"] in [one.username for one in suggested], text
    finally:
        await database.close()
        await stack.sql("DELETE FROM auth.accounts WHERE id = ANY ($1)", ids)


@pytest.mark.parametrize(
    "spellings",
    [
        ("Ђурђица Жикшић", "Đurđica Žikšić", "Djurdjica Ziksic"),
        ("Ѓурѓа Ќелевска", "Ǵurǵa Ḱelevska", "Gjurgja Kjelevska"),
        ("Григорій Шаґин", "Hryhorii Shagyn", "Grigory Shagin"),
        ("Щеряна Ъглова", "Shteryana Aglova", "Scherjana Aglova"),
        ("Iğdırlı Ökçün", "IĞDIRLI ÖKÇÜN", "igdirli okcun"),
        ("Đặng Ngưỡng Uyển", "đăng ngương uyên", "dang nguong uyen"),
    ],
    ids=["Serbian", "Macedonian", "Ukrainian", "Bulgarian", "Turkish", "Vietnamese"],
)
async def test_name_is_found_as_its_language_and_as_others_write_it(
    stack: Stack, join: Join, spellings: tuple[str, ...]
) -> None:
    """Somebody has each spelling, so that nothing is taken for mistyped."""
    viewer = await join()
    rows = await stack.sql(STORE, f"{viewer.username}_", list(spellings))
    own = {row["display_name"]: row["username"] for row in rows}
    try:
        assert set(own.values()) <= set(await usernames(viewer, spellings[0]))
        for text in spellings:
            assert own[spellings[0]] in await usernames(viewer, text), text
    finally:
        await stack.sql(
            "DELETE FROM auth.accounts WHERE id = ANY ($1)", [row["id"] for row in rows]
        )


@pytest.mark.parametrize("audience", ["everyone", "university", "followed", "nobody"])
async def test_guesses_show_nobody_whom_the_viewer_may_not_find(
    join: Join, client: httpx.AsyncClient, audience: str
) -> None:
    """Attacks each way to a member: words, typos, parts of words, too many words, suggestions."""
    own, friend, blocked, stranger = [await join() for _ in range(4)]
    name = f"Xerxantipaz Worblenkamp{own.username[-1]}"
    await own.patch("/api/users/me", {"display_name": name})
    await own.put("/api/users/me/privacy", {"may_find": audience})
    await own.put(f"/api/users/{friend.username}/follow")
    await own.put(f"/api/users/{blocked.username}/block")
    texts = (
        "xerxantipaz",
        "Xerxantipza",
        "antipaz",
        "xerx antipaz",
        "xerxantipaz nonsenseword",
        "x worblen",
    )
    found_by: dict[str, list[Member | httpx.AsyncClient]] = {
        "everyone": [friend, stranger, client],
        "university": [friend, stranger],
        "followed": [friend],
        "nobody": [],
    }
    seen = found_by[audience]
    for text in texts:
        for who in (friend, blocked, stranger, client):
            found = await usernames(who, text)
            assert (own.username in found) == (who in seen), (text, audience)
            answer = (await who.get(f"/api/search/suggest?q={quote(text)}&limit=20")).json()
            found = [one["username"] for one in answer["members"]]
            assert (own.username in found) == (who in seen), (text, audience)
        assert own.username in await usernames(own, text)


async def test_words_that_were_mistyped_are_looked_up_with_one_plan(stack: Stack) -> None:
    """A plan for each search takes PostgreSQL as long as the look-up."""
    queries = {one.name: one for one in named_queries.load("chitlaq.services.search.members")}
    connection = await asyncpg.connect(stack.dsn("chitlaq_search"))
    try:
        statement = await connection.prepare(queries["words_like"].sql)
        for word in ("quellenhofer", "zdravko", "brightwater", "axolotls") * 3:
            keys = "{" + ",".join(map(str, typed.keys(word, 1))) + "}"
            await statement.fetch([word], [keys])
        plans = await connection.fetch(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1",
            queries["words_like"].sql,
        )
    finally:
        await connection.close()
    # PostgreSQL makes five for the values at hand before it takes the one for all.
    assert [tuple(one) for one in plans] == [(7, 5)]
