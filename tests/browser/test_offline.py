"""Without a connection: the application opens, and shows what was read last, until its member leaves."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

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
CACHES = "async () => (await caches.keys()).length"


async def is_kept(visit: Visit, *paths: str) -> None:
    for path in paths:
        await eventually(partial(visit.page.evaluate, IS_KEPT, path))


async def test_what_was_read_last_is_there_without_a_connection_until_its_member_leaves(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    await ada.write("Read in a tunnel")
    async with visiting(browser, stack.issuer, service_workers="allow") as visit:
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
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    device = push_service.Browser("https://push.example.org", "device").subscription
    async with visiting(browser, stack.issuer, service_workers="allow") as visit:
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
        await page.get_by_role("button", name="Switch off").click()
        await expect(page.get_by_role("button", name="Switch on")).to_be_visible()
        assert not (await ada.get("/api/notifications/push")).json()["is_subscribed"]
