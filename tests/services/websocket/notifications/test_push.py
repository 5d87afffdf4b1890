"""Web Push: what a push service and a browser get, and when they get nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chitlaq.core.installation.settings import Notifications
from chitlaq.core.visible import is_one_line, is_seen
from chitlaq.services.websocket.notifications.channels import encryption
from chitlaq.services.websocket.notifications.channels.pushing import MOST_FAILURES, Pushes
from chitlaq.services.websocket.notifications.channels.schemas import require_public
from tests.conftest import Member, Stack, eventually
from tests.hostile_texts import TEXTS, packed
from tests.services.websocket.notifications import push_service
from tests.services.websocket.notifications.push_service import Browser, PushService, decoded

Join = Callable[..., Awaitable[Member]]

PUSH = "/api/notifications/push"
SETTINGS = "/api/notifications/settings"
ITS_JOB = "kind = 'push' AND payload ->> 'session_id' = $1"
WAITING = f"SELECT due_at > now() AS is_later FROM jobs.jobs WHERE {ITS_JOB}"
HURRY = f"UPDATE jobs.jobs SET due_at = now() WHERE {ITS_JOB}"


@pytest.fixture(scope="module")
def service() -> Iterator[PushService]:
    with push_service.running() as service:
        yield service


async def subscribed(member: Member, browser: Browser) -> str:
    """Subscribe a member's device; return its session."""
    answer = await member.post(PUSH, browser.subscription)
    assert answer.status_code == 204, answer.text
    sessions = (await member.get("/api/auth/sessions")).json()["items"]
    return next(str(one["id"]) for one in sessions if one["current"])


async def liked(member: Member, by: Member) -> dict[str, Any]:
    """Write a post that somebody likes; return it."""
    post = await member.write("likeable")
    assert (await by.put(f"/api/posts/{post['id']}/like")).is_success
    return post


async def told(member: Member, count: int = 1) -> list[dict[str, Any]]:
    """The member's notifications, when there are so many."""

    async def listed() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = (await member.get("/api/notifications")).json()["items"]
        return items if len(items) >= count else None

    return await eventually(listed)


def test_encryption_is_that_of_the_standards_example() -> None:
    """RFC 8291, section 5."""
    own = ec.derive_private_key(
        int.from_bytes(decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"),
        encryption.CURVE,
    )
    browser = decoded(
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    )
    sealed = encryption.encrypted(
        b"When I grow up, I want to be a watermelon",
        browser,
        decoded("BTBZMqHH6r4Tts7J_aSIgg"),
        salt=decoded("DGv6ra1nlYgDCS1FRnbzlw"),
        own=own,
    )
    assert encryption.in_base64(sealed) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS"
        "6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qu"
        "lcy4a-fN"
    )


def test_push_services_are_on_the_internet_and_have_tls() -> None:
    assert not Notifications().push_anywhere
    for endpoint in (
        "https://fcm.googleapis.com/fcm/send/x",
        "https://updates.push.services.mozilla.com:443/wpush/v2/x",
        "https://[2606:4700::1111]/x",
        "https://[64:ff9b::8.8.8.8]/x",
    ):
        require_public(endpoint)
    for endpoint in (
        "http://push.example.com/x", "ftp://push.example.com/x", "https://", "https://localhost/x",
        "https://valkey:6379/x", "https://127.0.0.1/x", "https://10.0.0.1/x", "https://[::1]/x",
        "https://169.254.169.254/latest", "https://u:p@push.example.com/x", "https://push.example.com:0/x",
        "https://[::ffff:10.0.0.1]/x", "https://push.example.com:99999/x", "//push.example.com",
        "https://[64:ff9b::10.0.0.1]/x", "https://[2002:a00:1::1]/x", "https://224.0.0.1/x",
        "https://[ff0e::1]/x",
    ):  # fmt: skip
        with pytest.raises(ValueError, match="must be"):
            require_public(endpoint)


def test_pause_is_by_the_clock_that_ended_the_push_before() -> None:
    """A process whose clock is wrong would look again and again, or wait for an hour."""
    pushes = Pushes(cast("Any", None), Notifications(), cast("Any", None))
    for hours in (-1, 1):
        now = datetime.now(UTC) + timedelta(hours=hours)
        row = {"now": now, "failures": 0, "time_zone": None}
        assert pushes._due(row | {"pushed_at": now - timedelta(seconds=61)}) is None
        assert pushes._due(row | {"pushed_at": now - timedelta(seconds=59)}) is not None


