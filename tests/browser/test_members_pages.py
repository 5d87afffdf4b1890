"""The members' pages in a browser: what they are made of, how much it is, and who can use it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import outlines
from tests.browser.conftest import COVERED, Theme, Visit, Width, visiting
from tests.browser.members import GO_ON, open_ready, sign_in
from tests.conftest import Member, Stack, eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser

Join = Callable[[], Awaitable[Member]]

# What is `data-live` is the scripts' alone.
TREE = """() => {
    const tree = node => {
        if (node.nodeType === Node.TEXT_NODE) return node.data;
        const own = [...node.attributes].map(one => `${one.name}=${one.value}`).sort();
        const inner = [];
        const both = [...node.childNodes].filter(one => !(one.dataset && "live" in one.dataset));
        for (const child of both.map(tree)) {
            const isText = typeof child === "string" && typeof inner.at(-1) === "string";
            if (isText) inner[inner.length - 1] += child;
            else if (child !== "") inner.push(child);
        }
        return [node.localName, ...own, inner];
    };
    return tree(document.querySelector("main"));
}"""
ASKED = """() => [location.href, ...performance.getEntriesByType("resource")
    .filter(one => one.startTime < Number(document.documentElement.dataset.ready))
    .map(one => one.name)]"""
IS_WHOLE = """() => Object.values(JSON.parse(document.getElementById("first").textContent).data)
    .every(one => one !== null)"""
FOLLOW = """path => {
    const link = Object.assign(document.createElement("a"), {href: path});
    document.body.append(link);
    link.click();
    link.remove();
}"""
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><!--",
    "<!-- <script>",
    "&lt;b&gt; &amp;",
    'javascript:alert(1) https://example.edu/"onmouseover=alert(1)',
    "{{ 7 * 7 }} ${7 * 7} {% raw %}",
    "\u200f\u05e9\u05dc\u05d5\u05dd @ada, #\u0623\u0645\u0633\n\n\u05d0",
    "e" + "\u0301" * 300,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 1\ufe0f\u20e3 #a",
    "\u0130I\u0131i #\u0130stanbul @Ada_1 #\u00df",
    "https://example.edu/a?b=c&d=<e> (https://example.edu/(x)).",
    "line\n  indented\n\n\nlast",
    "x" * 900,
    "a\n" * 14 + "b",
)


@pytest.fixture
async def ada(join: Join) -> Member:
    """A member who wrote some of everything."""
    ada = await join()
    first = await ada.write("The first #post, see https://example.edu/")
    await ada.write("hidden", content_warning='<b>"&')
    await ada.write("only mine", visibility="self")
    await ada.write("as said", quote_of=first["id"])
    await ada.write(
        "which?", poll={"options": ["<i>", "b"], "expires_in_seconds": 3600, "multiple": False}
    )
    reply = await ada.write("an answer", reply_to=first["id"])
    await ada.write("an answer to that", reply_to=reply["id"])
    await ada.put(f"/api/posts/{reply['id']}/repost")
    await ada.put(f"/api/posts/{first['id']}/like")
    await ada.put(f"/api/posts/{reply['id']}/bookmark")
    await ada.patch(f"/api/posts/{first['id']}", {"text": first["text"], "content_warning": None})
    await ada.post("/api/users/me/drafts", {"post": {"text": "not <yet>"}})
    await ada.patch(
        "/api/users/me", {"bio": "I read <i>#logic</i> & write @ada", "department": "Maths"}
    )
    return ada


async def first_post(ada: Member) -> str:
    page = (await ada.get(f"/api/users/{ada.username}/posts?limit=100")).json()
    return str(page["items"][-1]["id"])


async def conversation(ada: Member, join: Join, *texts: str) -> str:
    """Return the page of a conversation in which somebody wrote to a member, beside a mere request."""
    for is_accepted in (False, True):
        other = await join()
        begun = {"kind": "direct", "members": [ada.username]}
        path = f"/api/conversations/{(await other.post('/api/conversations', begun)).json()['id']}"
        for place, text in enumerate(("Are you there?", *texts)):
            sent = {"text": text, "client_id": f"{place}"}
            assert (await other.post(f"{path}/messages", sent)).status_code == 201
            if not is_accepted:
                break
            if place == 0:
                await ada.put(f"{path}/members/{ada.username}")
                await ada.post(f"{path}/messages", {"text": "I am", "client_id": "own"})
                await ada.put(f"{path}/messages/1/reactions/👍")
                await ada.post(f"{path}/read", {"seq": 2})
    return path.removeprefix("/api").replace("conversations", "chat")


async def test_scripts_make_the_very_nodes_that_the_server_writes(
    browser: Browser, stack: Stack, ada: Member, join: Join
) -> None:
    thread = f"/@{ada.username}/p/{await first_post(ada)}"
    bob = await join()
    await bob.patch("/api/users/me", {"display_name": "<b>&amp; Bob"})
    for text in HOSTILE:
        await ada.write(text)
        await bob.write(text, reply_to=thread.rpartition("/")[2])
    await bob.put(f"/api/users/{ada.username}/follow")

    await eventually(partial(_is_told, ada, len(HOSTILE) + 1))
    paths = [
        "/home",
        "/explore",
        "/compose",
        f"/compose?quote={thread.rpartition('/')[2]}",
        "/bookmarks",
        "/drafts",
        *(f"{thread}/{about}" for about in ("likes", "reposts", "quotes", "history")),
        "/tags/post",
        "/notifications",
        "/search",
        *(
            f"/search?q={text}"
            for text in ("member", "line%20-from:&type=posts&sort=time", "pos&type=tags")
        ),
        f"/@{ada.username}",
        f"/@{ada.username}/followers",
        "/follow-requests",
        thread,
    ]
    async with (
        visiting(browser, stack.issuer, 1400, "light", java_script_enabled=False) as read,
        visiting(browser, stack.issuer, 1400, "light") as used,
    ):
        await compare(read, used, ada, *paths)
        text = await used.page.locator("main").inner_text()
        assert "The first #post" in text
        await open_ready(used, f"/@{ada.username}")
        # The list goes on by itself; its button would be gone before it is clicked.
        await eventually(partial(_is_read_to, used, "The first #post"))
        shown = await used.page.locator("main").inner_text()
        for text in HOSTILE[:7]:
            assert text in shown
        scripted = (
            "document.querySelectorAll('main script, main img[onerror], main [onmouseover]').length"
        )
        assert await used.page.evaluate(scripted) == 0
        hrefs = await used.page.evaluate("[...document.links].map(one => one.protocol)")
        assert set(hrefs) <= {"http:", "https:"}


async def test_scripts_make_the_very_nodes_of_the_chat(
    browser: Browser, stack: Stack, join: Join
) -> None:
    grace = await join()
    chat = await conversation(grace, join, *HOSTILE)
    async with (
        visiting(browser, stack.issuer, 1400, "light", java_script_enabled=False) as read,
        visiting(browser, stack.issuer, 1400, "light") as used,
    ):
        places = (
            "/chat",
            "/chat?folder=archived",
            chat,
            f"{chat}?at=3",
            "/search?q=alert&type=messages",
        )
        await compare(read, used, grace, *places, f"/@{(await join()).username}", chat)
        said = await used.page.locator("main").inner_text()
        for text in HOSTILE[:7]:
            assert text in said


async def compare(read: Visit, used: Visit, member: Member, *paths: str) -> None:
    """Compare pages as the server writes them with the same as scripts make them."""
    for visit in (read, used):
        await sign_in(visit, member)
    # Scripts that take over a page trust its attributes: here they make each page anew.
    await open_ready(used, "/settings/appearance")
    for path in paths:
        await eventually(partial(is_whole, read, path))
        ours = _without_moments(await read.page.evaluate(TREE))
        await used.page.evaluate(FOLLOW, path)
        await used.page.wait_for_url(f"**{path}")
        with suppress(AssertionError):
            await eventually(partial(_is_shown, used, ours), 30)
        theirs = _without_moments(await used.page.evaluate(TREE))
        assert _difference(ours, theirs) is None, path


async def _is_told(member: Member, count: int) -> bool:
    return len((await member.get("/api/notifications?limit=100")).json()["items"]) == count


async def _is_read_to(visit: Visit, text: str) -> bool:
    """Scroll on, and tell whether a text has come."""
    await visit.page.evaluate(GO_ON)
    return text in await visit.page.get_by_role("feed").inner_text()


async def is_whole(visit: Visit, path: str) -> bool:
    """Open a page, and tell whether all its parts came: the server waits for none of them for long."""
    await visit.open(path)
    return bool(await visit.page.evaluate(IS_WHOLE))


def _difference(ours: Any, theirs: Any) -> tuple[Any, Any] | None:
    """The first part of two trees that is not the same."""
    if isinstance(ours, list) and isinstance(theirs, list):
        parts = (_difference(*pair) for pair in zip_longest(ours, theirs))
        return next((one for one in parts if one), None)
    return None if ours == theirs else (ours, theirs)


async def _is_shown(visit: Visit, tree: Any) -> bool:
    return bool(_without_moments(await visit.page.evaluate(TREE)) == tree)


def _without_moments(tree: Any) -> Any:
    """How long ago something was may change between two looks."""
    if isinstance(tree, list):
        return ["time"] if tree[:1] == ["time"] else [_without_moments(one) for one in tree]
    return tree


LOOKS: list[tuple[str, Theme, Width]] = [
    ("en", "light", 360),
    ("tr", "dark", 1400),
    ("en", "contrast", 768),
    ("tr", "forced", 1400),
]
NO_MOMENTS = """() => {
    for (const one of document.querySelectorAll("time")) one.textContent = "TIME";
    for (const one of document.querySelectorAll("#navigation .hidden")) one.textContent = "";
}"""
"""Take out of a page how long ago something was, and how much is unread meanwhile."""


async def test_members_pages_are_accessible_in_every_language_and_colour(
    whole_browser: Browser, stack: Stack, ada: Member, join: Join
) -> None:
    """Each page in one of four looks, in turn; in Turkish, all at 400 % of 1280 px, half in forced colours.

    There, nothing is focused behind bars that stick to an edge. What is read out, and in which order, is
    kept as an outline. `test_gallery` has all themes and states.
    """
    thread = f"/@{ada.username}/p/{await first_post(ada)}"
    paths = {
        "home": "/home",
        "post": thread,
        "appearance": "/settings/appearance",
        "profile": f"/@{ada.username}",
        "notifications": "/notifications",
        "chat": "/chat",
        "conversation": await conversation(ada, join, "See https://example.edu/ or ask @ada"),
        "search": f"/search?q=from:{ada.username}&type=posts",
        "security": "/settings/security",
        "notified": "/settings/notifications",
        "followers": f"/@{ada.username}/followers",
    }
    await eventually(partial(_is_told, ada, 1))
    public = {"landing": "/", "login": "/login", "about": "/about", "rules": "/rules"}
    faults: list[str] = []
    for is_member, pages in ((True, paths), (False, public)):
        async with visiting(whole_browser, stack.issuer) as visit:
            if is_member:
                await sign_in(visit, ada)
            open_page = partial(open_ready, visit) if is_member else visit.open
            for place, (name, path) in enumerate(pages.items()):
                language, theme, width = LOOKS[place % 4]
                await visit.look(theme, width)
                await visit.speak(language)
                await open_page(path)
                faults += await visit.faults()
                await visit.keep(f"{'members' if is_member else 'public'}-{name}")
                if name != "landing":
                    await visit.page.evaluate(NO_MOMENTS)
                    body = visit.page.locator("body")
                    faults += await outlines.differences(body, f"members-{name}", outlines.MEMBERS)
                if language != "tr":
                    await visit.speak("tr")
                    await open_page(path)
                await visit.look("forced" if place % 2 else "dark", 320)
                faults += await visit.faults("target-size")
                await visit.keep(f"{'members' if is_member else 'public'}-{name}-zoomed")
                faults += [f"{path} {one}" for one in await visit.page.evaluate(COVERED)]
    assert not faults, "\n".join(faults)


async def test_first_screen_is_small_and_needs_few_requests(
    browser: Browser, stack: Stack, join: Join
) -> None:
    member = await join()
    async with visiting(browser, stack.issuer) as visit:
        await sign_in(visit, member)
        await open_ready(visit, "/home")
        # What the first screen does not wait for comes when it is there.
        asked = await visit.page.evaluate(ASKED)
        preloaded = await visit.page.evaluate(
            "[...document.querySelectorAll('link[rel=modulepreload]')].map(one => one.href)"
        )
    scripts = [url for url in asked if url.endswith(".js")]
    assert sorted(scripts) == sorted(preloaded), "each module is preloaded, and asked for once"
    assert len(asked) <= 20, asked
    assert not [url for url in asked if "/api/" in url], "what is shown needs no request"
