"""Every screen of the members' application in every state, by chapter: what is looked at, and judged by axe.

Shots of a chapter follow each other in one browser, so that what is written in one (a draft, what waits) has
to be in the last ones. Nothing here goes by words: each shot is taken in each language.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chitlaq.core.http import cookies
from chitlaq.services.gateway import apologies
from chitlaq.services.gateway.pages import settings
from tests.browser.campus import Campus, scene
from tests.browser.conftest import Visit
from tests.browser.members import open_ready, sign_in
from tests.conftest import PASSWORD, eventually

if TYPE_CHECKING:
    from playwright.async_api import FilePayload, Route

Arrange = Callable[[Visit, Campus], Awaitable[None]]


@dataclass(frozen=True)
class Shot:
    """A screen in a state.

    Args:
        name: of the file.
        path: what is opened; a name of `Campus.paths` in braces stands for that page.
        arrange: what is done there before the picture is taken.
        is_whole: whether the picture goes on below the fold; what lies over a screen does not.
        is_missing: whether the page is a 404.
        allows: what axe need not find: a screen that is about to come has no heading yet.
    """

    name: str
    path: str
    arrange: Arrange | None = None
    is_whole: bool = True
    is_missing: bool = False
    allows: str = ""


def clicking(*selectors: str, then: str = "") -> Arrange:
    """Press one thing after the other, and wait for what has to be there then."""

    async def arrange(visit: Visit, _campus: Campus) -> None:
        for selector in selectors:
            await visit.page.locator(selector).first.click()
        if then:
            await visit.page.locator(then).first.wait_for()

    return arrange


def answering(path: str, follow: str, status: int, **headers: str) -> Arrange:
    """Let the server refuse what the next screen reads, and go there."""

    async def refuse(route: Route) -> None:
        said = {"detail": "", "request_id": "0d9f6c1e5b7a4f5e9a3f2a1b6c7d8e9f"}
        await route.fulfill(status=status, headers=headers, json=said)

    async def arrange(visit: Visit, _campus: Campus) -> None:
        await visit.page.route(path, refuse)
        await visit.page.locator(follow).first.click()
        await visit.page.locator("main .request-id").wait_for()

    return arrange


async def keep_waiting(visit: Visit, _campus: Campus) -> None:
    """Go to a screen of which nothing comes."""

    async def hang(_route: Route) -> None:
        return

    await visit.page.route("**/api/notifications?*", hang)
    await visit.page.locator(".to-notifications").click()
    await visit.page.wait_for_selector("main[aria-busy]")


async def lose_connection(visit: Visit, _campus: Campus) -> None:
    await visit.page.context.set_offline(True)
    await visit.page.locator("#state .state").wait_for()


async def end_session(visit: Visit, _campus: Campus) -> None:
    """The session was ended elsewhere, which this page hears at its next request."""
    for name in (cookies.ACCESS, cookies.REFRESH):
        await visit.page.context.clear_cookies(name=name)
    await visit.page.locator("button.like").first.click()
    await visit.page.wait_for_selector("dialog[open]")


async def undo(visit: Visit, campus: Campus) -> None:
    """Delete a post of one's own: what one sees as long as it can be taken back.

    To look at it may take longer than that, so no other state needs the post.
    """
    post = await campus.ayse.write("Not what I meant.")
    await open_ready(visit, f"/@ayse/p/{post['id']}")
    await visit.page.locator("article .more-of").first.click()
    await visit.page.locator("[role=menuitem]").last.click()
    await visit.page.locator(".toast button").wait_for()


async def take_back(visit: Visit) -> None:
    """Take back a deletion that waits."""
    button = visit.page.locator(".toast button")
    if await button.count():
        await button.click()


async def suggest(visit: Visit, _campus: Campus) -> None:
    field = visit.page.locator("textarea[name=text]")
    await field.focus()
    await visit.page.wait_for_timeout(500)
    await field.press_sequentially("Thanks, @a", delay=60)
    await visit.page.locator("[role=option]").first.wait_for()


def photograph(name: str, seed: int) -> FilePayload:
    return {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": scene(900, 600, seed)}


async def write_with_everything(visit: Visit, _campus: Campus) -> None:
    """A text with two pictures, one described, a poll, a warning, and all settings open."""
    page = visit.page
    await page.locator("textarea[name=text]").fill("Which of these two? مرحبا, İstanbul'dan 👋")
    tools = page.locator(".composer-tools button")
    async with page.expect_file_chooser() as choosing:
        await tools.nth(0).click()
    await (await choosing.value).set_files([photograph("tower", 3), photograph("bridge", 4)])
    await page.locator(".pictures textarea").nth(1).wait_for()
    await page.locator(".pictures textarea").first.fill("A tower at noon")
    for place in (1, 2, 3):
        await tools.nth(place).click()
    await page.locator(".poll-option input").nth(0).fill("The tower")
    await page.locator(".poll-option input").nth(1).fill("The bridge")
    await page.locator(".extra > input").first.fill("Heights")
    await page.locator(".pictures progress").first.wait_for(state="detached")


async def ask_for_descriptions(visit: Visit, campus: Campus) -> None:
    await visit.page.locator("textarea[name=text]").wait_for()
    if not await visit.page.locator(".pictures textarea").count():
        await write_with_everything(visit, campus)
    await visit.page.locator(".composer button[type=submit]").click()
    await visit.page.locator(".composer .refused").wait_for()


async def write_too_much(visit: Visit, _campus: Campus) -> None:
    await visit.page.locator("textarea[name=text]").fill("word " * 205)


async def be_refused(visit: Visit, _campus: Campus) -> None:
    """Two posts: one that the server refuses, one that waits for a connection."""

    async def refuse(route: Route) -> None:
        await route.fulfill(status=422, json={"detail": "The text is not accepted."})

    page = visit.page
    await page.route("**/api/posts", refuse)
    await page.locator("textarea[name=text]").fill("Does this arrive?")
    await page.locator("textarea[name=text]").press("Control+Enter")
    await page.locator(".unsent .quiet").first.wait_for()
    await page.context.set_offline(True)
    await page.locator("textarea[name=text]").fill("And this one, from the tunnel?")
    await page.locator("textarea[name=text]").press("Control+Enter")
    await page.locator(".unsent > li").nth(1).wait_for()


async def enlarge(visit: Visit, _campus: Campus) -> None:
    await visit.page.locator(".media a").first.click()
    await visit.page.wait_for_selector("dialog.lightbox[open]")


async def help_with_keys(visit: Visit, _campus: Campus) -> None:
    await visit.page.locator("main h1").focus()
    await visit.page.wait_for_timeout(500)
    await visit.page.keyboard.press("?")
    await visit.page.wait_for_selector("dialog[open]")


async def suggest_searches(visit: Visit, _campus: Campus) -> None:
    field = visit.page.locator("main .search input[type=search]")
    await field.focus()
    await field.press_sequentially("a", delay=60)
    await visit.page.locator("[role=option]").first.wait_for()


async def hear_something_new(visit: Visit, campus: Campus) -> None:
    """Others write while somebody reads."""
    pill = visit.page.locator(".pill button")

    async def is_offered() -> bool:
        await visit.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        return await pill.count() > 0

    await visit.page.evaluate("scrollTo(0, 900)")
    await campus.ada.write(f"New while you read, {secrets.token_hex(2)}")
    await eventually(is_offered)


def message(place: int, *then: str, wait: str = "") -> Arrange:
    """Open the menu of a message, and go on from there."""

    async def arrange(visit: Visit, _campus: Campus) -> None:
        row = visit.page.locator(".message").nth(place)
        await row.hover()
        await row.locator(".tools").click()
        await visit.page.locator(".menu [role=menuitem]").first.wait_for()
        for selector in then:
            await visit.page.locator(selector).first.click()
        if wait:
            await visit.page.locator(wait).first.wait_for()

    return arrange


async def wait_in_the_talk(visit: Visit, _campus: Campus) -> None:
    """Messages that wait for a connection."""
    await visit.page.context.set_offline(True)
    for text in ("Still in the tunnel", "Nearly there"):
        await visit.page.locator("#say").fill(text)
        await visit.page.locator(".say button[type=submit]").click()
    await visit.page.locator(".waiting .answer").nth(1).wait_for()


async def choose_people(visit: Visit, _campus: Campus) -> None:
    """A group that is about to begin."""
    page = visit.page
    await page.locator(".title-row button").click()
    field = page.locator("dialog input").first
    for name in ("nour", "maximiliane"):
        await field.fill(name)
        await page.locator("dialog button.person").first.click()
    await field.fill("a")
    await page.locator("dialog button.person").first.wait_for()


async def attach(visit: Visit, _campus: Campus) -> None:
    page = visit.page
    async with page.expect_file_chooser() as choosing:
        await page.locator(".say .icon-link").click()
    await (await choosing.value).set_files([photograph("lake", 5)])
    await page.locator(".pictures textarea").wait_for()
    await page.locator("#say").fill("This is where we meet")
    await page.locator(".say button[type=submit]").click()
    await page.locator(".attached .refused").wait_for()


def filling(**fields: str) -> Arrange:
    """Fill in a form, and send it as it is."""

    async def arrange(visit: Visit, _campus: Campus) -> None:
        form = visit.page.locator("main form").first
        for name, text in fields.items():
            unused = text.replace("NEW", f"n{secrets.token_hex(4)}")
            await form.locator(f"[name={name}]").fill(unused)
        await visit.page.evaluate("document.querySelector('main form').noValidate = true")
        await form.locator("button").first.click()
        await visit.page.wait_for_load_state("load")

    return arrange


async def follow_the_mail(visit: Visit, campus: Campus) -> None:
    """Open the link that was mailed last."""
    (row,) = await campus.stack.sql(
        "SELECT links FROM mail.messages WHERE subject <> '' ORDER BY created_at DESC, id DESC LIMIT 1"
    )
    await visit.page.goto(row["links"][0])


def apology(kind: str) -> Arrange:
    """What nginx answers by itself."""

    async def arrange(visit: Visit, _campus: Campus) -> None:
        language = await visit.page.locator("html").get_attribute("lang") or ""
        page = apologies.pages()[kind][language]

        async def answer(route: Route) -> None:
            await route.fulfill(content_type="text/html; charset=utf-8", body=page)

        await visit.page.route("**/apology", answer)
        await visit.page.goto(f"{visit.origin}/apology")

    return arrange


async def prove(visit: Visit, campus: Campus) -> None:
    """Ask for something dangerous, long after one signed in."""
    await campus.stack.sql(
        "UPDATE auth.sessions SET authenticated_at = now() - interval '1 hour' WHERE account_id = $1",
        campus.ayse.id,
    )
    await visit.page.locator("#enroll button:enabled").click()
    await visit.page.wait_for_selector("dialog#prove[open]")


async def set_up_an_app(visit: Visit, campus: Campus) -> None:
    await prove(visit, campus)
    await visit.page.locator("#prove-password").fill(PASSWORD)
    await visit.page.locator("#prove button[type=submit]").click()
    await visit.page.locator("dialog[open] .secret").wait_for()


FIRST_MENU = "article .more-of"
COVERED = "target-size"
"""What lies over a screen may leave too little of what is below it."""
CHAPTERS: dict[str, tuple[str, tuple[Shot, ...]]] = {
    "feed": (
        "ayse",
        (
            Shot("home", "/home"),
            Shot(
                "home-loading",
                "/home",
                keep_waiting,
                is_whole=False,
                allows="page-has-heading-one",
            ),
            Shot(
                "home-refused",
                "/home",
                answering("**/api/notifications?*", ".to-notifications", 500),
                is_whole=False,
            ),
            Shot(
                "home-too-often",
                "/home",
                answering(
                    "**/api/notifications?*", ".to-notifications", 429, **{"Retry-After": "40"}
                ),
                is_whole=False,
            ),
            Shot("home-offline", "/home", lose_connection, is_whole=False),
            Shot("home-news", "/home", hear_something_new, False, allows=COVERED),
            Shot("post-menu", "/home", clicking(FIRST_MENU, then=".menu"), False, allows=COVERED),
            Shot(
                "post-report",
                "{view}",
                clicking(FIRST_MENU, ".menu-item.danger", then="dialog[open]"),
                is_whole=False,
            ),
            Shot(
                "post-edit",
                "{edited}",
                clicking(FIRST_MENU, ".menu-item:nth-last-of-type(2)", then="dialog[open]"),
                is_whole=False,
            ),
            Shot("post-deleted", "/home", undo, is_whole=False),
            Shot("lightbox", "{view}", enlarge, is_whole=False),
            Shot("keys", "/home", help_with_keys, is_whole=False),
            Shot("session-ended", "/home", end_session, is_whole=False),
            Shot("thread", "{thread}"),
            Shot("thread-reply", "{reply}"),
            Shot("thread-deep", "{deep}"),
            Shot("likes", "{view}/likes"),
            Shot("reposts", "{view}/reposts"),
            Shot("quotes", "{thread}/quotes"),
            Shot("history", "{edited}/history"),
            Shot("explore", "/explore"),
            Shot("tag", "/tags/compilers"),
            Shot("tag-empty", "/tags/nobody"),
            Shot("bookmarks", "/bookmarks"),
            Shot("drafts", "/drafts"),
            Shot("nothing", "/@nobody", is_missing=True),
            Shot("completions", "/home", suggest, is_whole=False),
            Shot("unsent", "/home", be_refused, is_whole=False),
            Shot("too-long", "/compose", write_too_much, is_whole=False),
            Shot("composer", "/compose", write_with_everything),
            Shot("composer-descriptions", "/compose", ask_for_descriptions),
        ),
    ),
    "people": (
        "ayse",
        (
            Shot("own-profile", "/@ayse"),
            Shot("profile", "/@ada"),
            Shot("profile-long", "/@maximiliane"),
            Shot("profile-right-to-left", "/@nour"),
            Shot("profile-warned", "/@ilgaz", clicking(".warning summary")),
            Shot("profile-empty", "/@newcomer"),
            Shot("profile-private", "/@deniz"),
            Shot("profile-blocked", "/@spam"),
            Shot("profile-blocks", "/@kim", is_missing=True),
            Shot(
                "member-menu",
                "/@ada",
                clicking(".profile-doors [aria-haspopup]", then=".menu"),
                is_whole=False,
            ),
            Shot(
                "member-block",
                "/@ada",
                clicking(
                    ".profile-doors [aria-haspopup]", ".menu-item.danger", then="dialog[open]"
                ),
                is_whole=False,
            ),
            Shot("followers", "/@ayse/followers"),
            Shot("following", "/@ayse/following"),
            Shot("requests", "/follow-requests"),
            Shot("notifications", "/notifications"),
            Shot("notifications-apart", "/notifications?filtered=true"),
            Shot("search", "/search"),
            Shot("search-help", "/search", clicking(".search-help summary")),
            Shot("search-suggestions", "/search", suggest_searches, is_whole=False),
            Shot("search-members", "/search?q=a&type=members"),
            Shot("search-posts", "/search?q=library&type=posts"),
            Shot("search-tags", "/search?q=com&type=tags"),
            Shot("search-messages", "/search?q=library&type=messages"),
            Shot("search-nothing", "/search?q=zzzzzz&type=posts"),
            Shot("search-ignored", "/search?q=library%20from:&type=posts"),
        ),
    ),
    "chat": (
        "ayse",
        (
            Shot("chats", "/chat"),
            Shot("chats-archived", "/chat?folder=archived"),
            Shot("chat-new", "/chat", choose_people, is_whole=False),
            Shot("chat", "{talk}", is_whole=False),
            Shot("chat-at", "{talk}?at=2", is_whole=False),
            Shot("chat-message-menu", "{talk}?at=2", message(1), is_whole=False),
            Shot(
                "chat-reply",
                "{talk}?at=2",
                message(1, ".menu [role=menuitem]", wait=".about"),
                is_whole=False,
            ),
            Shot(
                "chat-menu", "{group}", clicking(".talk-head [aria-haspopup]", then=".menu"), False
            ),
            Shot(
                "chat-group",
                "{group}",
                clicking(".talk-head [aria-haspopup]", ".menu-item", then="dialog .people"),
                is_whole=False,
            ),
            Shot(
                "chat-date",
                "{talk}",
                clicking(".talk-head [aria-haspopup]", ".menu-item:nth-of-type(2)", then="#day"),
                is_whole=False,
            ),
            Shot("chat-unread", "{group}", is_whole=False),
            Shot("chat-silent", "{silent}", is_whole=False),
            Shot("chat-asked", "{asked}", is_whole=False),
            Shot("chat-nothing", "/chat/01a216b3-3fde-74d9-86da-915a17037628", is_missing=True),
            Shot("chat-attach", "{silent}", attach, is_whole=False),
            Shot("chat-waiting", "{talk}", wait_in_the_talk, is_whole=False),
        ),
    ),
    "settings": (
        "ayse",
        (
            Shot("settings", "/settings"),
            Shot("settings-appearance", "/settings/appearance"),
            Shot("settings-shortcuts", "/settings/shortcuts"),
            *(Shot(f"settings-{one}", f"/settings/{one}") for one in settings.SECTIONS),
            Shot("prove", "/settings/security", prove, is_whole=False),
            Shot("app-codes", "/settings/security", set_up_an_app, is_whole=False),
        ),
    ),
    "asked": (
        "deniz",
        (
            Shot("requests-asked", "/follow-requests"),
            Shot("notifications-asked", "/notifications"),
        ),
    ),
    "empty": (
        "newcomer",
        (
            Shot("empty-home", "/home"),
            Shot("empty-bookmarks", "/bookmarks"),
            Shot("empty-drafts", "/drafts"),
            Shot("empty-notifications", "/notifications"),
            Shot("empty-archive", "/chat?folder=archived"),
            Shot("empty-profile", "/@newcomer"),
            Shot("empty-requests", "/follow-requests"),
            Shot("empty-followers", "/@newcomer/followers"),
            Shot("empty-blocked", "/settings/blocked"),
            Shot("empty-export", "/settings/export"),
            Shot("empty-searches", "/settings/searches"),
        ),
    ),
    "public": (
        "",
        (
            Shot("landing", "/"),
            Shot("public-explore", "/explore"),
            Shot("public-profile", "/@ada"),
            Shot("public-post", "{thread}"),
            Shot("public-tag", "/tags/compilers"),
            Shot("public-search", "/search?q=compilers&type=posts"),
            Shot("public-nothing", "/@deniz/p/1", is_missing=True),
            Shot("join", "/join"),
            Shot(
                "join-refused",
                "/join",
                filling(email="eve@nowhere.org", display_name="E", username="a b", password="12"),
            ),
            Shot(
                "join-sent",
                "/join",
                filling(
                    email="NEW@example.edu", display_name="Eve", username="NEW", password=PASSWORD
                ),
            ),
            Shot("verify", "/verify?token=x", follow_the_mail),
            Shot("verify-over", "/verify?token=x"),
            Shot("mailbox", "/dev/mail"),
            Shot("login", "/login"),
            Shot("login-refused", "/login", filling(login="ayse", password="wrong")),
            Shot("reset", "/reset"),
            Shot("reset-sent", "/reset", filling(email="ayse@example.edu")),
            Shot("reset-over", "/reset?token=x"),
            Shot("about", "/about"),
            Shot("rules", "/rules"),
            Shot("public-status", "/status"),
            Shot("api", "/api/docs", is_whole=False),
            Shot("away", "/about", apology("away"), is_whole=False),
            Shot("too-many", "/about", apology("too_many"), is_whole=False),
        ),
    ),
}
"""By chapter: who looks, and the shots in their order."""


async def take(visit: Visit, campus: Campus, shot: Shot, member: str) -> None:
    """Open a screen, and bring it into its state."""
    path = shot.path.format(**campus.paths)
    if shot.is_missing or not member:
        await visit.page.goto(visit.origin + path)
    else:
        await open_ready(visit, path)
    if shot.arrange:
        await shot.arrange(visit, campus)


async def restore(visit: Visit, campus: Campus, member: str) -> None:
    """Undo what a state has done to the browser."""
    await take_back(visit)
    await visit.page.unroute_all(behavior="ignoreErrors")
    await visit.page.context.set_offline(False)
    if member:
        await sign_in(visit, campus.members[member])
