"""Incidents in the console: two operators at once, and what a page shows of what strangers wrote."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from chitlaq.web.console.pages import CONSOLE
from chitlaq.web.site.pages import SITE
from tests.browser.alerts import report
from tests.conftest import Stack, eventually
from tests.ops.console.conftest import Visitor

Visitors = Callable[[], Visitor]


async def opened(one: Visitor, title: str, severity: str = "P1") -> str:
    answer = await one.send("/ops/incidents/open", title=title, severity=severity)
    assert answer.status_code == 303, answer.text
    place: str = answer.headers["location"]
    return place


async def test_of_two_who_acknowledge_at_once_one_is_told_that_the_other_was_faster(
    alone: Stack, visitor: Visitors
) -> None:
    ada, bob = visitor(), visitor()
    await ada.use_link(alone, "ada")
    await bob.use_link(alone, "bob")
    place = await opened(ada, "Members cannot post")
    answers = await asyncio.gather(
        *(one.send(f"{place}/acknowledge", version=1) for one in (ada, bob))
    )
    assert sorted(one.status_code for one in answers) == [303, 409]
    refused = next(one for one in answers if one.status_code == 409)
    assert "has changed since you looked" in refused.text
    assert "acknowledged by" in refused.text
    # Whoever was slower may take over, which is another form.
    slower = (ada, bob)[answers.index(refused)]
    assert (
        await slower.send(f"{place}/acknowledge", version=2, takes_over="yes")
    ).status_code == 303


async def test_each_step_takes_a_reason_and_is_in_the_timeline(
    alone: Stack, visitor: Visitors
) -> None:
    one = visitor()
    await one.use_link(alone, "ada")
    place, other = await opened(one, "Chat is slow"), await opened(one, "Search is slow")
    number = int(other.rpartition("/")[2])
    assert (await one.send(f"{place}/resolve", version=1, why="  ")).status_code == 409
    for step, fields in (
        ("severity", {"version": 1, "severity": "P0", "why": "nobody can write"}),
        ("merge", {"version": 2, "into": number, "why": "the same cause"}),
    ):
        assert "What it will do" in (await one.get(f"{place}/{step}")).text
        answer = await one.send(f"{place}/{step}", **fields)
        assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == other
    assert f'Part of <a href="{other}"' in (await one.get(place)).text
    shown = (await one.get(other)).text
    for said in ("nobody can write", "the same cause"):
        assert said in shown
    assert (await one.send(f"{other}/resolve", version=99, why="over")).status_code == 409


async def test_what_strangers_wrote_is_text(alone: Stack, visitor: Visitors) -> None:
    one = visitor()
    await one.use_link(alone)
    summary = "<script>alert(1)</script> \u202egnp.exe \x1b[31m{{ 7 * 7 }}"
    await report(alone, "Strange<b>", "P1", summary, service="<img src=x onerror=alert(1)>")

    async def pages() -> list[str]:
        found = [(await one.get(path)).text for path in ("/ops/alerts", "/ops/", "/ops/incidents")]
        return found if "gnp.exe" in found[2] else []

    for text in await eventually(pages):
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
        assert "49" not in text.partition("gnp.exe")[2][:40]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \\u202egnp.exe" in text


def test_pages_hide_and_reorder_nothing_whoever_wrote_it() -> None:
    for pages in (CONSOLE, SITE):
        shown = pages.environment.from_string("{{ text }}").render(text="a\u202eb\x1b[0m<i>")
        assert shown == "a\\u202eb\\u001b[0m&lt;i&gt;"


async def test_what_members_were_told_is_in_the_audit(alone: Stack, visitor: Visitors) -> None:
    one = visitor()
    await one.use_link(alone, "grace")
    number = (await opened(one, "Feed is slow")).rpartition("/")[2]
    told = {"incident": number, "status": "investigating", "component": "feed", "text": "We look."}
    assert (await one.send("/ops/status/publish", **told)).status_code == 303
    work = {"starts_at": "2098-02-01T02:00", "ends_at": "2098-02-01T03:00", "component": "chat"}
    assert (await one.send("/ops/status/maintenance", title="Disks", **work)).status_code == 303
    word = {"component": "search", "state": "partial_outage"}
    assert (await one.send("/ops/status/components", **word)).status_code == 303
    for path, fields in (
        ("components", {**word, "state": "clear"}),
        ("maintenance/end", {"number": 1}),
    ):
        assert (await one.send(f"/ops/status/{path}", **fields)).status_code == 303
    audit = (await one.get("/ops/audit")).text
    for deed in (
        f"told members of incident {number}: investigating", "status maintenance add chat",
        "status set search partial_outage", "status set search clear", "status maintenance end 1",
    ):  # fmt: skip
        assert re.search(rf"<b>grace</b> · <a href=\"/ops/[^\"]+\">{deed}</a>", audit), deed


async def test_bytes_that_are_no_text_are_refused(alone: Stack, visitor: Visitors) -> None:
    one = visitor()
    await one.use_link(alone)
    answer = await one.client.post(
        "/ops/incidents/open",
        content=b"title=\xff",
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": str(one.client.base_url).rstrip("/"),
        },
    )
    assert answer.status_code == 422
    assert "UTF-8" in answer.text


async def test_refusal_gives_back_what_was_written(alone: Stack, visitor: Visitors) -> None:
    one = visitor()
    await one.use_link(alone)
    number = (await opened(one, "Pictures are missing")).rpartition("/")[2]
    told = {"incident": number, "status": "resolved", "text": "We <look> into it."}
    refused = await one.send("/ops/status/publish", **told)
    assert refused.status_code == 409
    assert "Members were never told" in refused.text
    assert "We &lt;look&gt; into it." in refused.text
    assert '<a href="/ops/status">Back to Status page</a>' in refused.text
    assert one.form_token not in re.sub(r'name="form_token" value="[^"]+"', "", refused.text)
