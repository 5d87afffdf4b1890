"""Posts are found by what they say, at once, in several languages; what is typed is never an error."""

from __future__ import annotations

import random
import secrets
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Paging
from chitlaq.core.text import folding
from chitlaq.services.search.posts.posts import POSTS
from chitlaq.services.search.texts import finding, words
from chitlaq.services.search.texts.cursors import Place
from chitlaq.services.search.texts.forms import Lexicon
from tests.conftest import Member, Stack
from tests.services.search.test_own_words import some_name

Join = Callable[[], Awaitable[Member]]


async def found(by: Member | httpx.AsyncClient, text: str, **params: Any) -> dict[str, Any]:
    answer = await by.get("/api/search/posts", params={"q": text, **params})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def ids(by: Member | httpx.AsyncClient, text: str, **params: Any) -> list[str]:
    return [one["id"] for one in (await found(by, text, **params))["items"]]


async def test_post_is_found_at_once_by_all_that_is_said_of_it(stack: Stack, join: Join) -> None:
    author, other = await join(), await join()
    own, name = author.username, other.username
    one = await author.write(
        f"The zorbing lighthouses of Łódź{own} argued until midnight: https://example.org #Çağ{own} @{name}",
        poll={"options": ["Quokkas", "Numbats"], "expires_in_seconds": 600},
    )
    answer = await other.write(f"Köprülerin gölgesinde {own}", reply_to=one["id"])
    sure, no = [one["id"]], list[str]()
    from_own = f"from:{own}"
    for text, wanted in (
        (f"zorbing lodz{own}", sure),
        (f"lighthouse argue {from_own}", sure),
        (f'"zorbing lighthouses" {from_own}', sure),
        (f'"lighthouses zorbing" {from_own}', no),
        (f"zorb {from_own}", sure),
        (f"{from_own} quokkas", sure),
        (f"tag:cag{own}", sure),
        (f"#ÇAĞ{own} midnight", sure),
        (f"{from_own} to:{name}", sure),
        (f"to:{own} kopru", [answer["id"]]),
        (f"{from_own} has:poll", sure),
        (f"{from_own} has:link", sure),
        (f"{from_own} has:picture", no),
        (f"{from_own} zorbing -midnight", no),
        (f"{from_own} zorbing -noon", sure),
        (f"{from_own} noon OR midnight", sure),
        (f"{from_own} after:2020", sure),
        (f"{from_own} before:2020", no),
        (f"{from_own} after:9000", no),
        ("from:nobody_has_this zorbing", no),
        (f"{from_own} zorbing unheardof{own}", sure),
    ):
        assert await ids(other, text) == wanted, text
        assert await ids(other, text, sort="time") == wanted, text
    assert await ids(author, f"from:me cag{own}") == sure
    body = await found(other, f"{from_own} zorbing unheardof{own}")
    assert body["ignored"] == [{"text": f"unheardof{own}", "reason": "not_found"}]
    assert (body["total"], body["is_total_exact"]) == (1, True)
    changed = {"text": f"Nothing <b>but</b> wombats {own}"}
    assert (await author.patch(f"/api/posts/{one['id']}", changed)).status_code == 200
    assert await ids(other, f"zorbing {own}") == await ids(other, own)
    assert await ids(other, f"tag:cag{own}") == no
    (item,) = (await found(other, f"{from_own} Wombat"))["items"]
    assert item["snippet"] == [
        {"text": "Nothing <b>but</b> ", "is_match": False},
        {"text": "wombats", "is_match": True},
        {"text": f" {own}", "is_match": False},
    ]
    assert (await author.delete(f"/api/posts/{one['id']}")).status_code == 204
    assert await ids(other, from_own) == no
    assert await stack.sql("SELECT FROM feed.post_words WHERE post_id = $1", one["id"]) == []


