"""What members mute is in none of their feeds, for as long as they said, and stays readable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import Member, Stack, eventually
from tests.services.feed.crowd import Crowd

Join = Callable[[], Awaitable[Member]]

MATCHED = [
    ("art", "Modern ART, in the library"),
    ("art", "see #Art"),
    ("exam week", "Exam-week is here"),
    ("straße", "In der STRASSE"),
    ("café", "at the cafe\u0301"),
    ("istanbul", "İSTANBUL'da"),
    ("ışık", "Işık"),
    ("don't", "Don\u2019t"),
    ("spoiler", "sp\u200boi\u00adler!"),
    ("हिन्दी", "मुझे हिन्दी पसंद है"),
    ("தமிழ்", "#தமிழ் மொழி"),
    ("東京", "明日は東京タワーへ"),
    ("ภาษา", "เรียนภาษาไทย"),
    ("アニメ", "新しいアニメを見た"),
    ("시험", "내일 시험 있다"),
    ("ﬁnal", "the FINAL match"),
    ("🎃", "boo🎃boo"),
    ("c++", "C is hard"),
    ("2026", "in 2026."),
]
UNMATCHED = [
    ("art", "party, start, artist"),
    ("exam week", "exam this week"),
    ("हिन", "हिन्दी"),
    ("தமி", "தமிழ்"),
    ("アニ", "アニメ"),
    ("시험", "시험지"),
    ("東京", "東の京"),
    ("cafe", "café"),
    ("🎃", "🎄"),
]


@pytest.mark.parametrize(
    ("word", "text", "is_found"),
    [(*one, True) for one in MATCHED] + [(*one, False) for one in UNMATCHED],
)
async def test_muted_word_is_found_as_a_whole_word_in_any_script(
    stack: Stack, word: str, text: str, is_found: bool
) -> None:
    (row,) = await stack.sql(
        "SELECT strpos(feed.words_of($2), feed.words_of($1)) > 0 AS found", word, text
    )
    assert row["found"] is is_found


async def feeds(member: Member) -> dict[str, set[str]]:
    return {
        name: {item["id"] for item in (await member.get(path)).json()["items"]}
        for name, path in (
            ("home", "/api/feed/home?limit=50"),
            ("tag", "/api/feed/tags/mutes?limit=100"),
        )
    }


async def test_muted_people_words_tags_and_threads_are_in_no_feed_and_stay_readable(
    join: Join,
) -> None:
    reader, author, other = await join(), await join(), await join()
    for one in (author, other):
        await reader.put(f"/api/users/{one.username}/follow")
    plain = await other.write("nothing special #mutes")
    posts = {
        "member": await author.write("by somebody #mutes"),
        "word": await other.write("an Exam! #mutes"),
        "tag": await other.write("#Prüfung #mutes"),
        "thread": await other.write("a long story #mutes"),
    }
    everything = {post["id"] for post in (plain, *posts.values())}

    async def all_there() -> bool:
        return all(everything <= found for found in (await feeds(reader)).values())

    await eventually(all_there)
    for path, body in (
        (f"/api/users/{author.username}/mute", None),
        ("/api/users/me/muted-words", {"words": [{"word": "exam"}, {"word": "EXAM"}]}),
        ("/api/users/me/muted-tags", {"tags": [{"tag": "#PRÜFUNG"}]}),
        (f"/api/posts/{posts['thread']['id']}/mute", None),
    ):
        for _ in range(2):
            assert (await reader.put(path, body)).status_code == 204

    for place, found in (await feeds(reader)).items():
        assert found & everything == {plain["id"]}, place
    for place, found in (await feeds(other)).items():
        assert found >= everything - ({posts["member"]["id"]} if place == "home" else set()), place
    for post in posts.values():
        assert (await reader.get(f"/api/posts/{post['id']}")).status_code == 200
    own = await reader.write("my own exam #mutes")
    assert own["id"] in (await feeds(reader))["home"]
    assert (await reader.get("/api/users/me/muted-words")).json()["words"] == [
        {"word": "exam", "until": None}
    ]
    assert (await reader.get("/api/users/me/muted-tags")).json()["tags"] == [
        {"tag": "prüfung", "until": None}
    ]

    await reader.delete(f"/api/users/{author.username}/mute")
    await reader.put("/api/users/me/muted-words", {"words": []})
    await reader.put("/api/users/me/muted-tags", {"tags": []})
    await reader.delete(f"/api/posts/{posts['thread']['id']}/mute")
    assert await all_there()


async def test_muted_threads_are_listed_by_their_beginning_as_long_as_it_can_be_read(
    join: Join,
) -> None:
    reader, author = await join(), await join()
    begun = await author.write("a long story")
    reply = await author.write("goes on", reply_to=begun["id"])
    path = "/api/users/me/muted-threads"
    mute = f"/api/posts/{reply['id']}/mute"
    assert (await reader.get(mute)).json() == {"is_muted": False}
    assert (await reader.put(mute)).status_code == 204
    assert (await reader.get(mute)).json() == {"is_muted": True}
    assert [item["id"] for item in (await reader.get(path)).json()["items"]] == [begun["id"]]
    await author.patch(f"/api/posts/{begun['id']}", {"visibility": "self"})
    assert (await reader.get(path)).json()["items"] == []
    assert (await reader.delete(f"/api/posts/{reply['id']}/mute")).status_code == 204
    await author.patch(f"/api/posts/{begun['id']}", {"visibility": "public"})
    assert (await reader.get(path)).json()["items"] == []


async def test_hundreds_of_mutes_are_listed_to_the_last_and_each_has_its_effect(
    stack: Stack, join: Join
) -> None:
    reader, other = await join(), await join()
    async with Crowd(stack) as crowd:
        people = await crowd.join(120)
        for one in people:
            answer = await reader.put(f"/api/users/{one.username}/mute")
            assert answer.status_code == 204, answer.text
        said = f"t{reader.username}"
        for one in (people[0], people[-1]):
            answer = await one.ask("POST", "/posts", {"text": f"muted #{said}"})
            assert answer.status_code == 201, answer.text
    words = [f"word{number}" for number in range(200)]
    tags = [f"tag{letter}{number}" for letter in "ab" for number in range(100)]
    for name, key, muted in (("muted-words", "word", words), ("muted-tags", "tag", tags)):
        path, field = f"/api/users/me/{name}", f"{key}s"
        answer = await reader.put(path, {field: [{key: one} for one in muted]})
        assert answer.status_code == 204, answer.text
        listed = (await reader.get(path)).json()[field]
        assert sorted(one[key] for one in listed) == sorted(muted)
    plain = await other.write(f"word200 and #tagc0 #{said}")
    for text in (words[0], words[-1], f"#{tags[0]}", f"#{tags[-1]}"):
        await other.write(f"{text} #{said}")
    shown = (await reader.get(f"/api/feed/tags/{said}?limit=100")).json()["items"]
    assert [one["id"] for one in shown] == [plain["id"]]
    assert len((await other.get(f"/api/feed/tags/{said}?limit=100")).json()["items"]) == 7

    found: list[str] = []
    pages: list[int] = []
    cursor = ""
    while not pages or cursor:
        page = (await reader.get(f"/api/users/me/mutes?limit=100&cursor={cursor}")).json()
        pages.append(len(page["items"]))
        found += [one["username"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert pages == [100, 20]
    assert sorted(found) == sorted(one.username for one in people)


async def test_mute_ends_at_its_time(stack: Stack, join: Join) -> None:
    reader, author = await join(), await join()
    await reader.put(f"/api/users/{author.username}/follow")
    post = await author.write("an exam")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    path = f"/api/users/{author.username}/mute"
    assert (await reader.put(path, {"until": soon})).status_code == 204
    words = {"words": [{"word": "exam", "until": soon}]}
    assert (await reader.put("/api/users/me/muted-words", words)).status_code == 204
    assert await reader.home() == []
    (muted,) = (await reader.get("/api/users/me/mutes")).json()["items"]
    assert (muted["username"], muted["muted_until"] is None) == (author.username, False)
    for table in ("mutes", "muted_words"):
        await stack.sql(
            f"UPDATE feed.{table} SET until = now() - interval '1 s' WHERE member_id = $1",
            reader.id,
        )
    assert [item["id"] for item in await reader.home()] == [post["id"]]
    assert (await reader.get("/api/users/me/mutes")).json()["items"] == []
    assert (await reader.get("/api/users/me/muted-words")).json() == {"words": []}
    assert (await reader.get(f"/api/users/{author.username}")).json()["is_muted"] is False


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/users/me/muted-words", {"words": [{"word": "…!?"}]}, "words"),
        ("/api/users/me/muted-words", {"words": [{"word": "a\u202eb"}]}, "words"),
        ("/api/users/me/muted-words", {"words": [{"word": ""}]}, "words"),
        ("/api/users/me/muted-words", {"words": [{"word": "x"}] * 201}, "words"),
        ("/api/users/me/muted-tags", {"tags": [{"tag": "#"}]}, "tags"),
        ("/api/users/me/muted-tags", {"tags": [{"tag": "two words"}]}, "tags"),
        ("/api/users/me/muted-tags", {"tags": [{"tag": "a"}, {"tag": "#a#b"}]}, "tags"),
        ("/api/users/me/muted-tags", {"tags": [{"tag": "2026"}]}, "tags"),
        ("/api/users/{other}/mute", {"until": "2020-01-01T00:00:00Z"}, "until"),
        ("/api/users/{other}/mute", {"until": "2030-01-01T00:00:00"}, "until"),
        ("/api/users/{self}/mute", None, "username"),
    ],
)
async def test_mute_that_cannot_be_is_refused_with_the_reason(
    join: Join, path: str, body: object, field: str
) -> None:
    member, other = await join(), await join()
    answer = await member.put(path.format(other=other.username, self=member.username), body)
    assert answer.status_code == 422, answer.text
    assert any(name.startswith(field) for name in answer.json()["errors"])


async def test_repost_by_a_muted_member_neither_shows_nor_hides_that_of_another(join: Join) -> None:
    reader, muted, other, author = await join(), await join(), await join(), await join()
    for one in (muted, other):
        await reader.put(f"/api/users/{one.username}/follow")
    first, second = await author.write("one"), await author.write("two")
    await muted.put(f"/api/posts/{first['id']}/repost")
    await muted.put(f"/api/posts/{second['id']}/repost")
    await other.put(f"/api/posts/{second['id']}/repost")

    async def shown() -> list[tuple[str, str]]:
        return [(item["id"], item["reposted_by"]["username"]) for item in await reader.home()]

    async def all_there() -> bool:
        return {post for post, _ in await shown()} == {first["id"], second["id"]}

    await eventually(all_there)
    await reader.put(f"/api/users/{muted.username}/mute")
    assert await shown() == [(second["id"], other.username)]
