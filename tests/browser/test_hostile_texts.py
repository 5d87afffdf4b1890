"""What members write stays text: on every screen, by both renderers, and where programs read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx

from chitlaq.core.http import cookies
from chitlaq.core.text import written
from chitlaq.core.visible import is_one_line, is_seen
from tests.browser.conftest import Visit, visiting
from tests.browser.members import open_ready, sign_in
from tests.browser.test_members_pages import is_whole
from tests.conftest import Member, Stack, eventually
from tests.hostile_texts import MARKS, TEXTS, packed
from tests.services.websocket.chat.talking import conversation, say

if TYPE_CHECKING:
    from playwright.async_api import Browser, Dialog

Join = Callable[[], Awaitable[Member]]

OURS = [
    *(
        "a",
        "article",
        "aside",
        "b",
        "bdi",
        "blockquote",
        "button",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
    ),
    *(
        "fieldset",
        "footer",
        "form",
        "h1",
        "h2",
        "header",
        "img",
        "input",
        "label",
        "legend",
        "li",
        "main",
        "mark",
    ),
    *(
        "nav",
        "ol",
        "option",
        "p",
        "progress",
        "section",
        "select",
        "span",
        "summary",
        "svg",
        "textarea",
    ),
    *("time", "ul", "use"),
]
FOREIGN = """names => [...document.querySelectorAll("main *")].flatMap((one) => [
    ...(names.includes(one.localName) ? [] : [one.outerHTML]),
    ...[...one.attributes].map(({name}) => name).filter(name => name.startsWith("on") || name === "style"),
    ...("protocol" in one && !/^(https?)?:$/.test(one.protocol) ? [one.outerHTML] : []),
])"""
SHOWN = "what => [...document.querySelectorAll(`main ${what}`)].map(one => one.textContent)"
WRITTEN = ".text, .excerpt, .name, .talk bdi"
SCRIPTS = "document.scripts.length"
ASK_AGAIN = """() => {
    const refused = document.querySelector("main:has(.request-id)");
    refused?.querySelector(".more button:enabled")?.click();
}"""
"""What was refused, as it may be when the machine has much to do, is asked for again as a reader would."""
FOLLOW = """path => {
    const link = Object.assign(document.createElement("a"), {href: path});
    document.body.append(link);
    link.click();
    link.remove();
}"""


def is_text(graphemes: int, characters: int, text: str) -> bool:
    """Whether the API takes a text: it shows something, and is not too long."""
    try:
        written.checked(text, graphemes)
    except ValueError:
        return False
    return len(text) <= characters


def is_name(text: str) -> bool:
    return len(text) <= 80 and is_one_line(text) and is_seen(text)


async def says(visit: Visit, path: str, texts: list[str]) -> bool:
    """Whether the screen of an address is there, and says this."""
    await visit.page.evaluate(ASK_AGAIN)
    return visit.page.url.endswith(path) and await visit.page.evaluate(SHOWN, WRITTEN) == texts


async def test_hostile_texts_stay_text_on_every_screen(
    browser: Browser, stack: Stack, join: Join
) -> None:
    assert len(TEXTS) >= 200
    ada, eve = await join(), await join()
    name = '<b onclick="alert(1)">&amp; Eve</b>'
    await eve.patch("/api/users/me", {"display_name": name, "bio": TEXTS[0]})
    main = await ada.write("what is answered")
    assert (await eve.post("/api/posts", {"text": MARKS})).status_code == 422
    warnings = [text for text in TEXTS if is_name(text)]
    posts: list[str] = []
    for text in (*packed(TEXTS, "\n", partial(is_text, 960, 4900)), MARKS[:4900]):
        mentioned = f"corpus @{ada.username}\n{text}"
        warning = warnings[len(posts)]
        for more in ({"reply_to": main["id"]}, {"content_warning": warning}):
            post = await eve.write(mentioned, **more)
            posts.append(post["text"])
    options = ["<i>one", "&lt;two"]
    poll = {"options": options, "expires_in_seconds": 3600, "multiple": False}
    await eve.write(TEXTS[1], poll=poll)
    await ada.put(f"/api/users/{eve.username}/follow")
    talk = await conversation(eve, ada)
    said = packed(TEXTS, "\n", partial(is_text, 4000, 16_000))
    said = [(await say(eve, talk["id"], f"corpus {text}"))["text"] for text in said]

    async def is_told_and_found() -> bool:
        told = await ada.get("/api/notifications?limit=100")
        found = await ada.get(f"/api/search/posts?q=corpus%20from:{eve.username}&limit=50")
        return min(len(one.json()["items"]) for one in (told, found)) >= len(posts)

    await eventually(is_told_and_found)

    async def check(visit: Visit, path: str, expected: list[str], what: str = ".text") -> None:
        shown = set(await visit.page.evaluate(SHOWN, what))
        missing = [text for text in expected if text not in shown]
        assert not missing, (path, missing[0], shown)
        assert await visit.page.evaluate(FOREIGN, OURS) == [], path
        assert await visit.too_wide() == []

    alerts: list[str] = []

    async def note(dialog: Dialog) -> None:
        alerts.append(f"{dialog.page and dialog.page.url}: {dialog.message}")
        await dialog.dismiss()

    screens: list[tuple[str, list[str]]] = [
        ("/home", [text for number, text in enumerate(posts) if number % 2]),
        (f"/@{ada.username}/p/{main['id']}", posts[::2]),
        (f"/@{eve.username}", []),
        (f"/search?q=corpus%20from:{eve.username}&type=posts&sort=time", []),
        ("/search?q=corpus&type=messages", []),
        (f"/search?q={eve.username}", []),
        ("/notifications", []),
        ("/chat", []),
        (f"/chat/{talk['id']}", said),
    ]
    async with (
        visiting(browser, stack.issuer, java_script_enabled=False) as read,
        visiting(browser, stack.issuer) as used,
    ):
        for visit in (read, used):
            visit.page.on("dialog", note)
            await sign_in(visit, ada)
        await open_ready(used, "/settings/appearance")
        scripts = await used.page.evaluate(SCRIPTS)
        for path, expected in screens:
            await eventually(partial(is_whole, read, path))
            await check(read, path, expected)
            shown = await read.page.evaluate(SHOWN, WRITTEN)
            assert shown, path
            await used.page.evaluate(FOLLOW, path)
            with suppress(AssertionError):
                await eventually(partial(says, used, path, shown))
            assert await used.page.evaluate(SHOWN, WRITTEN) == shown, path
            await check(used, path, expected)
            assert await used.page.evaluate(SCRIPTS) == scripts, path
        # Also the first screen as data, beside the markup.
        for path, expected in screens:
            await eventually(partial(is_whole, used, path))
            await used.page.wait_for_selector("html[data-ready]")
            await check(used, path, expected)
    assert alerts == []


class Read(HTMLParser):
    """What a program that previews links takes from a page; and all elements and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.og: dict[str, str] = {}
        self.title = ""
        self.kinds: set[tuple[str, str]] = set()
        self._in = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.kinds |= {(tag, name) for name, _ in attributes or [("", None)]}
        known = dict(attributes)
        if tag == "meta" and (known.get("property") or "").startswith("og:"):
            self.og[str(known["property"])] = str(known["content"])

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "title":
            self.title += data