async def test_whom_a_post_answers_is_found_by_those_who_may_read_what_it_answers(
    join: Join,
) -> None:
    author, follower, stranger = await join(), await join(), await join()
    own, name = author.username, follower.username
    await follower.put(f"/api/users/{own}/follow")
    hidden = await author.write("For followers", visibility="followers")
    answer = [(await follower.write("Wombats agree", reply_to=hidden["id"]))["id"]]
    naming = [(await follower.write(f"Numbats for @{own}", reply_to=hidden["id"]))["id"]]
    for asked, of_follower, of_stranger in (
        (f"to:{own} wombats", answer, []),
        (f"to:{own}", naming + answer, naming),
        (f"wombats -to:{own}", [], answer),
        (f"wombats to:{own} OR has:poll", answer, []),
        (f"numbats -to:{own}", [], []),
        ("wombats", answer, answer),
    ):
        text = f"{asked} from:{name}"
        for sort in ("relevance", "time"):
            assert await ids(follower, text, sort=sort) == of_follower, text
            assert await ids(stranger, text, sort=sort) == of_stranger, text


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[Database]:
    packages = ("chitlaq.services.search.posts", "test", "chitlaq.services.search.texts")
    made = Database(stack.dsn("chitlaq_search"), "test", postgres.load_queries(*packages))
    yield made
    await made.close()


