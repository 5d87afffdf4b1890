"""A language that nobody speaks, a third longer: what is said comes from catalogues, and has room."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.browser.test_members_pages import FOLLOW, conversation
from tests.conftest import Member, Stack

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

Join = Callable[[], Awaitable[Member]]

FIRST = re.compile(r'(?<=<script type="application/json" id="first">).*?(?=</script>)', re.DOTALL)
# What members wrote, and what is no word.
UNTRANSLATED = """() => {
    const isOurs = text => /\\p{L}/u.test(text) && !/[⟦⟧]/u.test(text);
    const others = "bdi, [dir=auto], .handle, .avatar, .tags, code, kbd, .name";
    const found = [];
    const nodes = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    while (nodes.nextNode()) {
        const {data, parentElement} = nodes.currentNode;
        if (isOurs(data) && !parentElement.closest(others)) found.push(data);
    }
    for (const name of ["aria-label", "placeholder", "title", "alt"]) {
        for (const one of document.querySelectorAll(`main [${name}]`)) {
            const isTheirs = name === "alt" && one.closest(".media");
            if (!isTheirs && isOurs(one.getAttribute(name))) found.push(`${name}: ${one.getAttribute(name)}`);
        }
    }
    return found;
}"""


def stretched(text: str) -> str:
    return f"⟦{text}{'·' * (len(text) // 3)}⟧"


async def test_scripts_say_nothing_of_their_own_and_longer_words_have_room(
    browser: Browser, stack: Stack, join: Join
) -> None:
    ada, other = await join(), await join()
    post = await ada.write("One #word", content_warning="Careful")
    await ada.write(
        "?", poll={"options": ["One", "Two"], "expires_in_seconds": 3600, "multiple": False}
    )
    await other.write("Two", reply_to=post["id"])
    await other.put(f"/api/users/{ada.username}/follow")
    await ada.post("/api/users/me/drafts", {"post": {"text": "Three"}})
    thread = f"/@{ada.username}/p/{post['id']}"
    paths = [
        "/home", "/explore", "/compose", "/bookmarks", "/drafts", "/notifications", "/search",
        f"/search?q=from:{ada.username}&type=posts", f"/@{ada.username}", f"/@{other.username}",
        f"/@{ada.username}/followers", "/follow-requests", thread, f"{thread}/likes",
        f"{thread}/quotes", f"{thread}/history", "/tags/word", "/chat",
        await conversation(ada, join, "Hello"),
    ]  # fmt: skip

    async def pseudo(route: Route) -> None:
        """The page as it is, but for the words of its scripts."""
        answer = await route.fetch()
        page = await answer.text()
        (text,) = FIRST.findall(page)
        first = json.loads(text)
        first["words"] = {key: stretched(one) for key, one in first["words"].items()}
        words = json.dumps(first).replace("<", "\\u003c")
        await route.fulfill(response=answer, body=page.replace(text, words))

    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, ada)
        # Chromium does not know where a page is from that a test hands it.
        await page.context.grant_permissions(["local-network-access"])
        await page.route("**/settings/appearance", pseudo)
        await open_ready(visit, "/settings/appearance")
        faults: list[str] = []
        for path in paths:
            await page.evaluate(FOLLOW, path)
            await page.wait_for_url(f"**{path}")
            await page.wait_for_selector("main:not([aria-busy]) h1")
            faults += [f"{path}: {one}" for one in await page.evaluate(UNTRANSLATED)]
            faults += await visit.too_wide()
        await visit.keep("pseudo-locale-360")
    assert not faults, "\n".join(faults)
