"""Digests: in the morning, if something is unread, and nothing of whom or what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from chitlaq.core.data.digests import MailDigest
from chitlaq.core.data.mail import Mail
from chitlaq.core.installation.settings import Settings
from chitlaq.core.languages import LANGUAGES
from chitlaq.services.auth.digests import digests
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.websocket.notifications.kinds import KINDS, SECURITY
from tests.conftest import Member, Stack, eventually
from tests.hostile_texts import TEXTS
from tests.services.auth.test_mails import Seen

Join = Callable[..., Awaitable[Member]]

SETTINGS = "/api/notifications/settings"
READER, TOKEN = uuid4(), uuid4()


@pytest.mark.parametrize("language", LANGUAGES)
def test_digest_names_each_kind_that_is_not_mailed_at_once(language: str) -> None:
    kinds = [kind for kind in KINDS if kind not in SECURITY]
    assert sorted(digests.words(language)) == sorted(kinds)
    to = Recipient("ada@example.edu", "Ada", language)
    for number in (1, 1234):
        counts: dict[str, int] = dict.fromkeys(kinds, number) | {"of_a_newer_version": 5}
        mail = digests.composed(Settings(), to, MailDigest(uuid4(), counts, uuid4()))
        listed = [line for line in mail.text.splitlines() if line.startswith("- ")]
        assert len(listed) == len(kinds)
        assert all(str(number) in line for line in listed)
        assert "{" not in mail.text
        assert mail.html.count("<br>- ") == len(kinds) - 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_name_of_its_reader_stays_text_in_a_digest(language: str) -> None:
    """Nothing else in it is a member's: of whom and of what it tells, it says nothing."""

    def written(name: str) -> Mail:
        to = Recipient("ada@example.edu", name, language)
        return digests.composed(Settings(), to, MailDigest(READER, {"like": 2}, TOKEN))

    plain = written("Ada")
    for text in TEXTS:
        mail = written(text)
        for header in ("to_address", "subject", "unsubscribe", "links"):
            assert getattr(mail, header) == getattr(plain, header), text
        greeting, rest = mail.text.split("\n", 1)
        assert rest == plain.text.split("\n", 1)[1], text
        assert "://" not in greeting
        assert Seen(mail.html).elements == Seen(plain.html).elements, text


async def test_digest_comes_in_the_morning_if_something_is_unread_and_once(
    join: Join, stack: Stack
) -> None:
    members = {case: await join() for case in ("told", "off", "read", "nothing", "left")}
    other = await join()
    for case, member in members.items():
        off = {"kinds": {"like": {"mail": False}}} if case == "off" else {}
        await member.put(SETTINGS, {"digest": "daily", **off})
        if case != "nothing":
            post = await member.write("a secret between us")
            await other.put(f"/api/posts/{post['id']}/like")
            await eventually(lambda member=member: unread(member))  # type: ignore[misc]
        if case == "read":
            (latest,) = (await member.get("/api/notifications")).json()["items"]
            await member.post("/api/notifications/read", {"until": latest["id"]})
    await stack.sql(
        "UPDATE auth.accounts SET disabled_at = now(), disabled_reason = 'test' WHERE id = $1",
        members["left"].id,
    )
    for _ in range(2):
        await morning(stack, members)
    mails = {case: await mails_to(stack, member) for case, member in members.items()}
    assert {case: len(found) for case, found in mails.items()} == {
        "told": 1, "off": 0, "read": 0, "nothing": 0, "left": 0,
    }  # fmt: skip
    (mail,) = mails["told"]
    assert "- 1 like of your posts" in mail["text"]
    for secret in (other.username, f"Member {other.username}", "a secret between us"):
        assert secret not in mail["text"] + mail["html"] + mail["subject"]
    # What it told is not told again when more of the same follows.
    told, again = members["told"], await join()
    (liked,) = (await told.get("/api/notifications")).json()["items"]
    await again.put(f"/api/posts/{liked['post']['id']}/like")

    async def has_grown() -> bool:
        (one,) = (await told.get("/api/notifications")).json()["items"]
        return bool(one["count"] == 2)

    await eventually(has_grown)
    await morning(stack, {"told": told})
    assert ["- 1 like of your posts" in one["text"] for one in await mails_to(stack, told)] == [
        True,
        True,
    ]
    # The link in its header ends them (RFC 8058).
    end = urlsplit(mail["unsubscribe"])
    ended = await other.client.post(
        f"{end.path}?{end.query}", data={"List-Unsubscribe": "One-Click"}
    )
    assert ended.status_code == 200
    assert (await members["told"].get(SETTINGS)).json()["digest"] == "off"


async def unread(member: Member) -> bool:
    return bool((await member.get("/api/notifications")).json()["unread"])


async def morning(stack: Stack, members: dict[str, Member]) -> None:
    """Let the digests of these members be due, and wait until they are written."""
    ids = [member.id for member in members.values()]
    await stack.sql(
        "UPDATE websocket.notification_settings SET digest_due_at = now() WHERE account_id = ANY ($1)",
        ids,
    )

    async def is_over() -> bool:
        (row,) = await stack.sql(
            "SELECT NOT EXISTS (SELECT FROM websocket.notification_settings"
            " WHERE account_id = ANY ($1) AND digest_due_at <= now())"
            " AND NOT EXISTS (SELECT FROM jobs.jobs WHERE kind = 'mail_digest') AS is_over",
            ids,
        )
        return bool(row["is_over"])

    await eventually(is_over)


async def mails_to(stack: Stack, member: Member) -> list[Any]:
    return await stack.sql(
        "SELECT subject, text, html, unsubscribe FROM mail.messages"
        " WHERE to_address = $1 AND unsubscribe <> ''",
        member.email,
    )
