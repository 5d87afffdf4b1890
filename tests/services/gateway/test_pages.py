"""The pages of the site, as they come from the server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args
from uuid import UUID, uuid4

import httpx
import pytest
from litestar import Litestar
from litestar.datastructures import State
from litestar.testing import AsyncTestClient

from chitlaq.core.http import cookies
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.languages import LANGUAGES
from chitlaq.services.gateway.pages import routes
from chitlaq.services.gateway.pages.screens import Screens
from chitlaq.services.websocket.chat.schemas import Event
from chitlaq.web.site.pages import shared_words
from tests.conftest import Member, Stack

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
        state=State({"screens": Screens(nowhere)}),
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
