"""One Chromium for each worker, one context for each visit; and a console of which nothing else runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from chitlaq.core.errors import MissingProgramError
from chitlaq.stack.install import unpacked_programs
from chitlaq.web.site.pages import THEME
from tests.browser import axe
from tests.conftest import Stack
from tests.lone_service import lone_service

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--in-process-gpu", "--renderer-process-limit=1",
)  # fmt: skip
SCREENS = Path(__file__).parents[2] / ".screens"
"""Where screenshots are kept, to be looked at, if there is such a folder."""
LIMIT_MS = 20_000
TOO_WIDE = """() => {
    const {scrollWidth, clientWidth} = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const wide = [...document.querySelectorAll("body *")]
        .filter(one => one.getBoundingClientRect().right > clientWidth);
    const first = wide.at(-1)?.outerHTML.slice(0, 150);
    return [`${scrollWidth - clientWidth} px wider than ${clientWidth}: ${first}`];
}"""

Width = Literal[320, 360, 768, 1400]
"""In CSS pixels; 320 is what 400 % leaves of 1280."""
Theme = Literal["light", "dark", "contrast"]
HEIGHTS = {320: 256, 360: 740, 768: 1024, 1400: 900}
MOST_PX = 2_600
"""Of a screenshot's height: what is below is like what is above."""
ARE_SHOWN = """() => Promise.race([
    Promise.all([...document.images]
        .filter(one => one.checkVisibility())
        .map(one => one.decode().catch(() => null))),
    new Promise(resolve => setTimeout(resolve, 3000)),
]).then(() => null)"""
"""Wait for pictures, but not for those that do not come."""
NOTE_VIOLATIONS = """
    addEventListener("securitypolicyviolation", ({effectiveDirective, blockedURI, sample}) => {
        console.error(`POLICY: ${effectiveDirective} ${blockedURI} ${sample}`);
    });
"""


@dataclass
class Visit:
    """A page in a context of its own, and what the browser complained of."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    """What the policy of our own pages forbade them: nothing clears this."""

    async def open(self, path: str) -> None:
        answer = await self.page.goto(self.origin + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"

    async def sign_in(self, stack: Stack) -> None:
        """Sign in as an operator does who has nothing but the server."""
        link = stack.command("console", "--as", "ada").stdout.split()[0]
        await self.page.goto(link)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url("**/ops/")

    async def look(self, theme: Theme, width: Width) -> None:
        """Go on with another screen and other colours: those of the device, and of a member's settings."""
        await self.page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        scheme, contrast = _colours(theme)
        await self.page.emulate_media(color_scheme=scheme, contrast=contrast)
        if theme == "contrast":
            cookie: Any = {"name": THEME, "value": theme, "url": self.origin}
            await self.page.context.add_cookies([cookie])
        else:
            await self.page.context.clear_cookies(name=THEME)

    async def keep(self, name: str, *, is_whole: bool = True) -> Path:
        """Keep a screenshot of the whole page or of what is seen of it, if somebody wants to look at it."""
        path = SCREENS / f"{name}.png"
        if not SCREENS.is_dir():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        size = self.page.viewport_size
        assert size is not None
        if is_whole:
            # What sticks to an edge of the screen has to be at the edge of the picture.
            height = await self.page.evaluate("document.documentElement.scrollHeight")
            whole: Any = {**size, "height": min(max(height, size["height"]), MOST_PX)}
            await self.page.set_viewport_size(whole)
        await self.page.evaluate(ARE_SHOWN)
        await self.page.screenshot(path=path, animations="disabled")
        await self.page.set_viewport_size(size)
        return path

    async def speak(self, language: str) -> None:
        """Have what is opened from now on in another language."""
        cookie: Any = {"name": "lang", "value": language, "url": self.origin}
        await self.page.context.add_cookies([cookie])

    async def require_accessible(self, *rules: str) -> None:
        """Let axe judge the page as it is, and see that nothing is wider than the screen."""
        faults = await self.faults(*rules)
        assert not faults, "\n".join(faults)

    async def faults(self, *rules: str) -> list[str]:
        """Return what axe finds in the page as it is, and whether something is wider than the screen."""
        found = await axe.faults(self.page, *rules)
        return [f"{self.page.url} {one}" for one in found] + await self.too_wide()

    async def too_wide(self) -> list[str]:
        """Return what would have to be scrolled sideways."""
        return [f"{self.page.url} {one}" for one in await self.page.evaluate(TOO_WIDE)]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=LIMIT_MS)
    try:
        program = unpacked_programs.chromium()
    except MissingProgramError as error:
        pytest.fail(f"The browser's tests need Chromium: {error}")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=program.path, args=FLAGS, env=dict(program.environment)
        )
        yield launched
        await launched.close()


@asynccontextmanager
async def visiting(
    browser: Browser, origin: str, width: Width = 360, theme: Theme = "dark", **options: Any
) -> AsyncIterator[Visit]:
    """Open a context; at its end, nothing may have been complained of."""
    # What keeps files in advance is for those tests that are about it.
    options.setdefault("service_workers", "block")
    scheme, contrast = _colours(theme)
    context = await browser.new_context(
        viewport={"width": width, "height": HEIGHTS[width]},
        color_scheme=scheme,
        contrast=contrast,
        **options,
    )
    context.set_default_timeout(LIMIT_MS)
    await context.add_init_script(NOTE_VIOLATIONS)
    visit = Visit(await context.new_page(), origin)
    # Of every page of the context, also those that a test opens itself.
    context.on("console", lambda said: _note(visit, said.type, said.text))
    context.on("weberror", lambda error: visit.complaints.append(str(error.error)))
    try:
        yield visit
        assert not visit.violations
        assert not visit.complaints
    finally:
        await context.close()


@asynccontextmanager
async def opened(profile: Path, origin: str) -> AsyncIterator[Visit]:
    """A browser of its own, which keeps what it has when it is closed."""
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=LIMIT_MS)
    program = unpacked_programs.chromium()
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=program.path,
            args=FLAGS,
            env=dict(program.environment),
            viewport={"width": 360, "height": 740},
        )
        context.set_default_timeout(LIMIT_MS)
        await context.add_init_script(NOTE_VIOLATIONS)
        visit = Visit(context.pages[0], origin)
        context.on("console", lambda said: _note(visit, said.type, said.text))
        yield visit
        await context.close()
        assert not visit.violations


def _colours(theme: Theme) -> tuple[Literal["light", "dark"], Literal["more", "no-preference"]]:
    """What a device says of its colours."""
    if theme == "contrast":
        return "dark", "more"
    return theme, "no-preference"


def _note(visit: Visit, kind: str, text: str) -> None:
    if text.startswith("POLICY: "):
        visit.violations.append(text)
    # A status of 4xx is an error to the browser's console, too.
    is_expected = "the server responded with a status of 4" in text or "Worker registration" in text
    if kind in {"error", "warning"} and not is_expected:
        visit.complaints.append(text)


@pytest.fixture(scope="session")
def alone() -> Iterator[Stack]:
    """ops-service, of which nothing else runs: no PostgreSQL, Valkey, nginx, Prometheus, supervisor."""
    with lone_service("ops-service", "ops") as stack:
        yield stack


def console_of(stack: Stack) -> str:
    return f"http://localhost:{stack.ports['ops']}"
