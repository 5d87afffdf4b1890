"""Drafts wait, and those that are scheduled are published once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.conftest import Member, Stack, eventually
from tests.services.feed.test_lists import pages

Join = Callable[..., Awaitable[Member]]
DRAFTS = "/api/users/me/drafts"


def later(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


async def keep(member: Member, text: str, **fields: Any) -> Any:
    at = {"scheduled_at": fields.pop("scheduled_at")} if "scheduled_at" in fields else {}
    answer = await member.post(DRAFTS, {"post": {"text": text, **fields}, **at})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def make_due(stack: Stack, draft: Any) -> None:
    """As if its time had come."""
    await stack.sql("UPDATE feed.drafts SET scheduled_at = now() WHERE id = $1", draft["id"])
    await stack.sql(
        "UPDATE jobs.jobs SET due_at = now() WHERE payload->>'draft_id' = $1", draft["id"]
    )


async def written(author: Member) -> list[str]:
    items = (await author.get(f"/api/users/{author.username}/posts")).json()["items"]
    return [item["text"] for item in items]


async def test_drafts_are_kept_changed_and_deleted_and_are_nobody_elses(join: Join) -> None:
    ada, eve = await join(), await join()
    drafts = [await keep(ada, str(number)) for number in range(3)]
    empty = await keep(ada, "", visibility="followers")
    found = await pages(ada, DRAFTS, 3)
    assert found == [[empty, drafts[2], drafts[1]], [drafts[0]]]
    assert await pages(eve, DRAFTS, 3) == [[]]
    path = f"{DRAFTS}/{drafts[0]['id']}"
    for answer in (await eve.patch(path, {}), await eve.delete(path)):
        assert answer.status_code == 404
    changed = (await ada.patch(path, {"post": {"text": "new"}})).json()
    assert (changed["post"]["text"], changed["created_at"]) == ("new", drafts[0]["created_at"])
    assert (await ada.delete(path)).status_code == 204
    assert (await ada.delete(path)).status_code == 404
    assert await written(ada) == []


async def test_scheduled_post_is_published_once_and_delivered(stack: Stack, join: Join) -> None:
    ada, eve = await join(), await join()
    await eve.put(f"/api/users/{ada.username}/follow")
    assert await eve.home() == []
    draft = await keep(
        ada, "at its time #later", scheduled_at=later(hours=1), poll={"options": ["a", "b"]}
    )
    waiting = await keep(ada, "tomorrow", scheduled_at=later(days=1))
    assert await written(ada) == []
    await make_due(stack, draft)

    async def arrived() -> Any:
        return await eve.home()

    (post,) = await eventually(arrived)
    assert (post["text"], post["tags"]) == ("at its time #later", ["later"])
    assert post["poll"]["voters"] == 0
    assert [one["id"] for one in (await pages(ada, DRAFTS, 9))[0]] == [waiting["id"]]
    assert (await ada.delete(f"{DRAFTS}/{draft['id']}")).status_code == 404


async def test_draft_that_is_sent_again_is_kept_and_published_once(
    stack: Stack, join: Join
) -> None:
    ada = await join()
    body = {"post": {"text": "once"}, "scheduled_at": later(hours=1)}
    key = {"Idempotency-Key": "the same"}
    answers = await asyncio.gather(*(ada.post(DRAFTS, body, **key) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
    (draft,) = {answer.json()["id"]: answer.json() for answer in answers}.values()
    assert (await ada.post(DRAFTS, {"post": {"text": "other"}}, **key)).status_code == 409
    await make_due(stack, draft)

    async def is_published() -> bool:
        return await written(ada) == ["once"]

    await eventually(is_published)
    assert (await ada.post(DRAFTS, body, **key)).status_code == 409
    assert await pages(ada, DRAFTS, 9) == [[]]


async def test_job_that_another_process_repeats_publishes_nothing_again(
    stack: Stack, join: Join
) -> None:
    """As after a crash: the job is there again, for a draft that is published, deleted or for later."""
    ada = await join()
    drafts = [
        await keep(ada, text, scheduled_at=later(hours=1)) for text in ("due", "deleted", "put off")
    ]
    due, deleted, put_off = drafts
    jobs = await stack.sql("SELECT payload FROM jobs.jobs WHERE kind = 'publish_draft'")
    assert (await ada.delete(f"{DRAFTS}/{deleted['id']}")).status_code == 204
    await ada.patch(f"{DRAFTS}/{put_off['id']}", {"scheduled_at": later(hours=2)})
    await stack.sql("UPDATE feed.drafts SET scheduled_at = now() WHERE id = $1", due["id"])
    for draft in drafts * 2:
        await stack.sql(
            "INSERT INTO jobs.jobs (kind, payload, request_id)"
            " VALUES ('publish_draft', jsonb_build_object('draft_id', $1::text), 'again')",
            draft["id"],
        )

    async def is_done() -> bool:
        left = await stack.sql("SELECT FROM jobs.jobs WHERE request_id = 'again'")
        return not left

    await eventually(is_done)
    assert len(jobs) >= len(drafts)
    assert await written(ada) == ["due"]
    assert [one["id"] for one in (await pages(ada, DRAFTS, 9))[0]] == [put_off["id"]]


async def test_draft_that_cannot_be_published_says_why_and_can_be_mended(
    stack: Stack, join: Join
) -> None:
    ada, eve = await join(), await join()
    post = await eve.write("answer me")
    draft = await keep(ada, "an answer", reply_to=post["id"], scheduled_at=later(hours=1))
    await eve.delete(f"/api/posts/{post['id']}")
    await make_due(stack, draft)

    async def failed() -> Any:
        ((found,),) = await pages(ada, DRAFTS, 9)
        return found if found["failure"] else None

    found = await eventually(failed)
    assert "reply_to: does not exist" in found["failure"]
    assert found["scheduled_at"] is None
    path = f"{DRAFTS}/{draft['id']}"
    mended = await ada.patch(path, {"post": {"text": "alone"}, "scheduled_at": later(hours=1)})
    assert (mended.status_code, mended.json()["failure"]) == (200, None), mended.text
    await make_due(stack, draft)

    async def is_published() -> bool:
        return await written(ada) == ["alone"]

    await eventually(is_published)


async def test_nothing_is_published_for_a_disabled_account(stack: Stack, join: Join) -> None:
    ada = await join()
    draft = await keep(ada, "while disabled", scheduled_at=later(hours=1))
    await stack.sql(
        "UPDATE auth.accounts SET disabled_at = now(), disabled_reason = 'spam' WHERE id = $1",
        ada.id,
    )
    await make_due(stack, draft)

    async def failed() -> Any:
        return await stack.sql(
            "SELECT FROM feed.drafts WHERE id = $1 AND failure LIKE '%closed%'", draft["id"]
        )

    await eventually(failed)
    assert not await stack.sql("SELECT FROM feed.posts WHERE author_id = $1", ada.id)


async def test_drafts_that_cannot_be_kept_are_refused(stack: Stack, join: Join) -> None:
    ada = await join()
    for body in (
        {"post": {"text": "x"}, "scheduled_at": later(hours=-1)},
        {"post": {"text": "x"}, "scheduled_at": later(days=400)},
        {"post": {"text": "x"}, "scheduled_at": "2030-01-01T00:00:00"},
        {"post": {"text": " "}, "scheduled_at": later(hours=1)},
        {"post": {"text": "x" * 1001}},
        {"post": {"text": "x", "visibility": "all"}},
    ):
        assert (await ada.post(DRAFTS, body)).status_code in {400, 422}, body
    draft = await keep(ada, "")
    answer = await ada.patch(f"{DRAFTS}/{draft['id']}", {"scheduled_at": later(hours=1)})
    assert answer.status_code == 422
    await stack.sql(
        "INSERT INTO feed.drafts (member_id, post)"
        ' SELECT $1, \'{"text": ""}\' FROM generate_series(1, 97)',
        ada.id,
    )
    answers = await asyncio.gather(*(ada.post(DRAFTS, {"post": {}}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409]
