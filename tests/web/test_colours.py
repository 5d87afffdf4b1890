"""The colours of all pages: those that were chosen are those that the device may ask for."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

SHEETS = sorted(
    path
    for path in Path(str(resources.files("chitlaq.web"))).rglob("*.css")
    if "prefers-color-scheme" in path.read_text()
)


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda one: one.name)
def test_dark_that_was_chosen_is_the_dark_of_devices(sheet: Path) -> None:
    text = sheet.read_text()
    tokens = dict[str, dict[str, str]]()
    for selector, block in re.findall(r"(:root[^{]*?) \{([^{}]*)\}", text):
        tokens[selector] = tokens.get(selector, {}) | dict(
            re.findall(r"(--[\w-]+): ([^;]+);", block)
        )
    of_device = tokens[':root:where(:not([data-theme="light"]))']
    (chosen,) = [one for name, one in tokens.items() if '[data-theme="dark"]' in name]
    assert of_device == chosen
    contrast = [one for name, one in tokens.items() if '[data-theme="contrast"]' in name]
    assert of_device.keys() <= {name for one in contrast for name in one}
