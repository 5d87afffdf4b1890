"""Settings in a browser: what is saved, what is refused and where that stands, and who must prove it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pyotp

from chitlaq.web.site.pages import said_of, shared_words
from chitlaq.web.words import PageWords
from tests.browser.conftest import visiting
from tests.browser.members import open_ready, renewing, sign_in
from tests.conftest import PASSWORD, Member, Stack, eventually
from tests.services.feed.crowd import Crowd

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

Join = Callable[[], Awaitable[Member]]


async def _expect_sentences(page: Page) -> None:
    """Scripts say of each field what the server says in the pages that it renders."""
    paths = ("text", "reply_to", "post.text", "poll.options[1]", "password", "of_an_api_to_come")
    errors = dict.fromkeys(paths, "must not be empty") | {"name": "That name is taken."}
    said = await page.evaluate(
        """async (errors) => {
          const { Problem } = await import(`${document.documentElement.dataset.static}app/api.js`);
          const problem = new Problem(422, { detail: "Not accepted. text: must not be empty", errors });
          return [problem.errors, problem.message];
        }""",
        errors,
    )
    words = PageWords("en", shared_words("en"))
    expected = {path: str(said_of(path, why, words)) for path, why in errors.items()}
    assert said == [expected, " ".join(expected.values())]


async def test_member_changes_what_others_see_and_sets_up_an_app_for_codes(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    member = await join()
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, member)
        await open_ready(visit, "/settings")
        await page.get_by_role("link", name="Profile", exact=False).last.click()
        await page.wait_for_selector("html[data-ready]")
        await page.get_by_label("Your name").fill(" ")
        await page.get_by_role("button", name="Save").click()
        name = page.get_by_label("Your name")
        await expect(name).to_have_attribute("aria-invalid", "true")
        await expect(name).to_be_focused()
        said = await page.get_by_role("alert").text_content()
        assert said
        assert said.startswith("The name ")
        assert said.endswith(".")
        await _expect_sentences(page)
        await name.fill("Ada of the settings")
        await page.get_by_label("Label of line 2").fill("Office")
        await page.get_by_label("Text of line 2").fill("Room 214")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_have_text("Saved.")
        shown = (await member.get("/api/users/me")).json()
        assert shown["display_name"] == "Ada of the settings"
        assert shown["fields"] == [{"name": "Office", "value": "Room 214"}]

        await open_ready(visit, "/settings/blocked")
        await page.get_by_label("Word or words").fill("exam week")
        async with renewing(page):
            await page.get_by_role("button", name="Mute").first.click()
        await expect(page.get_by_text("exam week")).to_be_visible()
        async with renewing(page):
            await page.get_by_role("button", name="Remove").click()
        await expect(page.get_by_role("button", name="Remove")).to_have_count(0)
        await expect(page.get_by_role("status")).to_have_text("Saved.")

        await open_ready(visit, "/settings/notifications")
        await page.get_by_label("Push nothing at night").check()
        await page.get_by_label("Somebody likes your post: Push").uncheck()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_have_text("Saved.")
        told = (await member.get("/api/notifications/settings")).json()
        assert told["kinds"]["like"] == {"in_app": True, "push": False, "mail": True}
        assert told["quiet_hours"]["from"] == "22:00"

        await stack.sql(
            "UPDATE auth.sessions SET authenticated_at = now() - interval '1 hour', address = '129.240.2.3'"
            " WHERE account_id = $1",
            member.id,
        )
        await open_ready(visit, "/settings/security")
        await page.get_by_role("button", name="Set up an app").click()
        proof = page.get_by_role("dialog", name="Is it you?")
        await proof.get_by_label("Password").fill("not my password")
        await proof.get_by_role("button", name="Go on").click()
        await expect(proof.get_by_role("alert")).not_to_be_empty()
        await proof.get_by_label("Password").fill(PASSWORD)
        await proof.get_by_role("button", name="Go on").click()
        app = page.get_by_role("dialog", name="Codes of an app")
        secret = (await app.locator(".secret").inner_text()).replace(" ", "")
        await app.get_by_label("The code that the app shows").fill(pyotp.TOTP(secret).now())
        await app.get_by_role("button", name="Confirm").click()
        codes = page.get_by_role("dialog", name="Recovery codes")
        code = await codes.get_by_role("listitem").first.inner_text()
        await codes.get_by_role("button", name="I have kept them").click()
        await expect(page.get_by_text("Your account asks for codes since")).to_be_visible()

        await page.context.clear_cookies()
        await visit.open("/login?return_to=/settings/sessions")
        await page.get_by_label("Username or address").fill(member.username)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("Code").fill(code)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(f"{stack.issuer}/settings/sessions")
        await expect(page.get_by_text("Codes of an app switched on")).to_be_visible()
        await expect(page.get_by_text("Norway").first).to_be_visible()


async def test_hundreds_that_are_muted_are_shown_page_by_page_and_one_is_taken_out(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    member = await join()
    words = [f"word{number}" for number in range(150)]
    await member.put("/api/users/me/muted-words", {"words": [{"word": one} for one in words]})
    async with Crowd(stack) as crowd:
        people = await crowd.join(101)
    await stack.sql(
        "INSERT INTO feed.mutes (member_id, muted_id) SELECT $1::text::uuid, unnest($2::uuid[])",
        member.id, [one.id for one in people],
    )  # fmt: skip
    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, member)
        await open_ready(visit, "/settings/blocked")
        unmute = page.get_by_role("button", name="Unmute")
        await expect(unmute).to_have_count(100)
        row = page.get_by_role("listitem").filter(has_text="word75")
        async with renewing(page):
            await row.get_by_role("button", name="Remove").click()
        await expect(page.get_by_text("word75", exact=True)).to_have_count(0)
        left = (await member.get("/api/users/me/muted-words")).json()["words"]
        assert {one["word"] for one in left} == set(words) - {"word75"}
        await page.get_by_role("link", name="Show more").click()
        await page.wait_for_selector("html[data-ready]")
        await expect(unmute).to_have_count(1)
        async with renewing(page):
            await unmute.click()
        await expect(unmute).to_have_count(0)
        assert (await member.get("/api/users/me/mutes?limit=100")).json()["next_cursor"] is None

        # What is true of a form without a connection.
        await page.get_by_label("Word or words").fill("exam")
        await page.context.set_offline(True)
        await page.get_by_role("button", name="Mute", exact=True).first.click()
        await expect(page.get_by_role("alert")).to_contain_text("This may not be saved")
        await expect(page.get_by_label("Word or words")).to_have_value("exam")
        await page.context.set_offline(False)
        await page.get_by_role("button", name="Mute", exact=True).first.click()
        await expect(page.get_by_text("exam", exact=True)).to_be_visible()
        visit.complaints.clear()  # of the connection


async def test_who_leaves_can_come_back_and_keep_the_account(
    browser: Browser, stack: Stack, join: Join
) -> None:
    member = await join()
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, member)
        # It has to be proved, and the password of the form is the proof.
        await stack.sql(
            "UPDATE auth.sessions SET authenticated_at = now() - interval '1 hour' WHERE account_id = $1",
            member.id,
        )
        await open_ready(visit, "/settings/delete")
        await page.locator("#leave").get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name=f"Delete @{member.username}").click()
        await page.get_by_role("button", name="Goodbye").click()
        await page.wait_for_url(f"{stack.issuer}/")
        await visit.open("/login")
        await page.get_by_label("Username or address").fill(member.username)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/keep")
        await visit.require_accessible()
        await page.get_by_role("button", name="Keep my account").click()
        await page.wait_for_url("**/home")
        await page.wait_for_selector("html[data-ready]")
        assert (await page.evaluate("async () => (await fetch('/api/users/me')).status")) == 200


async def test_member_answers_requests_mutes_and_blocks(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, bob, eve = await join(), await join(), await join()
    await ada.patch("/api/users/me", {"is_private": True})
    for other in (bob, eve):
        await other.put(f"/api/users/{ada.username}/follow")
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, "/follow-requests")
        await visit.require_accessible()
        await (
            page.get_by_role("listitem")
            .filter(has_text=bob.username)
            .get_by_role("button", name="Accept")
            .click()
        )
        await page.get_by_role("button", name=f"Refuse Member {eve.username}").click()
        await expect(page.get_by_text(f"Member {bob.username} follows you now.")).to_be_visible()
        await expect(page.get_by_text(f"Refused. Member {eve.username}")).to_be_focused()

        # What is shown is asked already, whatever becomes of the page.
        await page.goto("about:blank")

        async def are_answered() -> bool:
            return not (await ada.get("/api/users/me/follow-requests")).json()["items"]

        await eventually(are_answered)
        await open_ready(visit, "/follow-requests")
        await expect(page.get_by_text("Nobody waits for an answer.")).to_be_visible()
        assert (await bob.get(f"/api/users/{ada.username}")).json()["is_followed"]
        assert not (await eve.get(f"/api/users/{ada.username}")).json()["is_requested"]

        await open_ready(visit, f"/@{ada.username}")
        await page.get_by_role("link", name="1 follower").click()
        await expect(page.get_by_role("listitem").filter(has_text=bob.username)).to_be_visible()
        await page.get_by_role("link", name=f"@{bob.username}").click()
        menu = page.get_by_role("button", name="More about this member")
        await menu.click()
        await page.get_by_role("menuitem", name="Mute for a week").click()
        await expect(page.get_by_role("status")).to_contain_text("no longer see")
        await menu.click()
        await page.get_by_role("menuitem", name="Report to the moderators").click()
        await page.get_by_label("It harasses somebody").check()
        await page.get_by_role("button", name="Send the report").click()
        await menu.click()
        await page.get_by_role("menuitem", name="Block").click()
        await page.get_by_role("dialog").get_by_role("button", name="Block").click()
        await expect(page.get_by_text("You block this member.")).to_be_visible()
        await open_ready(visit, "/settings/blocked")
        await expect(page.get_by_text(f"@{bob.username}")).to_have_count(2)
        await page.get_by_role("button", name="Unblock").click()
        await expect(page.get_by_text("You block nobody.")).to_be_visible()
    reasons = await stack.sql("SELECT reason FROM feed.reports WHERE member_id = $1", bob.id)
    assert [one["reason"] for one in reasons] == ["harassment"]


async def test_requests_to_follow_are_answered_where_one_is_told_of_them(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, bob, eve, joan = [await join() for _ in range(4)]
    await ada.patch("/api/users/me", {"is_private": True})
    for other in (bob, eve, joan):
        await other.put(f"/api/users/{ada.username}/follow")

    async def is_told() -> bool:
        told = (await ada.get("/api/notifications")).json()["items"]
        return [(one["kind"], one["count"]) for one in told] == [("follow_request", 3)]

    await eventually(is_told)
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, "/notifications")
        await visit.require_accessible()
        await visit.keep("members-asked")
        asking = page.get_by_role("list", name="Requests to follow you")
        # With keys: what was answered is where the button was.
        accept = asking.get_by_role("button", name=f"Accept Member {bob.username}")
        await accept.focus()
        await page.keyboard.press("Enter")
        accepted = page.get_by_text(f"Accepted: Member {bob.username} follows you now.")
        await expect(accepted).to_be_focused()
        await visit.require_accessible()
        # What the server refuses is as it was before.
        refuse = asking.get_by_role("button", name=f"Refuse Member {eve.username}")
        await page.route("**/follow-requests/*", lambda route: route.fulfill(status=429), times=1)
        await refuse.click()
        again = page.get_by_role("button", name="Try again")
        await expect(again).to_be_visible()
        await expect(refuse).to_be_visible()
        await again.click()
        await expect(page.get_by_text(f"Refused. Member {eve.username}")).to_be_visible()
        await joan.delete(f"/api/users/{ada.username}/follow")
        await asking.get_by_role("button", name=f"Accept Member {joan.username}").click()
        await expect(page.get_by_text(f"Member {joan.username} no longer asks")).to_be_visible()
        # None of it is told any more, and all of it is still there for whoever comes back.
        bell = page.get_by_role("link", name="Notifications", exact=False).first
        await expect(bell).not_to_contain_text("unread")
        await asking.get_by_role("link", name=bob.username).click()
        await page.wait_for_url(f"**/@{bob.username}")
        await page.go_back()
        await expect(accepted).to_be_visible()
        await page.reload()
        await expect(page.get_by_text("Nothing has happened yet.")).to_be_visible()
    assert (await bob.get(f"/api/users/{ada.username}")).json()["is_followed"]
    assert not (await eve.get(f"/api/users/{ada.username}")).json()["is_requested"]
