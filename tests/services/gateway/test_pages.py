"""The pages of the site, as they come from the server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from litestar import Litestar
from litestar.datastructures import State
from litestar.testing import AsyncTestClient

from chitlaq import inventory
from chitlaq.cli.serve import load
from chitlaq.core.http import cookies
from chitlaq.core.http import routes as routes_of
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.languages import LANGUAGES
from chitlaq.services.gateway import nginx
from chitlaq.services.gateway.pages import routes
from chitlaq.services.gateway.pages.screens import Screens
from chitlaq.services.websocket.chat.schemas import Event
from chitlaq.web.console.status.pages import POLICY as STATUS_POLICY
from chitlaq.web.site.pages import SITE, shared_words
from tests.conftest import Member, Stack
from tests.services.feed.pictures import encoded, picture, uploaded

Join = Callable[[], Awaitable[Member]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "manifest-src 'self'; worker-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types chitlaq-sw"
)


@pytest.fixture
async def web(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.issuer, timeout=20) as client:
        yield client


async def test_public_post_has_a_preview_and_any_other_is_as_if_it_were_not(
    web: httpx.AsyncClient, join: Join
) -> None:
    author = await join()
    place = f"/@{author.username}/p"
    public = await author.write('Open "day" <today>')
    page = await web.get(f"{place}/{public['id']}")
    assert page.status_code == 200
    assert (
        '<meta property="og:description" content="Open &#34;day&#34; &lt;today&gt;">' in page.text
    )
    assert "<script" not in page.text, "reading needs none"
    assert page.headers["Content-Security-Policy"] == POLICY
    answers = set()
    for visibility in ("university", "followers", "self", None):
        hidden = str(uuid4())
        if visibility is not None:
            hidden = (await author.write("a secret", visibility=visibility))["id"]
        answer = await web.get(f"{place}/{hidden}")
        answers.add((answer.status_code, re.sub(hidden, "ID", answer.text)))
    assert len(answers) == 1
    assert answers.pop()[0] == 404
    warned = await author.write("spoiler", content_warning="the end")
    assert "og:description" not in (await web.get(f"{place}/{warned['id']}")).text
    for nothing in ("/@nobody-is-called-so", f"{place}/x"):
        assert (await web.get(nothing)).status_code == 404, nothing


# What strangers may look at, too, but programs show nothing of.
NO_PREVIEWS = re.compile(
    r"/api/.*|/search|/settings/.*|/@[^/]+/f\w+|/@[^/]+/p/[^/]+/.+|/shell|/nothing.*"
)
DOORS = re.compile(r"/(login|reset|verify|confirm-address|unsubscribe|keep|dev/mail)")


def _expect_preview(path: str, answer: httpx.Response) -> None:
    """A page that strangers get has all that programs show of a link to it, or nothing of it."""
    if answer.status_code != 200 or not answer.headers["Content-Type"].startswith("text/html"):
        return
    said = dict(re.findall(r'<meta property="og:(\w+)" content="([^"]+)">', answer.text))
    if NO_PREVIEWS.fullmatch(path):
        assert said == {}, path
        return
    assert {"type", "title", "description", "url"} <= said.keys(), path
    assert urlsplit(said["url"]).path.startswith(path), path
    is_hidden = '<meta name="robots" content="noindex">' in answer.text
    assert is_hidden == bool(DOORS.fullmatch(path)), path


async def test_every_page_states_its_policy_and_has_the_colours_that_were_chosen(
    stack: Stack, web: httpx.AsyncClient, join: Join
) -> None:
    member, other = await join(), await join()
    post = await member.write("a post")
    media = (await uploaded(member, encoded(picture())))["url"]
    begun = {"kind": "direct", "members": [other.username]}
    talk = await member.post("/api/conversations", begun)
    values = {
        "handle": f"@{member.username}", "post_id": post["id"], "about": "likes", "tag": "x",
        "conversation_id": talk.json()["id"], "section": "privacy", "provider": "x",
        "version": SITE.static_version, "name": "app/main.js",
    }  # fmt: skip
    pages = {
        re.sub(r"\{(\w+):\w+\}", lambda one: values[one[1]], handler.paths.copy().pop())
        for row in inventory.FORWARDED
        for handler in routes_of.collect(load(row))
        if handler.opt.get("is_page") and "GET" in handler.http_methods
    }
    pages = {f"/api{one}" if one.startswith(("/auth/", "/ws/")) else one for one in pages}
    # Browsers get this one as a page, programs as a document.
    pages.add("/api/docs")
    chosen = {"Cookie": "theme=contrast"}
    cookie = {"Cookie": f"theme=contrast; {cookies.ACCESS}={member.token}"}
    shown: set[str] = set()
    for who in (chosen, cookie):
        for path in (*pages, "/nothing-of-this-name"):
            answer = await web.get(path, headers={"Accept": "text/html", **who})
            kind = answer.headers.get("Content-Type", "").partition(";")[0]
            if answer.status_code >= 300 and kind != "text/html":
                continue
            assert answer.headers.get("Content-Security-Policy") == POLICY, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            styles = re.findall(r'<link rel="stylesheet" href="([^"]+)">', answer.text)
            stated = ", ".join(f"<{one}>; rel=preload; as=style" for one in styles)
            assert answer.headers.get("Link", "") == stated, path
            if who is chosen:
                _expect_preview(path, answer)
            if kind == "text/html":
                assert 'data-theme="contrast"' in answer.text, path
                assert "Cookie" in answer.headers["Vary"], path
            shown.add(path)
    # They need a provider, and an account that is to be deleted.
    others = {one for one in pages if one.startswith("/api/auth/sso")} | {"/keep"}
    assert shown >= pages - others
    for path in ("/status", "/status/en/history", "/status/tr/subscribe"):
        answer = await web.get(path)
        assert answer.headers["Content-Security-Policy"] == STATUS_POLICY, path
        _expect_preview(path, answer)
    answer = await web.get(media, headers=cookie)
    assert (answer.status_code, answer.headers["Content-Security-Policy"]) == (
        200,
        "default-src 'none'; sandbox",
    )


async def test_public_lists_are_read_to_their_end_without_scripts(
    stack: Stack, web: httpx.AsyncClient, join: Join
) -> None:
    author = await join()
    tag = f"t{author.username}"
    post = await author.write(f"number 0 #{tag}")
    for number in range(1, 45):
        await author.write(f"number {number} #{tag}")
    for number in range(22):
        await author.write(f"answer {number}", reply_to=post["id"])
    for begin, wanted in (
        (f"/tags/{tag}", 45),
        (f"/@{author.username}", 67),
        (f"/@{author.username}/p/{post['id']}", 23),
    ):
        path, found = begin, list[str]()
        while path:
            page = (await web.get(path)).text
            found += re.findall(r'<article class="post(?: main)?" data-id="([^"]+)"', page)
            (more,) = re.findall(r'href="(\?cursor=[^"]+)"', page) or [""]
            path = more and f"{begin}{unescape(more)}"
        assert len(set(found)) == wanted, begin
    assert "cursor=" not in (await web.get("/")).text


PUBLIC_PAGES = {
    "/", "/about", "/explore", "/rules", "/join", "/tags/{tag}", "/@{handle}", "/@{handle}/p/{post_id}",
    "/robots.txt", "/manifest.webmanifest", "/static/{version}/{name}",
}  # fmt: skip


async def test_robots_are_asked_to_read_public_pages_alone(web: httpx.AsyncClient) -> None:
    """Each route of the installation is for them or not."""
    answer = await web.get("/robots.txt")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    first, *rules = answer.text.splitlines()
    assert first == "User-agent: *"
    # RFC 9309, 2.2.2: a rule is the beginning of a path, and * is any characters.
    unwanted = [
        re.compile(re.escape(rule.removeprefix("Disallow: ")).replace(r"\*", ".*"))
        for rule in rules
    ]
    allowed = set()
    for row in inventory.SERVICES:
        for route in routes_of.for_members(load(row)):
            path = (
                route.template if route.is_at_root else f"{nginx._prefix(row.name)}{route.template}"
            )
            asked = re.sub(r"\{\w+\}", "x", path)
            if not any(one.match(asked) for one in unwanted):
                allowed.add(path)
    assert allowed == PUBLIC_PAGES


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/explore", "Explore"),
        ("/tags/campus", "#campus"),
        ("/about", "About ChitLaq"),
        ("/rules", "Rules"),
    ],
)
async def test_page_of_the_site_has_a_preview(
    web: httpx.AsyncClient, path: str, title: str
) -> None:
    page = (await web.get(path)).text
    assert f'<meta property="og:title" content="{title} \u2013 ChitLaq">' in page
    assert 'og:description" content="Talk with those' in page
    assert f'{path}">' in page.partition('og:url" content="')[2][:100]


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "The name must not be empty."), ("tr", "Ad boş olamaz.")],
)
async def test_page_says_what_it_refuses_in_a_sentence(
    web: httpx.AsyncClient, stack: Stack, language: str, said: str
) -> None:
    form = {"email": "a@example.edu", "username": "a_b_c", "display_name": " ", "password": "x"}
    own = {"Origin": stack.issuer, "Accept-Language": language}
    page = await web.post("/join", data=form, headers=own)
    assert page.status_code == 422
    assert f'id="display_name-refused" class="refused" role="alert">{said}</span>' in page.text


async def test_private_profile_gives_programs_no_preview(
    web: httpx.AsyncClient, join: Join
) -> None:
    member = await join()
    await member.patch("/api/users/me", {"bio": "To be found", "is_private": True})
    page = (await web.get(f"/@{member.username}")).text
    assert "og:" not in page
    assert '<meta name="robots" content="noindex">' in page


async def test_members_pages_lead_strangers_to_sign_in_and_are_kept_by_nobody(
    web: httpx.AsyncClient, join: Join
) -> None:
    for path in ("/home", "/compose", "/chat", "/notifications"):
        answer = await web.get(path)
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"/login?return_to=%2F{path[1:]}"
    member = await join()
    cookie = {"Cookie": f"{cookies.ACCESS}={member.token}"}
    page = await web.get("/home", headers=cookie)
    assert page.headers["Cache-Control"] == "no-store"
    assert f'"username":"{member.username}"' in page.text
    assert member.token not in page.text
    assert (await web.get("/", headers=cookie)).headers["Location"] == "/home"
    other = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    answer = await web.post("/settings/appearance", data={"theme": "dark"}, headers=other)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


# Services take their parameters in the same way, and nothing makes an error of that there.
@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
async def test_page_comes_without_the_parts_of_a_service_that_is_away(tmp_path: Path) -> None:
    nowhere: Any = SimpleNamespace(settings=Settings(), home=Home(tmp_path))
    gateway = Litestar(
        [
            routes.explore,
            routes.home,
            routes.profile,
            routes.thread,
            routes.followers,
            routes.search,
        ],
        state=State({"screens": Screens(nowhere), "context": nowhere}),
        openapi_config=None,
    )
    async with AsyncTestClient(gateway) as client:
        for path in (
            "/explore",
            "/@ada",
            f"/@ada/p/{UUID(int=1)}",
            "/@ada/followers",
            "/search?q=x",
        ):
            page = await client.get(path)
            assert page.status_code == 200
            # Strangers have no script that asks again.
            assert "at the moment" in page.text, path
            assert '<a class="button quiet" href="">Try again</a>' in page.text, path
        page = await client.get("/home", headers={"Cookie": f"{cookies.ACCESS}=x"})
        assert (page.status_code, '"posts":null' in page.text) == (200, True)


def test_each_line_of_a_conversations_history_has_words() -> None:
    for language in LANGUAGES:
        words = shared_words(language)
        assert {f"chat.event.{one}" for one in get_args(Event)} <= words.keys()
