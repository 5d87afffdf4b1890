"""Where everybody needs a second factor, who has none is led to set one up, and then goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pyotp
import pytest

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Stack, become_member, start_stack, stop_stack

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest.fixture
def strict() -> Iterator[Stack]:
    stack = start_stack(CHITLAQ_TOKENS_SECOND_FACTOR_FOR_EVERYONE="true")
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


@pytest.mark.long
async def test_member_without_a_second_factor_sets_one_up_and_goes_on(
    browser: Browser, strict: Stack
) -> None:
    from playwright.async_api import expect

    async with httpx.AsyncClient(base_url=strict.gateway, timeout=20) as client:
        member = await become_member(strict, client, "newcomer")
    async with visiting(browser, strict.issuer) as visit:
        page = visit.page
        await sign_in(visit, member)
        await open_ready(visit, "/home")
        assert page.url == f"{strict.issuer}/settings/security"
        await visit.keep("enrolling")
        await visit.require_accessible()

        await page.get_by_role("button", name="Set up an app").click()
        app = page.get_by_role("dialog", name="Codes of an app")
        secret = (await app.locator(".secret").inner_text()).replace(" ", "")
        await app.get_by_label("The code that the app shows").fill(pyotp.TOTP(secret).now())
        await app.get_by_role("button", name="Confirm").click()
        await page.get_by_role("button", name="I have kept them").click()
        await page.wait_for_url(f"{strict.issuer}/home")
        await expect(page.get_by_role("heading", name="Home")).to_be_visible()