async def test_subscription_that_is_none_is_refused(join: Join, service: PushService) -> None:
    member = await join()
    good = service.browser().subscription
    for change in (
        {"endpoint": "https://push.example.com/a b"},
        {"endpoint": "https://push.example.com/" + "x" * 1000},
        {"keys": good["keys"] | {"p256dh": "AAAA"}},
        {"keys": good["keys"] | {"p256dh": push_service.encoded(b"\x04" + b"\x01" * 64)}},
        {"keys": good["keys"] | {"auth": "AAAA"}},
        {"keys": good["keys"] | {"auth": "é" * 22}},
        {"keys": {"auth": good["keys"]["auth"]}},
        {"badge": True},
    ):
        answer = await member.post(PUSH, good | change)
        assert answer.status_code == 422, (change, answer.text)


async def test_browser_that_several_sign_in_with_is_one_members(
    join: Join, service: PushService
) -> None:
    members, browser = [await join() for _ in range(4)], service.browser()
    for _ in range(3):
        answers = [member.post(PUSH, browser.subscription) for member in members]
        assert {one.status_code for one in await asyncio.gather(*answers)} == {204}
        states = [(await member.get(PUSH)).json()["is_subscribed"] for member in members]
        assert states.count(True) == 1


async def test_push_says_that_there_is_something_new_and_not_what(
    join: Join, service: PushService
) -> None:
    member, other = await join(), await join()
    browser, silent = service.browser(), service.browser()
    state = (await member.get(PUSH)).json()
    assert state["is_subscribed"] is False
    await subscribed(member, silent)
    # A device has one subscription: this one replaces the one before.
    await subscribed(member, browser)
    assert (await member.get(PUSH)).json() == state | {"is_subscribed": True}
    await liked(member, other)
    await eventually(lambda: browser.got)
    (notification,) = await told(member)
    (pushed,) = browser.got
    assert browser.read(pushed, state["public_key"]) == {"id": notification["id"]}
    assert not silent.got
    assert (await member.delete(PUSH)).status_code == 204
    await liked(member, other)
    await told(member, 2)
    assert (await member.get(PUSH)).json()["is_subscribed"] is False
    assert len(browser.got) == 1


async def test_push_carries_nothing_of_hostile_texts_and_names(
    join: Join, service: PushService
) -> None:
    member, other = await join(), await join()
    browser = service.browser()
    await subscribed(member, browser)
    key = (await member.get(PUSH)).json()["public_key"]
    name = packed(TEXTS, " ", lambda one: len(one) <= 80 and is_one_line(one) and is_seen(one))[0]
    assert (await other.patch("/api/users/me", {"display_name": name})).is_success
    texts = packed(TEXTS, "\n", lambda one: len(one) <= 900 and len(one.encode()) <= 3000)
    for text in texts:
        assert (await other.post("/api/posts", {"text": f"@{member.username} {text}"})).is_success
    ids = {one["id"] for one in await told(member, len(texts))}
    await eventually(lambda: browser.got)
    for pushed in browser.got:
        read = browser.read(pushed, key)
        assert list(read) == ["id"]
        assert read["id"] in ids


async def test_nothing_is_pushed_that_is_switched_off_or_seen_or_signed_out(
    join: Join, stack: Stack, service: PushService
) -> None:
    other = await join()
    browsers = []
    for case in ("off", "not pushed", "seen", "signed out"):
        member, browser = await join(), service.browser()
        session = await subscribed(member, browser)
        browsers.append(browser)
        if case == "off":
            await member.put(SETTINGS, {"kinds": {"like": {"in_app": False}}})
        if case == "not pushed":
            await member.put(SETTINGS, {"kinds": {"like": {"push": False}}})
        if case == "seen":
            # As if this device had just been told of it.
            await stack.sql(
                "UPDATE websocket.push_subscriptions SET pushed_until = now() + interval '1 hour'"
                " WHERE session_id = $1",
                session,
            )
        if case == "signed out":
            assert (
                await member.post("/api/auth/logout", {"refresh_token": member.refresh_token})
            ).is_success
        about = [session, member.id]
        if case == "signed out":
            await other.put(f"/api/users/{member.username}/follow")
        else:
            post = await member.write("likeable")
            await other.put(f"/api/posts/{post['id']}/like")
            about.append(post["id"])

        async def is_over(about: Sequence[str] = tuple(about)) -> bool:
            # Those of others, whose push services may be busy, go on.
            return not await stack.sql(
                "SELECT FROM jobs.jobs, unnest($1::text[]) AS one"
                " WHERE kind IN ('notify', 'push') AND payload::text LIKE '%' || one || '%'",
                about,
            )

        await eventually(is_over)
    assert not any(browser.got for browser in browsers)


