"""A university on an ordinary day: long and foreign names, pictures, polls, warnings, groups, an argument."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
from PIL import Image, ImageDraw

from tests.conftest import Member, Stack, become_member, eventually
from tests.services.feed.pictures import encoded, upload, uploaded
from tests.services.websocket.chat.talking import conversation, say

LONG_NAME = "Prof. Dr. Maximiliane von Hohenlohe-Waldenburg-Schillingsfürst (Computer Science)"[:80]
PEOPLE: dict[str, tuple[str, str, str]] = {
    "ayse": ("Ayşe Yılmaz", "Informatics", "Third year. Tea, trains and type theory. #compilers"),
    "ada": ("Ada Lovelace 🌱", "Mathematics", "I write notes. Ask me at https://example.edu/~ada"),
    "maximiliane": (LONG_NAME, "Institute for Very Long Names", "Office hours on Tuesday."),
    "nour": ("نور الدين", "Medicine", "طالب في السنة الثانية، أحب القراءة #كتب"),
    "ilgaz": ("Ilgaz Işıkoğlu", "Fizik", "ISPARTA, İzmir, ılık çay."),
    "lwei": ("李薇", "Architecture", "写建筑 写诗"),
    "bob": ("Bob", "Law", ""),
    "deniz": ("Deniz Kaya", "Music", "Only for friends."),
    "kim": ("Kim Novak", "Film", ""),
    "spam": ("Best Offers 24", "", "Cheap essays!!!"),
    "newcomer": ("Nils Neumann", "Biology", ""),
}
LONG = (
    "Notes from today's seminar on distributed systems, since several of you asked.\n\n"
    "First: a lock is a promise about time. Second: nobody keeps promises about time. Third: what remains is "
    "to make each step safe to repeat, which is less exciting than consensus and helps more often.\n\n"
    + "\n".join(f"{n}. Read chapter {n}, and write down one question." for n in range(1, 13))
)
ALONE_HOURS = 30
"""So long ago the oldest post is; the others lie between."""


@dataclass
class Campus:
    """Who is there, and where what they wrote is shown."""

    stack: Stack
    members: dict[str, Member]
    paths: dict[str, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Member:
        try:
            return self.members[name]
        except KeyError as error:
            raise AttributeError(name) from error


def scene(width: int, height: int, seed: int) -> bytes:
    """A landscape: a sky, a sun and hills, different for each seed."""
    chance = random.Random(seed)
    made = Image.new("RGB", (width, height))
    drawn = ImageDraw.Draw(made)
    top, low = ([chance.randrange(60, 240) for _ in range(3)] for _ in range(2))
    for y in range(height):
        share = y / height
        drawn.line(
            (0, y, width, y),
            tuple(int(a + (b - a) * share) for a, b in zip(top, low, strict=True)),
        )
    x, y, size = chance.randrange(width), chance.randrange(height // 2), height // 8
    drawn.ellipse((x - size, y - size, x + size, y + size), (255, 236, 170))
    for hill in range(3):
        base, shade = height * (6 + hill) // 10, 110 - 30 * hill
        points = [
            (width * n // 8, base + chance.randrange(-height // 9, height // 9)) for n in range(9)
        ]
        drawn.polygon([(0, height), *points, (width, height)], (shade // 2, shade, shade // 2))
    return encoded(made)


async def founded(stack: Stack, client: httpx.AsyncClient) -> Campus:
    """Let people join, write, argue and chat."""
    campus = Campus(stack, {name: await become_member(stack, client, name) for name in PEOPLE})
    for number, (name, (shown, department, bio)) in enumerate(PEOPLE.items()):
        about = {"display_name": shown, "department": department, "bio": bio}
        await _done(await campus.members[name].patch("/api/users/me", about))
        if name in {"ayse", "maximiliane", "lwei", "kim"}:
            picture = scene(400, 400, number)
            await _done(await upload(campus.members[name], picture, "/api/users/me/avatar", "PUT"))
    await _profiles(campus)
    await _posts(campus)
    await _talks(campus)
    await _age(stack)
    return campus


async def _profiles(campus: Campus) -> None:
    ayse, ada = campus.ayse, campus.ada
    for member in (ayse, ada):
        await _done(await upload(member, scene(1500, 500, 90), "/api/users/me/banner", "PUT"))
    fields = [
        {"name": "Office", "value": "Room 214, on Tuesdays"},
        {"name": "Code", "value": "https://git.example.edu/ada/notes"},
    ]
    about = {"pronouns": "she/her", "graduation_year": 2028, "fields": fields}
    await _done(await ada.patch("/api/users/me", about))
    await _done(await ayse.patch("/api/users/me", {"pronouns": "o", "graduation_year": 2027}))
    await _done(await campus.deniz.patch("/api/users/me", {"is_private": True}))
    for name in ("ada", "maximiliane", "nour", "ilgaz", "lwei", "bob"):
        await _done(await ayse.put(f"/api/users/{name}/follow"))
        await _done(await campus.members[name].put("/api/users/ayse/follow"))
    await _done(await ayse.put("/api/users/spam/block"))
    await _done(await campus.kim.put("/api/users/ayse/block"))
    await _done(await ayse.put("/api/users/bob/mute", {"until": None}))
    await _done(await ayse.delete("/api/users/bob/mute"))
    await _done(await ayse.put("/api/users/me/muted-words", {"words": [{"word": "exam week"}]}))
    await _done(await ayse.put("/api/users/me/muted-tags", {"tags": [{"tag": "football"}]}))


async def _pictures(member: Member, *sizes: tuple[int, int, str]) -> list[str]:
    found = []
    for number, (width, height, alt) in enumerate(sizes):
        made = await uploaded(member, scene(width, height, len(alt) + number), alt=alt)
        found.append(made["id"])
    return found


async def _posts(campus: Campus) -> None:
    people = campus.members
    ayse, ada, nour = campus.ayse, campus.ada, campus.nour
    await ayse.write("First day back on campus. Where has the coffee machine gone? ☕")
    await campus.ilgaz.write("ISPARTA'da ılık bir İLKBAHAR: gül bahçeleri açıldı. #Isparta #gül")
    await nour.write("مرحبا بالجميع! هل يعرف أحد متى تفتح المكتبة غدا؟ #مكتبة")
    await campus.lwei.write("今天的课结束了。晚上在图书馆见。")
    root = await ada.write(
        "Does anybody have the notes of Monday's lecture on #compilers? I missed the part about registers. "
        "@ayse perhaps? https://example.edu/compilers/week-7"
    )
    thread = f"/@ada/p/{root['id']}"
    first = await ayse.write(
        "Yes! I type mine: they are in the shared folder.", reply_to=root["id"]
    )
    below = first
    for name in ("ada", "ilgaz", "bob", "ada"):
        below = await people[name].write(
            f"@{PEOPLE[name][0].split()[0]} here: thank you 🙏 that helps a lot.",
            reply_to=below["id"],
        )
    gone = await campus.bob.write("Never mind", reply_to=root["id"])
    await nour.write("شكرا جزيلا", reply_to=gone["id"])
    await _done(await campus.bob.delete(f"/api/posts/{gone['id']}"))
    await campus.maximiliane.write(
        "Chapter 4 of the script has all of it, with exercises.", reply_to=root["id"]
    )
    poll = await campus.maximiliane.write(
        "When shall we have the extra tutorial? Those who work in the afternoon should not have to choose.",
        poll={
            "options": [
                "Monday, 8:00",
                "Wednesday, 18:15, in the old lecture hall behind the library, if it is free",
                "Saturday",
            ],
            "expires_in_seconds": 86_400,
            "multiple": False,
        },
    )
    own_poll = await ayse.write(
        "Lunch?",
        poll={"options": ["Canteen", "The kiosk 🥙"], "expires_in_seconds": 3600, "multiple": True},
    )
    for number, name in enumerate(("ada", "bob", "ilgaz", "nour")):
        await _done(
            await people[name].put(f"/api/posts/{poll['id']}/vote", {"choices": [number % 3]})
        )
        await _done(
            await people[name].put(f"/api/posts/{own_poll['id']}/vote", {"choices": [number % 2]})
        )
    one = await _pictures(campus.lwei, (1600, 1000, "The new library at dusk, seen from the lake"))
    view = await campus.lwei.write(
        "The library at dusk. Model and photograph: mine.", media_ids=one
    )
    four = await _pictures(
        ada, (900, 1400, "A tower"), (1200, 800, "A bridge"), (800, 800, ""), (1500, 600, "Hills")
    )
    await ada.write(
        "Excursion, four pictures, one without a description. #excursion", media_ids=four
    )
    await campus.ilgaz.write(
        "He opens the door, and it was the butler all the time.",
        content_warning="Spoiler: the film of Thursday's film club",
    )
    await ayse.write("Everybody should read this thread.", quote_of=root["id"])
    long = await campus.maximiliane.write(LONG)
    await campus.bob.write(
        "https://example.edu/a/very/long/address/that/does/not/break/anywhere/" + "x" * 90
    )
    await ada.write("Only for those who follow me: I passed! 🎉🎉", visibility="followers")
    await campus.bob.write("a" * 120)
    await nour.write("Library tonight? @ayse")
    edited = await ayse.write("The seminar moves to room 12.", visibility="university")
    await _done(
        await ayse.patch(f"/api/posts/{edited['id']}", {"text": "The seminar moves to room 214."})
    )
    for post in (root, view, poll, long, first, edited):
        for name in ("ada", "ayse", "bob", "ilgaz", "nour"):
            await people[name].put(f"/api/posts/{post['id']}/like")
    await _done(await campus.bob.put(f"/api/posts/{view['id']}/repost"))
    await _done(await campus.ada.put(f"/api/posts/{edited['id']}/repost"))
    for post in (view, root, long):
        await _done(await ayse.put(f"/api/posts/{post['id']}/bookmark"))
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    for draft in (
        {"post": {"text": "An idea for the student council, not ready yet"}},
        {"post": {"text": "Reminder: hand in the lab report"}, "scheduled_at": later},
    ):
        await _done(await ayse.post("/api/users/me/drafts", draft))
    await _done(await ayse.put(f"/api/posts/{poll['id']}/mute"))
    campus.paths |= {
        "thread": thread,
        "reply": f"/@ayse/p/{first['id']}",
        "deep": f"/@ada/p/{below['id']}",
        "view": f"/@lwei/p/{view['id']}",
        "edited": f"/@ayse/p/{edited['id']}",
        "warned": "/@ilgaz",
    }


async def _talks(campus: Campus) -> None:
    ayse, ada = campus.ayse, campus.ada
    talk = str((await conversation(ayse, ada))["id"])
    await say(ada, talk, "Are you in the library?")
    await say(ayse, talk, "On my way. Ten minutes, I have to return two books first 📚")
    await say(ada, talk, "👍")
    picture = await _pictures(ada, (1200, 900, "A table by the window"))
    await say(ada, talk, "I kept you a place by the window:", media_ids=picture)
    answered = await say(ayse, talk, "Perfect!", reply_to=1)
    await say(ada, talk, "https://example.edu/library/rooms/" + "long" * 20)
    await say(ada, talk, LONG)
    wrong = await say(ada, talk, "wrong window")
    await _done(await ada.delete(f"/api/conversations/{talk}/messages/{wrong['seq']}"))
    changed = await say(ayse, talk, "See you at teh door")
    path = f"/api/conversations/{talk}/messages/{changed['seq']}"
    await _done(await ayse.patch(path, {"text": "See you at the door"}))
    for one, emoji in ((answered["seq"], "🎉"), (changed["seq"], "❤️"), (changed["seq"], "😂")):
        await _done(await ada.put(f"/api/conversations/{talk}/messages/{one}/reactions/{emoji}"))
    await _done(await ada.post(f"/api/conversations/{talk}/read", {"seq": changed["seq"]}))

    names = ("ada", "maximiliane", "nour", "ilgaz", "lwei", "bob")
    group = str(
        (
            await conversation(
                ayse,
                *(campus.members[name] for name in names),
                kind="group",
                name="Compilers: exercise group for those who meet on Thursday evenings",
            )
        )["id"]
    )
    for name in names[:5]:
        await campus.members[name].put(f"/api/conversations/{group}/members/{name}")
    await _done(await ayse.put(f"/api/conversations/{group}/members/ada", {"role": "admin"}))
    await say(campus.maximiliane, group, "The sheet is online. Question 3 has a typing error.")
    await say(campus.nour, group, "شكرا! متى نلتقي؟")
    await say(campus.nour, group, "Thursday at six?")
    await say(campus.ilgaz, group, "Olur, ben de GELİYORUM 🙂")
    await say(campus.lwei, group, "好的")

    silent = str((await conversation(ayse, campus.bob))["id"])
    asked = str((await conversation(campus.newcomer, ayse, strangers=True))["id"])
    await say(campus.newcomer, asked, "Hello! Ada said that you know where the bike workshop is?")
    put_away = str((await conversation(ayse, campus.ilgaz))["id"])
    await say(campus.ilgaz, put_away, "Kitap için teşekkürler!")
    await _done(await ayse.patch(f"/api/conversations/{put_away}", {"archived": True}))
    await _done(await ayse.patch(f"/api/conversations/{talk}", {"pinned": True}))
    await _done(
        await ayse.patch(f"/api/conversations/{group}", {"muted_until": "2099-01-01T00:00:00Z"})
    )
    campus.paths |= {
        name: f"/chat/{one}"
        for name, one in (("talk", talk), ("group", group), ("silent", silent), ("asked", asked))
    }
    await _done(await campus.newcomer.put("/api/users/ayse/follow"))
    for member in (campus.bob, campus.nour):
        await member.put("/api/users/deniz/follow")

    async def is_told() -> bool:
        told = (await ayse.get("/api/notifications?limit=100")).json()["items"]
        asked = (await campus.deniz.get("/api/notifications")).json()["items"]
        return len(told) >= 8 and [one["count"] for one in asked] == [2]

    await eventually(is_told)


async def _age(stack: Stack) -> None:
    """Let what was written in these seconds be of the last hours."""
    await stack.sql(
        "UPDATE feed.posts p SET version = version + 1,"
        " created_at = created_at - make_interval(secs => $1 * o.share) FROM"
        " (SELECT id, power(percent_rank() OVER (ORDER BY id DESC), 2) AS share FROM feed.posts) o"
        " WHERE o.id = p.id",
        float(ALONE_HOURS * 3600),
    )
    await stack.sql(
        "UPDATE websocket.messages SET sent_at = sent_at - make_interval(mins => (40 - seq)::int)"
    )


async def _done(answer: httpx.Response) -> None:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
