"""States of the console's screens that need something done first, for the test that looks at them.

They follow each other on one console: what is acknowledged in one is so in the next. Those of nobody who is
signed in are last.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from tests.browser.conftest import Visit
from tests.conftest import Stack

Arrange = Callable[[Visit, Stack], Awaitable[None]]

LINES = (
    ("warning", f"slow query {'0123456789abcdef' * 12}"),
    ("error", "<b>not stored</b> مرحبا"),
    ("info", "posts were read"),
)


def at(path: str, *selectors: str) -> Arrange:
    """Open a page, and press all that there is of each in turn."""

    async def arrange(visit: Visit, _console: Stack) -> None:
        await visit.page.goto(visit.origin + path)
        for selector in selectors:
            # Now has it only when it knows what is wrong, and loads itself again until then.
            await visit.page.locator(selector).first.wait_for(state="attached")
            for found in await visit.page.locator(f"{selector} >> visible=true").all():
                await found.click()
        await visit.page.wait_for_load_state("load")

    return arrange


async def show_lines(visit: Visit, console: Stack) -> None:
    path = console.home / "logs" / "feed-service.log"
    path.parent.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).isoformat()
    lines = [{"timestamp": stamp, "level": level, "event": event} for level, event in LINES]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    await at("/ops/logs?service=feed-service")(visit, console)
    await visit.page.locator("#log li").nth(2).wait_for()


async def confirm(visit: Visit, console: Stack, name: str) -> None:
    """Plan to remove an old file, and confirm it with this name."""
    file = console.home / "logs" / "search.log.7"
    file.parent.mkdir(exist_ok=True)
    file.parent.chmod(0o777)
    file.write_text("old")
    os.utime(file, (0, 0))
    await visit.page.goto(f"{visit.origin}/ops/actions")
    await visit.page.get_by_role("button", name="Plan prune").click()
    await visit.page.locator("[name=why]").fill("The disk is full")
    await visit.page.locator("[name=name]").fill(name)
    await visit.page.locator("button.danger").click()


async def confirm_wrongly(visit: Visit, console: Stack) -> None:
    await confirm(visit, console, "prude")
    await visit.page.locator("main .error").wait_for()


async def prune(visit: Visit, console: Stack) -> None:
    await confirm(visit, console, "prune")
    await visit.page.locator("main .state.ok").wait_for()


async def plan_run(visit: Visit, _console: Stack) -> None:
    await visit.page.goto(f"{visit.origin}/ops/actions")
    await visit.page.get_by_label("A routine").fill("morning")
    await visit.page.get_by_role("button", name="Plan run").click()
    await visit.page.locator("[name=why]").fill("To see")
    await visit.page.locator("[popovertarget=sure]").first.click()
    await visit.page.locator("#sure").wait_for()


async def resolve(visit: Visit, _console: Stack) -> None:
    """An incident without an alert, from its beginning to its end."""
    await visit.page.goto(f"{visit.origin}/ops/incidents/open")
    await visit.page.locator("[name=title]").fill(f"Posts are late {'very ' * 40}late")
    await visit.page.locator("main form button").click()
    await visit.page.get_by_role("link", name="Resolve…").click()
    await visit.page.locator("[name=why]").fill("They are on time again")
    await visit.page.locator("main form button").last.click()
    await visit.page.locator("main .state.ok").first.wait_for()


async def stand_in_backwards(visit: Visit, console: Stack) -> None:
    await at("/ops/oncall", "main summary")(visit, console)
    await visit.page.locator("[name=starts_at]").fill("2026-01-02T10:00")
    await visit.page.locator("[name=ends_at]").fill("2026-01-01T10:00")
    await visit.page.locator("[name=note]").fill("A holiday")
    await visit.page.get_by_role("button", name="Let them stand in").click()
    await visit.page.locator("main .error").wait_for()


async def be_refused(visit: Visit, console: Stack) -> None:
    await sign_out(visit, console)
    for name, text in (("name", secrets.token_hex(4)), ("password", "wrong"), ("code", "123456")):
        await visit.page.locator(f"[name={name}]").fill(text)
    await visit.page.locator("main form button").click()
    await visit.page.locator("main .error").wait_for()


async def sign_out(visit: Visit, _console: Stack) -> None:
    await visit.page.context.clear_cookies()
    await visit.page.goto(f"{visit.origin}/ops/sign-in")


async def follow_a_link(visit: Visit, console: Stack) -> None:
    await visit.page.goto(console.command("console", "--as", "ada").stdout.split()[0])


STATES: Mapping[str, Arrange] = {
    "menu": at("/ops/", "button.menu"),
    "acknowledged": at("/ops/", "button.large"),
    "incident-acknowledged": at("/ops/incidents/1"),
    "incident-resolved": resolve,
    "look-closer": at("/ops/", "main summary"),
    "plan-refused": at("/ops/", "[aria-label^='Do it']"),
    "plan-sure": plan_run,
    "plan-wrong": confirm_wrongly,
    "done": prune,
    "done-so-far": at("/ops/actions"),
    "audited": at("/ops/audit"),
    "lines": show_lines,
    "no-lines": at("/ops/logs?service=feed-service&text=nothing"),
    "standing-in": at("/ops/oncall", "main summary"),
    "standing-in-refused": stand_in_backwards,
    "status-forms": at("/ops/status", "main summary"),
    "status-sure": at("/ops/status", "main summary", "[popovertarget=sure]:not(.quiet)"),
    "incident-missing": at("/ops/incidents/999"),
    "sign-in": sign_out,
    "sign-in-refused": be_refused,
    "link": follow_a_link,
    "link-closed": at("/ops/link?token=x"),
}
