"""A passkey made and used by a real browser, on our own page, with cookies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.conftest import Visit, visiting
from tests.browser.members import open_ready
from tests.conftest import PASSWORD, Member, Stack, free_ports
from tests.openid_provider import listening
from tests.services.auth.test_sso import Campus, add

if TYPE_CHECKING:
    from playwright.async_api import Browser

ASK = """async ([path, body]) => {
    const headers = {"Content-Type": "application/json"};
    const answer = await fetch("/api/auth" + path, {method: "POST", headers, body: JSON.stringify(body)});
    return [answer.status, answer.status === 204 ? null : await answer.json()];
}"""
MAKE = """async (options) => {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    return (await navigator.credentials.create({publicKey})).toJSON();
}"""


async def make_passkey(visit: Visit, member: Member) -> None:
    """Let the browser have a passkey of a member, who is signed in there then."""
    page = visit.page
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    device = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
    }
    await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": device})
    await visit.open("/")
    typed = {"login": member.username, "password": PASSWORD, "cookies": True}
    status, _ = await page.evaluate(ASK, ["/login", typed])
    assert status == 200
    _, asked = await page.evaluate(ASK, ["/passkeys/options", {}])
    made = await page.evaluate(MAKE, asked["publicKey"])
    status, added = await page.evaluate(ASK, ["/passkeys", {"name": "Here", "passkey": made}])
    assert status == 201, added


async def test_browser_makes_a_passkey_and_signs_in_with_it_alone(
    stack: Stack, browser: Browser, join: Callable[[], Awaitable[Member]]
) -> None:
    from playwright.async_api import expect

    member = await join()
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await make_passkey(visit, member)

        await page.context.clear_cookies()
        await visit.open("/login?return_to=/settings/sessions")
        await page.get_by_role("button", name="Use a passkey").click()
        await page.wait_for_url(f"{stack.issuer}/settings/sessions")
        me = await page.evaluate("async () => (await fetch('/api/users/me')).json()")
        assert me["username"] == member.username
        await page.wait_for_selector("html[data-ready]")
        await expect(page.get_by_text("Chrome on Linux").first).to_be_visible()

        await open_ready(visit, "/settings/security")
        await page.get_by_text("Rename").click()
        await page.locator(".rename").get_by_label("New name").fill("My phone")
        await page.locator(".rename").get_by_role("button", name="Save").click()
        await expect(page.get_by_role("listitem").filter(has_text="My phone")).to_be_visible()

        # Where it was used before, it is offered while one types.
        for cookie in await page.context.cookies():
            if cookie["name"] != "passkey":
                await page.context.clear_cookies(name=cookie["name"])
        await visit.open("/login?return_to=/settings/sessions")
        await page.get_by_label("Username or address").focus()
        await page.wait_for_url(f"{stack.issuer}/settings/sessions")

        # Nobody takes it out by a slip of the thumb.
        await open_ready(visit, "/settings/security")
        passkey = page.get_by_role("listitem").filter(has_text="My phone")
        sure = page.get_by_role("dialog", name="Remove the passkey “My phone”?")
        await passkey.get_by_role("button", name="Remove").click()
        await visit.require_accessible()
        await sure.get_by_role("button", name="Cancel").click()
        await expect(sure).to_be_hidden()
        await passkey.get_by_role("button", name="Remove").click()
        await sure.get_by_role("button", name="Remove").click()
        await expect(page.get_by_text("The passkey is removed.")).to_be_visible()
        await expect(passkey).to_have_count(0)


async def test_browser_uses_the_passkey_after_the_identity_provider(
    stack: Stack, browser: Browser, join: Callable[..., Awaitable[Member]], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    name, domain = f"b-{port}", f"b{port}.example"
    await stack.add_university(f"University {port}", domain)
    member = await join(domain)
    with listening(port) as provider:
        add(stack, tmp_path, provider, name, domain)
        Campus(stack, provider, name, domain).person(member.username)
        try:
            async with visiting(browser, stack.issuer) as visit:
                await make_passkey(visit, member)
                await visit.page.context.clear_cookies()
                await visit.open(f"/api/auth/sso/{name}?return_to=/api/health")
                await visit.require_accessible()
                await visit.page.get_by_role("button", name="Use a passkey").click()
                await visit.page.wait_for_url("**/api/health")
                me = await visit.page.evaluate("async () => (await fetch('/api/users/me')).json()")
                assert me["username"] == member.username
        finally:
            # Each sign-in page of later tests would offer it.
            await stack.sql("DELETE FROM auth.identity_providers WHERE name = $1", name)