async def test_push_waits_for_the_end_of_quiet_hours_and_of_the_pause(
    join: Join, stack: Stack, service: PushService
) -> None:
    member, other, browser = await join(), await join(), service.browser()
    session = await subscribed(member, browser)
    (now,) = await stack.sql("SELECT now() AT TIME ZONE 'Asia/Kathmandu' AS kathmandu")
    hour = now["kathmandu"].hour
    quiet = {
        "from": f"{(hour - 1) % 24:02d}:00",
        "until": f"{(hour + 2) % 24:02d}:00",
        "time_zone": "Asia/Kathmandu",
    }
    await member.put(SETTINGS, {"quiet_hours": quiet})
    await liked(member, other)

    async def is_postponed() -> bool:
        return any(row["is_later"] for row in await stack.sql(WAITING, session))

    await eventually(is_postponed)
    await liked(member, other)
    await told(member, 2)
    assert len(await stack.sql(WAITING, session)) == 1
    # They end, but the device was pushed to a moment ago.
    await member.put(SETTINGS, {})
    await stack.sql(
        "UPDATE websocket.push_subscriptions SET pushed_at = now() + interval '1 hour' WHERE session_id = $1",
        session,
    )
    await stack.sql(HURRY, session)
    await eventually(is_postponed)
    assert not browser.got
    await stack.sql(
        "UPDATE websocket.push_subscriptions SET pushed_at = NULL WHERE session_id = $1", session
    )
    await stack.sql(HURRY, session)
    await eventually(lambda: browser.got)
    # Both likes are one push.
    state = (await member.get(PUSH)).json()
    latest = (await told(member, 2))[0]
    assert [browser.read(one, state["public_key"]) for one in browser.got] == [{"id": latest["id"]}]


async def test_subscription_ends_when_its_push_service_says_so_or_never_takes_a_push(
    join: Join, stack: Stack, service: PushService
) -> None:
    other = await join()
    for status in (404, 410, 403):
        member, browser = await join(), service.browser(status)
        session = await subscribed(member, browser)
        if status == 403:
            await stack.sql(
                "UPDATE websocket.push_subscriptions SET failures = $2 WHERE session_id = $1",
                session,
                MOST_FAILURES - 1,
            )
        await liked(member, other)

        async def is_gone(member: Member = member) -> bool:
            return not (await member.get(PUSH)).json()["is_subscribed"]

        await eventually(is_gone)
        assert len(browser.got) == 1


async def test_busy_push_service_gets_one_push_after_a_pause_whatever_happens_meanwhile(
    join: Join, stack: Stack, service: PushService
) -> None:
    member, other, browser = await join(), await join(), service.browser(503)
    session = await subscribed(member, browser)
    await liked(member, other)
    await eventually(lambda: browser.got)

    async def is_put_back() -> bool:
        return any(row["is_later"] for row in await stack.sql(WAITING, session))

    await eventually(is_put_back)
    await liked(member, other)
    await told(member, 2)
    # Also what is due earlier waits for the end of the pause.
    await stack.sql(HURRY, session)
    await eventually(is_put_back)
    assert (len(await stack.sql(WAITING, session)), len(browser.got)) == (1, 1)
    browser.status = 201
    await stack.sql(
        "UPDATE websocket.push_subscriptions SET pushed_at = NULL WHERE session_id = $1", session
    )
    await stack.sql(HURRY, session)
    await eventually(lambda: len(browser.got) == 2)
    state = (await member.get(PUSH)).json()
    latest = (await told(member, 2))[0]
    assert browser.read(browser.got[1], state["public_key"]) == {"id": latest["id"]}

    async def is_forgiven() -> bool:
        rows = await stack.sql(
            "SELECT failures FROM websocket.push_subscriptions WHERE session_id = $1", session
        )
        return [row["failures"] for row in rows] == [0]

    await eventually(is_forgiven)