async def test_hostile_names_and_biographies_stay_text_in_previews_of_links(
    stack: Stack, join: Join, client: httpx.AsyncClient
) -> None:
    eve = await join()
    reader = {"Cookie": f"{cookies.ACCESS}={eve.token}"}
    names = packed(TEXTS, " ", is_name)
    lives = packed(TEXTS, "\n", partial(is_text, 500, 500))
    harmless: set[tuple[str, str]] = set()
    for number, name in enumerate(["Eve", *names]):
        about: dict[str, Any] = {"display_name": name, "department": name, "pronouns": name[:40]}
        about["fields"] = [{"name": name[:40].strip() or "x", "value": name}]
        about["bio"] = lives[(number - 1) % len(lives)] if number else "About"
        if not is_seen(about["fields"][0]["name"]):
            del about["fields"]
        answer = await eve.patch("/api/users/me", about)
        assert answer.status_code == 200, (name, answer.text)
        stored = answer.json()
        page = (await client.get(f"/@{eve.username}", headers=reader if number % 2 else {})).text
        read = Read(page)
        if number:
            assert read.kinds <= harmless, (name, read.kinds - harmless)
        else:
            harmless = (
                read.kinds
                | Read((await client.get(f"/@{eve.username}", headers=reader)).text).kinds
            )
            harmless |= {("a", "rel"), ("a", "class"), ("a", "href")}
        if "og:title" in read.og:
            assert read.og["og:title"] == f"{stored['display_name']} (@{eve.username})"
            assert read.og["og:description"].strip() == stored["bio"].strip()
