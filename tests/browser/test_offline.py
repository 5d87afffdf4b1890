"""Without a connection: the application opens, and shows what was read last, until its member leaves."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from chitlaq.web.site.pages import SITE
from tests.browser.conftest import Visit, visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Member, Stack, eventually
from tests.services.websocket.notifications import push_service

if TYPE_CHECKING:
    from playwright.async_api import Browser

Join = Callable[[], Awaitable[Member]]

IS_KEPT = """async path => {
    for (const name of await caches.keys()) {
        if (await (await caches.open(name)).match(path)) return true;
    }
    return false;
}"""
PUSHES = """
    const subscription = {
        unsubscribe: async () => { own = null; },
        toJSON: () => (SUBSCRIPTION),
    };
    let own = null;
    PushManager.prototype.getSubscription = async () => own;
    PushManager.prototype.subscribe = async () => (own = subscription);
"""
"""Chromium has no push service here; all but the subscription itself is real."""
TOLD = """async () => {
    const {getNotifications} = ServiceWorkerRegistration.prototype;
    const found = await getNotifications.call(await navigator.serviceWorker.ready);
    return found.map(one => `${one.title}: ${one.body}`);
}"""
CHANGE_SUBSCRIPTION = """subscription => {
    const event = new ExtendableEvent("pushsubscriptionchange");
    // Only the browser's own may wait.
    Object.assign(event, {newSubscription: subscription, waitUntil: () => undefined});
    dispatchEvent(event);
}"""
BEFORE = "0" * len(SITE.static_version)
"""Another version of the static files."""
CACHES = "async () => (await caches.keys()).length"


async def is_kept(visit: Visit, *paths: str) -> None:
    for path in paths:
        await eventually(partial(visit.page.evaluate, IS_KEPT, path))


async def test_what_was_read_last_is_there_without_a_connection_until_its_member_leaves(
    whole_browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    await ada.write("Read in a tunnel")
    async with visiting(whole_browser, stack.issuer, service_workers="allow") as visit:
        page, context = visit.page, visit.page.context
        await sign_in(visit, ada)
        await open_ready(visit, "/home")
        await is_kept(visit, "/shell", "/home")
        await page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
        await eventually(lambda: page.evaluate("navigator.serviceWorker.controller !== null"))
        await page.get_by_role("link", name="Notifications").click()
        await is_kept(visit, "/notifications")
        faults = await (await context.new_cdp_session(page)).send("Page.getInstallabilityErrors")
        assert [one["errorId"] for one in faults["installabilityErrors"]] == ["in-incognito"]

        await context.set_offline(True)
        await expect(page.get_by_text("No connection.")).to_be_visible()
        await open_ready(visit, "/home")
        await expect(page.get_by_role("feed")).to_contain_text("Read in a tunnel")
        await expect(page.get_by_text("No connection. Last updated")).to_be_visible()
        await visit.require_accessible()
        await visit.keep("offline-home")
        await page.get_by_role("link", name="Notifications").click()
        await expect(page.get_by_text("Nothing has happened yet.")).to_be_visible()
        await page.get_by_role("link", name="Search").click()
        await expect(page.get_by_role("heading", name="Search")).to_be_visible()
        await page.get_by_role("link", name="Home").click()

        await ada.write("Out of the tunnel")
        await context.set_offline(False)
        await expect(page.get_by_role("feed")).to_contain_text("Out of the tunnel")
        await expect(page.get_by_text("No connection.")).to_be_hidden()

        await open_ready(visit, "/settings")
        await page.get_by_role("button", name="Sign out").last.click()
        await page.wait_for_url(stack.issuer + "/")
        assert await page.evaluate(CACHES) == 0
        visit.complaints[:] = [one for one in visit.complaints if "ERR_INTERNET" not in one]


async def test_device_is_pushed_to_once_its_member_wants_it_and_shows_nothing_of_what(
    whole_browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    device = push_service.Browser("https://push.example.org", "device").subscription
    async with visiting(whole_browser, stack.issuer, service_workers="allow") as visit:
        page, context = visit.page, visit.page.context
        await sign_in(visit, ada)
        await context.grant_permissions(["notifications"])
        await page.add_init_script(PUSHES.replace("SUBSCRIPTION", json.dumps(device)))
        await open_ready(visit, "/settings/notifications")
        await page.get_by_role("button", name="Switch on").click()
        await expect(page.get_by_role("button", name="Switch off")).to_be_visible()
        assert (await ada.get("/api/notifications/push")).json()["is_subscribed"]
        await visit.require_accessible()
        await page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
        session = await context.new_cdp_session(page)
        registrations: list[str] = []
        session.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda one: registrations.extend(r["registrationId"] for r in one["registrations"]),
        )
        await session.send("ServiceWorker.enable")
        await eventually(lambda: registrations)
        pushed = {"origin": stack.issuer, "registrationId": registrations[-1], "data": "01"}
        await session.send("ServiceWorker.deliverPushMessage", pushed)
        await eventually(partial(page.evaluate, TOLD))
        assert await page.evaluate(TOLD) == ["ChitLaq: There is something new for you."]

        # The browser makes itself another subscription, and the access token has expired.
        await ada.delete("/api/notifications/push")
        await sign_in(visit, replace(ada, token=f"x{ada.token}"))
        other = push_service.Browser("https://push.example.org", "other").subscription
        await context.service_workers[0].evaluate(CHANGE_SUBSCRIPTION, other)

        async def is_subscribed() -> bool:
            return bool((await ada.get("/api/notifications/push")).json()["is_subscribed"])

        await eventually(is_subscribed)
        await page.get_by_role("button", name="Switch off").click()
        await expect(page.get_by_role("button", name="Switch on")).to_be_visible()
        assert not (await ada.get("/api/notifications/push")).json()["is_subscribed"]


async def test_open_page_goes_on_after_an_upgrade_and_keeps_what_is_typed_when_it_is_reloaded(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import Route, expect

    ada = await join()
    version = SITE.static_version

    async def as_before(route: Route) -> None:
        """The page and the files as the version before had them, under its own addresses."""
        url = route.request.url.replace(BEFORE, version)
        answer = await route.fetch(url=url)
        body = await answer.body()
        if "/static/" not in url:
            body = body.replace(version.encode(), BEFORE.encode())
        await route.fulfill(response=answer, body=body)

    async with visiting(browser, stack.issuer, service_workers="allow") as visit:
        page = visit.page
        await sign_in(visit, ada)
        # Chromium does not know where a page is from that a test hands it.
        await page.context.grant_permissions(["local-network-access"])
        await page.route("**/home", as_before)
        await page.route(f"**/static/{BEFORE}/**", as_before)
        await open_ready(visit, "/home")
        await page.get_by_label("What is on your mind?").fill("Half a thought")
        new = page.get_by_role("button", name="Reload")
        await expect(new).to_be_visible()
        await visit.keep("new-version")
        await page.unroute_all()
        # It is still the page of before, and all of it works: what it has not loaded yet, too.
        assert BEFORE in str(await page.locator("html").get_attribute("data-static"))
        await page.get_by_role("link", name="Notifications").click()
        await expect(page.get_by_text("Nothing has happened yet.")).to_be_visible()
        await page.get_by_role("link", name="Home").click()
        text = page.get_by_label("What is on your mind?")
        await expect(text).to_have_value("Half a thought")
        await text.press("End")
        await text.press_sequentially(", and more")
        await new.click()
        await page.wait_for_selector(f"html[data-ready][data-static*='{version}']")
        await expect(text).to_have_value("Half a thought, and more")
        await expect(new).to_be_hidden()
        held = await page.evaluate("async () => caches.keys()")
        assert f"files-{version}" in held
