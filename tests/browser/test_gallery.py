"""The gallery: each screen and state of the members' application in each look, kept to be looked at.

``pytest -m long tests/browser/test_gallery.py`` keeps pictures and sheets of them in `.screens/gallery`
(docs/web.md). It has axe judge each, and sees that none has to be scrolled sideways.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import httpx
import pytest
from PIL import Image

from tests.browser import campus, gallery
from tests.browser.campus import Campus
from tests.browser.conftest import HEIGHTS, SCREENS, Theme, Visit, Width, visiting
from tests.browser.members import sign_in
from tests.conftest import Stack, start_stack, stop_stack
from tests.services.websocket.chat.talking import connected

if TYPE_CHECKING:
    from playwright.async_api import Browser

FOLDER = SCREENS / "gallery"
SHEET_COLUMNS = {320: 6, 360: 6, 768: 4, 1400: 3}
SHEET_PX = 1_900
"""How wide a sheet is."""


@dataclass(frozen=True)
class Look:
    """How a screen is looked at; with forced colours, nothing moves either."""

    width: Width
    theme: Theme
    language: Literal["en", "tr"]
    is_forced: bool = False

    def __str__(self) -> str:
        forced = "-forced" if self.is_forced else ""
        return f"{self.width}-{self.theme}{forced}-{self.language}"


LOOKS = (
    Look(360, "light", "en"),
    Look(768, "light", "tr"),
    Look(1400, "light", "en"),
    Look(360, "dark", "tr"),
    Look(768, "dark", "en"),
    Look(1400, "dark", "tr"),
    Look(360, "contrast", "en"),
    Look(768, "contrast", "tr"),
    Look(1400, "contrast", "en"),
    Look(320, "light", "tr", is_forced=True),
)
"""Each theme in each width and in each language; and 400 % of 1280 px in the system's own colours."""


@pytest.fixture(scope="module")
def lone_stack() -> Iterator[Stack]:
    """A stack of its own: on its public pages is nobody else."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    stack = start_stack()
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
@pytest.mark.parametrize("look", LOOKS, ids=str)
async def test_screens_are_accessible_in_each_state_and_look(
    browser: Browser, university: Campus, look: Look, chapter: str
) -> None:
    member, shots = gallery.CHAPTERS[chapter]
    faults: list[str] = []
    options = {"forced_colors": "active", "reduced_motion": "reduce"} if look.is_forced else {}
    shutil.rmtree(FOLDER / str(look) / chapter, ignore_errors=True)
    async with (
        connected(university.stack, university.ada),  # who is seen to be there
        visiting(browser, university.stack.issuer, look.width, look.theme, **options) as visit,
    ):
        await visit.look(look.theme, look.width)
        await visit.speak(look.language)
        if member:
            await sign_in(visit, university.members[member])
        taken: list[Path] = []
        for number, shot in enumerate(shots):
            found = await _take(visit, university, shot, member)
            # What is painted are the system's colours; axe judges those of the style.
            if look.is_forced:
                found = [one for one in found if " color-contrast: " not in one]
            faults += [f"{shot.name} {one}" for one in found]
            name = f"gallery/{look}/{chapter}/{number:02}-{shot.name}"
            taken.append(await visit.keep(name, is_whole=shot.is_whole))
            await gallery.restore(visit, university, member)
        visit.complaints.clear()  # of what was refused, and of lost connections
    _sheet(taken, look)
    assert not faults, "\n".join(faults)


async def _take(visit: Visit, university: Campus, shot: gallery.Shot, member: str) -> list[str]:
    """Bring a screen into its state, and return what is wrong with it: also that it did not come so far."""
    from playwright.async_api import Error

    try:
        await gallery.take(visit, university, shot, member)
        found = await visit.faults()
    except (Error, AssertionError) as error:
        return [f"{visit.page.url} {error}"]
    return [one for one in found if not shot.allows or f" {shot.allows}: " not in one]


def _sheet(taken: list[Path], look: Look) -> None:
    """Put pictures beside each other, each at most two screens high, in their order."""
    columns = SHEET_COLUMNS[look.width]
    width = SHEET_PX // columns
    most = 2 * HEIGHTS[look.width]
    small = []
    for path in taken:
        with Image.open(path) as picture:
            cut = picture.crop((0, 0, picture.width, min(picture.height, most))).convert("RGB")
            small.append(cut.resize((width - 8, cut.height * (width - 8) // cut.width)))
    rows = [small[place : place + columns] for place in range(0, len(small), columns)]
    heights = [max(one.height for one in row) + 8 for row in rows]
    sheet = Image.new("RGB", (SHEET_PX, sum(heights)), "#808080")
    for number, row in enumerate(rows):
        for column, one in enumerate(row):
            sheet.paste(one, (column * width + 4, sum(heights[:number]) + 4))
    folder = FOLDER / "sheets"
    folder.mkdir(parents=True, exist_ok=True)
    sheet.save(folder / f"{look}-{taken[0].parent.name}.png")
