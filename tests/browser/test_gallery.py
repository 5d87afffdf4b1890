"""The gallery: each screen and state of the members' application in each width, theme and language.

``pytest -m long tests/browser/test_gallery.py`` has axe judge each, and sees that none has to be scrolled
sideways. Where the folder `.screens` is, it keeps pictures and sheets of them to be looked at (docs/web.md).
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import httpx
import pytest
from PIL import Image

from chitlaq.core.languages import LANGUAGES
from tests.browser import campus, gallery
from tests.browser.campus import Campus
from tests.browser.conftest import HEIGHTS, SCREENS, THEMES, Visit, Width, visiting
from tests.browser.members import sign_in
from tests.conftest import Stack, start_stack, stop_stack
from tests.services.websocket.chat.talking import connected

if TYPE_CHECKING:
    from playwright.async_api import Browser

FOLDER = SCREENS / "gallery"
SHEET_COLUMNS = {320: 6, 360: 6, 768: 4, 1400: 3}
SHEET_PX = 1_900
"""How wide a sheet is."""


@pytest.fixture(scope="module")
def lone_stack() -> Iterator[Stack]:
    """A stack of its own: on its public pages is nobody else."""
    # The product takes longer than a token is good for.
    stack = start_stack(CHITLAQ_TOKENS_ACCESS_SECONDS="86400")
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture(scope="module")
async def university(lone_stack: Stack) -> AsyncIterator[Campus]:
    async with httpx.AsyncClient(base_url=lone_stack.gateway, timeout=20) as client:
        yield await campus.founded(lone_stack, client)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("chapter", gallery.CHAPTERS)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", get_args(Width))
async def test_screens_are_accessible_in_each_state_theme_width_and_language(
    browser: Browser, university: Campus, width: Width, language: str, chapter: str
) -> None:
    """Each state is brought about once for a width and a language, and judged there in each theme."""
    member, shots = gallery.CHAPTERS[chapter]
    faults: list[str] = []
    folders = [FOLDER / f"{width}-{theme}-{language}" / chapter for theme in THEMES]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    async with (
        connected(university.stack, university.ada),  # who is seen to be there
        visiting(browser, university.stack.issuer, width, THEMES[0]) as visit,
    ):
        await visit.speak(language)
        if member:
            await sign_in(visit, university.members[member])
        for number, shot in enumerate(shots):
            name = f"gallery/{width}-{{theme}}-{language}/{chapter}/{number:02}-{shot.name}"
            found = await _take(visit, university, shot, member, width, name)
            faults += [f"{shot.name} {one}" for one in found]
            await gallery.restore(visit, university, member)
        visit.complaints.clear()  # of what was refused, and of lost connections
    for folder in folders:
        if folder.is_dir():
            _sheet(sorted(folder.iterdir()), width)
    assert not faults, "\n".join(faults)


async def _take(
    visit: Visit, university: Campus, shot: gallery.Shot, member: str, width: Width, name: str
) -> list[str]:
    """Bring a screen into its state, and return what is wrong with it: also that it did not come so far."""
    from playwright.async_api import Error

    try:
        await gallery.take(visit, university, shot, member)
        found = await visit.faults_in_each_theme(name, width, is_whole=shot.is_whole)
    except (Error, AssertionError) as error:
        return [f"{visit.page.url} {error}"]
    return [one for one in found if not shot.allows or f" {shot.allows}: " not in one]


def _sheet(taken: list[Path], width: Width) -> None:
    """Put pictures beside each other, each at most two screens high, in their order."""
    columns = SHEET_COLUMNS[width]
    column_px = SHEET_PX // columns
    most = 2 * HEIGHTS[width]
    small = []
    for path in taken:
        with Image.open(path) as picture:
            cut = picture.crop((0, 0, picture.width, min(picture.height, most))).convert("RGB")
            small.append(cut.resize((column_px - 8, cut.height * (column_px - 8) // cut.width)))
    rows = [small[place : place + columns] for place in range(0, len(small), columns)]
    heights = [max(one.height for one in row) + 8 for row in rows]
    sheet = Image.new("RGB", (SHEET_PX, sum(heights)), "#808080")
    for number, row in enumerate(rows):
        for column, one in enumerate(row):
            sheet.paste(one, (column * column_px + 4, sum(heights[:number]) + 4))
    folder = FOLDER / "sheets"
    folder.mkdir(parents=True, exist_ok=True)
    chapter = taken[0].parent
    sheet.save(folder / f"{chapter.parent.name}-{chapter.name}.png")
