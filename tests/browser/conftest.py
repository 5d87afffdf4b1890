"""One Chromium for each worker, one context for each visit; and a console of which nothing else runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest

from chitlaq.core.errors import MissingProgramError
from chitlaq.stack.install import unpacked_programs
from chitlaq.stack.install.unpacked_programs import Program
from chitlaq.web.pages import THEME
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
BROKEN = """() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [], range = document.createRange();
    while (texts.nextNode()) {
        const text = texts.currentNode;
        // What was searched for is marked within longer words, too.
        const {parentElement: around} = text;
        if (around.localName === "mark" || !around.checkVisibility({visibilityProperty: true})) continue;
        const words = /(?<!\\S)@?(?:\\p{L}\\p{Pd})?\\p{L}{2,12}(?![^\\s.,:;!?…)])/gu;
        for (const {0: word, index} of text.data.matchAll(words)) {
            range.setStart(text, index);
            range.setEnd(text, index + word.length);
            const [first, ...others] = range.getClientRects();
            if (others.some(one => one.top > first.bottom - 1))
                found.push(`breaks within ${word}: ${around.outerHTML.slice(0, 150)}`);
        }
    }
    return found;
}"""
"""Short words and names that do not fit into a line, also those after one letter and a hyphen."""

Width = Literal[320, 360, 768, 1400]
"""In CSS pixels; 320 is what 400 % leaves of 1280."""
Theme = Literal["light", "dark", "contrast", "forced"]
"""What a member chose or a device says; at last the system's own colours, where nothing moves either."""
UNMARKED = """() => {
    const painted = one => {
        const {color, outlineStyle, borderStyle, borderColor, textDecorationLine} = getComputedStyle(one);
        return [color, outlineStyle, borderStyle, borderColor, textDecorationLine].join();
    };
    const chosen = "[aria-current], [aria-pressed=true], [aria-selected=true]";
    const others = one => [...one.parentElement.parentElement.querySelectorAll(one.localName)]
        .filter(other => !other.matches(chosen));
    return [...document.querySelectorAll(chosen)]
        .filter(one => one.checkVisibility())
        .filter(one => others(one).some(other => painted(other) === painted(one)))
        .map(one => `looks as if it were not chosen: ${one.outerHTML.slice(0, 150)}`);
}"""
"""What is chosen and looks like what is not, where grounds and shadows are the system's."""
COVERED = """() => {
    const isShown = one => {
        const {left, top, width, height} = one.getBoundingClientRect();
        return [.1, .5, .9].some(x => [.1, .5, .9].some(y => {
            const there = document.elementFromPoint(left + x * width, top + y * height);
            return there !== null && (one.contains(there) || there.contains(one));
        }));
    };
    return [...document.querySelectorAll("a[href], button, input, textarea, select, summary")]
        .filter(one => one.checkVisibility({visibilityProperty: true}))
        .filter(one => { one.focus(); return one === document.activeElement && !isShown(one); })
        .map(one => `focused behind something: ${one.outerHTML.slice(0, 150)}`);
}"""
"""What gets the focus and cannot be seen at all (WCAG 2.2, 2.4.11)."""
THEMES: tuple[Theme, ...] = get_args(Theme)
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
    theme: Theme = "light"

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
        await self.page.emulate_media(**_media(theme))
        chosen = theme if theme == "contrast" else "auto"
        cookie: Any = {"name": THEME, "value": chosen, "url": self.origin}
        await self.page.context.add_cookies([cookie])
        # As the server will write it.
        await self.page.evaluate("one => { document.documentElement.dataset.theme = one; }", chosen)
        self.theme = theme

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
        """Return what axe finds in the page as it is, and what is wider than the screen or too narrow."""
        found = await axe.faults(self.page, *rules)
        if self.theme == "forced":
            # What is painted are the system's colours; axe judges those of the style.
            found = [one for one in found if not one.startswith("color-contrast: ")]
            found += await self.page.evaluate(UNMARKED)
        found += await self.page.evaluate(BROKEN)
        return [f"{self.page.url} {one}" for one in found] + await self.too_wide()

    async def faults_in_each_theme(
        self, name: str, width: Width, *, is_whole: bool = True
    ) -> list[str]:
        """Return what is wrong with the page as it is, in each theme.

        Args:
            name: of the screenshots, with the theme's place in braces.
            width: of the screen.
            is_whole: whether the pictures go on below the fold.
        """
        found = []
        for theme in THEMES:
            await self.look(theme, width)
            found += [f"{theme}: {one}" for one in await self.faults()]
            await self.keep(name.format(theme=theme), is_whole=is_whole)
        await self.look(THEMES[0], width)
        return found

    async def too_wide(self) -> list[str]:
        """Return what would have to be scrolled sideways."""
        return [f"{self.page.url} {one}" for one in await self.page.evaluate(TOO_WIDE)]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium's headless shell: each context of it takes a second of a core less than one of Chromium."""
    async with _launched(unpacked_programs.headless_chromium) as launched:
        yield launched


@pytest.fixture(scope="session")
async def whole_browser() -> AsyncIterator[Browser]:
    """Chromium with what its shell lacks: push, and pages that can be installed."""
    async with _launched(unpacked_programs.chromium) as launched:
        yield launched


@asynccontextmanager
async def _launched(find: Callable[[], Program]) -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=LIMIT_MS)
    try:
        program = find()
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
    context = await browser.new_context(
        viewport={"width": width, "height": HEIGHTS[width]}, **_media(theme), **options
    )
    context.set_default_timeout(LIMIT_MS)
    await context.add_init_script(NOTE_VIOLATIONS)
    visit = Visit(await context.new_page(), origin, theme=theme)
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
    program = unpacked_programs.headless_chromium()
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


def _media(theme: Theme) -> dict[str, Any]:
    """What a device says of its colours."""
    return {
        "color_scheme": "dark" if theme in {"dark", "contrast"} else "light",
        "contrast": "more" if theme == "contrast" else "no-preference",
        "forced_colors": "active" if theme == "forced" else "none",
        "reduced_motion": "reduce" if theme == "forced" else "no-preference",
    }


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
