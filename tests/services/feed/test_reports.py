"""What members report is kept for moderators, with what was said, and for nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.conftest import Member, Stack

Join = Callable[[], Awaitable[Member]]


async def test_reports_are_kept_once_each_with_what_was_said_then(stack: Stack, join: Join) -> None:
    ada, bob = await join(), await join()
    post = await bob.write("You are a fool", content_warning="for Ada")
    place = f"/api/posts/{post['id']}/report"
    for reason in ("spam", "harassment"):
        said = {"reason": reason, "note": "Again,\nand again"}
        assert (await ada.put(place, said)).status_code == 204
        assert (await ada.put(f"/api/users/{bob.username}/report", said)).status_code == 204
    assert (await bob.patch(f"/api/posts/{post['id']}", {"text": "Hello"})).status_code == 200
    assert (await bob.delete(f"/api/posts/{post['id']}")).status_code == 204

    kept = await stack.sql(
        "SELECT kind, reason, note, content_warning, text FROM feed.reports WHERE reporter_id = $1"
        " ORDER BY kind",
        ada.id,
    )
    note = "Again,\nand again"
    assert [tuple(one) for one in kept] == [
        ("member", "harassment", note, None, None),
        ("post", "harassment", note, "for Ada", "You are a fool"),
    ]


async def test_what_cannot_be_reported_says_why(join: Join) -> None:
    ada, bob = await join(), await join()
    own = await ada.write("mine")
    hidden = await bob.write("not for her", visibility="self")
    said = {"reason": "spam"}
    for path, body, status in (
        (f"/api/users/{ada.username}/report", said, 422),
        (f"/api/posts/{own['id']}/report", said, 422),
        (f"/api/posts/{hidden['id']}/report", said, 404),
        ("/api/users/nobody_of_this_name/report", said, 404),
        (f"/api/users/{bob.username}/report", {"reason": "boring"}, 422),
        (f"/api/users/{bob.username}/report", {"reason": "spam", "note": "x" * 1001}, 422),
    ):
        assert (await ada.put(path, body)).status_code == status, path