@pytest.mark.parametrize("sort", ["relevance", "time"])
async def test_cursor_goes_on_without_gaps_and_repeats(
    database: Database, join: Join, sort: finding.Sort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many, the latest are ranked, and the others follow."""
    monkeypatch.setattr(finding, "CONSIDERED", 5)
    author = await join()
    written = [
        (await author.write(f"{'Ponies' if n % 3 else 'Pony'} {author.username} {n}"))["id"]
        for n in range(13)
    ]
    text = f"pony {author.username}"
    search = finding.search(POSTS, database, Lexicon(database), UUID(author.id), text, sort)
    read: list[str] = []
    place: Place | None = None
    while True:
        page = await search.page(Paging.of(1, 4), place)
        assert (page.total, page.is_total_exact) == (5, False)
        read += [str(item.id) for item in page.items]
        if page.next_cursor is None:
            break
        place = Place.of(page.next_cursor)
    assert len(read) == len(written)
    assert set(read) == set(written)
    if sort == "time":
        assert read == written[::-1]
    else:
        # "Pony" itself before "ponies", among the latest five.
        assert set(read[:2]) == {written[9], written[12]}
        assert read[5:] == written[7::-1]
    paged = [
        str(item.id)
        for number in (1, 2, 3, 4)
        for item in (await search.page(Paging.of(number, 4), None)).items
    ]
    assert paged == read


@pytest.mark.parametrize("sort", ["relevance", "time"])
async def test_cursor_goes_on_when_what_it_follows_is_gone(
    database: Database, join: Join, sort: finding.Sort
) -> None:
    """The author deletes what was shown last; at the end of the list, what would follow."""
    author = await join()
    written = [(await author.write(f"Ponies {author.username} {n}"))["id"] for n in range(7)]
    text = f"ponies {author.username}"
    search = finding.search(POSTS, database, Lexicon(database), UUID(author.id), text, sort)
    read: list[str] = []
    place: Place | None = None
    for _ in range(3):
        page = await search.page(Paging.of(1, 2), place)
        read += [str(item.id) for item in page.items]
        assert page.next_cursor is not None
        place = Place.of(page.next_cursor)
        assert (await author.delete(f"/api/posts/{read[-1]}")).is_success
    page = await search.page(Paging.of(1, 2), place)
    read += [str(item.id) for item in page.items]
    assert (len(read), set(read), page.next_cursor) == (len(written), set(written), None)
    fewer = [one for one in written if one not in (read[1], read[3], read[5])]
    page = await search.page(Paging.of(1, len(fewer) - 1), None)
    assert page.next_cursor is not None
    (following,) = set(fewer) - {str(item.id) for item in page.items}
    assert (await author.delete(f"/api/posts/{following}")).is_success
    page = await search.page(Paging.of(1, 2), Place.of(page.next_cursor))
    assert (page.items, page.next_cursor) == ([], None)


async def test_whatever_is_written_is_found_by_its_own_text(
    stack: Stack, database: Database, join: Join
) -> None:
    seed = secrets.randbits(32)
    print(f"texts of seed {seed}")
    rng = random.Random(seed)
    texts = [f"{some_name(rng)}, {some_name(rng)}!\n{some_name(rng)}" for _ in range(40)]
    texts += ["👩‍👩‍👧 🎉", "𝔄𝔡𝔞", "ﷺ", "ş", "1984", "weiß", "C++ 3.14"]  # noqa: RUF001
    author = await join()
    rows = await stack.sql(
        "INSERT INTO feed.posts (author_id, text) SELECT $1, unnest($2::text[]) RETURNING id, text",
        author.id, texts,
    )  # fmt: skip
    lexicon, missed = Lexicon(database), []
    for row in rows:
        for text in (row["text"], row["text"].lower(), f'from:{author.username} "{row["text"]}"'):
            search = finding.search(POSTS, database, lexicon, UUID(author.id), text, "time")
            page = await search.page(Paging.of(1, 50), None)
            if row["id"] not in {item.id for item in page.items}:
                missed.append(text)
    assert missed == []
    ids_ = [row["id"] for row in rows]
    await stack.sql("DELETE FROM feed.posts WHERE id = ANY ($1)", ids_)
    assert await stack.sql("SELECT FROM feed.post_words WHERE post_id = ANY ($1)", ids_) == []


async def test_postgresql_parts_texts_as_python_does(stack: Stack) -> None:
    known = [
        chr(point)
        for point in range(1, 0x20000)
        if unicodedata.category(chr(point)) not in ("Cn", "Co", "Cs")
        and not 0x3400 <= point <= 0xD7A3
    ]
    rows = await stack.sql(
        "SELECT x, search.text_words(search.folded('a' || x || 'b c')) AS parts FROM unnest($1::text[]) x",
        known,
    )
    odd = [
        row["x"] for row in rows if row["parts"] != words.split(folding.folded(f"a{row['x']}b c"))
    ]
    assert odd == []


async def test_plain_texts_have_the_words_and_places_of_all_texts(stack: Stack) -> None:
    """Plain ones are parsed by PostgreSQL, which knows URLs, hyphens, numbers and tags."""
    letters = [chr(code) for code in range(1, 128)] + list("ab12eE.-+_/@:&<>;#%~'\"") * 3
    chosen = random.Random(17)
    texts = ["".join(chosen.choices(letters, k=chosen.randrange(120))) for _ in range(3000)]
    texts += [
        "http://a.b/c?d=%20~g",
        "-12.3e+5 1e5abc",
        "&amp;<b>x</b>",
        "a@b.c don't",
        "x" * 50,
        "",
        "é😀 a1",
    ]
    odd = await stack.sql(
        "SELECT f FROM unnest($1::text[]) x, search.folded(x) f"
        " WHERE ts_filter(search.vector(f, '{@m}'), '{a}') <> (SELECT coalesce(string_agg("
        "quote_literal(w) || ':' || n || 'A', ' '), '')::tsvector"
        " FROM unnest(search.text_words(f)) WITH ORDINALITY u (w, n))",
        texts,
    )
    assert odd == []


async def test_rare_and_common_words_of_long_ago_are_found_whole(stack: Stack, join: Join) -> None:
    """Few are read at once, many block by block; both find all, the latest first."""
    author = await join()
    # One after the other within fifty days, and none within the last three.
    await stack.sql(
        "INSERT INTO feed.posts (id, author_id, text)"
        " SELECT uuidv7(interval '-3 days' - n * interval '160 minutes'), $1,"
        "        'quokkas sing ' || n || CASE WHEN n % 30 = 0 THEN ' numbat' ELSE '' END"
        " FROM generate_series(450, 1, -1) n",
        UUID(author.id),
    )
    for text, count in (("quokkas numbat", 15), ("numbat", 15), ("quokkas", 450), ('"sing 7"', 1)):
        asked = f"/api/search/posts?q={quote(f'{text} from:{author.username}')}&sort=time&limit=50"
        found: list[str] = []
        page = (await author.get(asked)).json()
        assert page["is_total_exact"] == (count <= 100), text
        assert page["total"] == min(count, 100), text
        while True:
            found += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            page = (await author.get(f"{asked}&cursor={page['next_cursor']}")).json()
        assert len(found) == count, text
        assert found == sorted(found, reverse=True), text
    # Their posts were counted nowhere.
    await stack.sql("DELETE FROM auth.accounts WHERE id = $1", UUID(author.id))
