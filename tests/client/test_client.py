"""The SDK against a real installation: sessions, posts, and chat that loses nothing."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self
from uuid import UUID

import pytest

from chitlaq.client import (
    AnnouncementEnded,
    ApiError,
    Chat,
    ConversationChanged,
    Event,
    IsTyping,
    Message,
    MessageChanged,
    NotificationsRead,
    Notified,
    Presence,
    Privacy,
    Reaction,
    Read,
    RefusedError,
    Session,
    SignedOutError,
    Tokens,
    UnreachableError,
)
from tests.conftest import PASSWORD, Member, Stack, eventually
from tests.services.auth.test_factors import enroll
from tests.services.feed.pictures import encoded, picture
from tests.services.websocket.notifications.test_announcements import a_department

Join = Callable[[], Awaitable[Member]]
ROOT = Path(__file__).parents[2]


def session_of(stack: Stack, member: Member, access: str = "") -> Session:
    return Session(stack.gateway, Tokens(access or member.token, member.refresh_token))


async def plant(stack: Stack, conversation: UUID, sender: Member, count: int) -> None:
    """Messages of a day ago, as if they had been sent then."""
    await stack.sql(
        "WITH told AS (UPDATE websocket.conversations SET last_seq = $3,"
        " last_at = now() - interval '1 day' WHERE id = $1)"
        " INSERT INTO websocket.messages (conversation_id, seq, sender_id, client_id, text, sent_at)"
        " SELECT $1, n, $2, n, n, now() - interval '1 day' FROM generate_series(1, $3::int) n",
        conversation,
        UUID(sender.id),
        count,
    )


async def test_session_reads_and_writes_and_renews_itself(stack: Stack, join: Join) -> None:
    ada = await join()
    session = await Session.sign_in(stack.gateway, ada.username, PASSWORD)
    session.tokens = session.tokens._replace(access="expired")
    written = await asyncio.gather(*(session.post(f"hello {number}") for number in range(3)))
    assert session.tokens.access != "expired"
    home = await session.home()
    assert {one.id for one in written} <= {one.id for one in home.items}
    people = await session.search(ada.username)
    assert [one.username for one in people.items] == [ada.username]
    assert (people.total, people.is_total_exact, people.next_cursor) == (1, True, None)
    (found,) = (await session.search_posts(f'from:{ada.username} "hello 2"')).items
    assert found.id in {one.id for one in written}
    assert (await session.search_messages("nothing", by_time=True)).total == 0
    assert (await session.me()).username == ada.username


async def test_member_does_with_the_sdk_what_they_do_in_the_feed(stack: Stack, join: Join) -> None:
    people = [await join(), await join()]
    ada, ben = [await Session.sign_in(stack.gateway, one.username, PASSWORD) for one in people]
    names = [one.username for one in people]
    made = await ada.upload(encoded(picture()), "Coloured blocks")
    assert (await ada.picture(made.id)).alt == "Coloured blocks"
    post = await ada.post("look #sdk", media_ids=[made.id], content_warning="blocks")
    assert [one.alt for one in post.media] == ["Coloured blocks"]
    await ben.follow(names[0])
    for deed in (ben.like, ben.repost, ben.bookmark):
        await deed(post.id)
    seen = await ben.post_of(post.id)
    assert (seen.likes, seen.reposts, seen.bookmarked) == (1, 1, True)
    assert [one.id for one in (await ben.bookmarks()).items] == [post.id]
    await ben.like(post.id, takes_back=True)
    reply = await ben.post("yes", reply_to=post.id)
    thread = await ada.thread(post.id)
    assert ([one.id for one in thread.replies], thread.ancestors) == ([reply.id], [])
    assert post.id in [one.id for one in (await ada.tag("SDK")).items]
    assert [one.id for one in (await ben.posts(names[0])).items] == [post.id]
    assert (await ben.explore()).items
    assert all(one.authors for one in await ben.trending())
    asked = await ada.post("which?", poll={"options": ["a/b", "c"], "expires_in_seconds": 600})
    voted = (await ben.vote(asked.id, [1])).poll
    assert voted is not None
    assert ([one.votes for one in voted.options], voted.voted) == ([0, 1], [1])
    assert (await ada.edit_post(post.id, text="look again")).text == "look again"
    draft = await ada.keep_draft("later", datetime.now(UTC) + timedelta(hours=1))
    assert [one.post["text"] for one in (await ada.drafts()).items] == ["later"]
    await ada.delete_draft(draft.id)
    await ada.change_profile(is_private=True, bio="Hello")
    assert (await ada.profile("me")).bio == "Hello"
    await ben.follow(names[0], takes_back=True)
    await ben.follow(names[0])
    assert [one.username for one in (await ada.follow_requests()).items] == [names[1]]
    await ada.answer_request(names[1])
    assert (await ben.profile(names[0])).is_followed
    assert names[0] not in [one.username for one in await ben.suggestions()]
    await ben.mute(names[0])
    await ada.block(names[1])
    with pytest.raises(ApiError):
        await ben.profile(names[0])
    await ada.delete_post(post.id)


async def test_errors_say_what_happened(stack: Stack, join: Join) -> None:
    ada = await join()
    with pytest.raises(ApiError) as wrong:
        await Session.sign_in(stack.gateway, ada.username, "not it at all")
    assert wrong.value.status == 401
    session = session_of(stack, ada)
    with pytest.raises(ApiError) as invalid:
        await session.post(" ")
    assert (invalid.value.status, "text" in invalid.value.errors) == (422, True)
    assert invalid.value.request_id
    await enroll(ada)
    with pytest.raises(ApiError) as more:
        await Session.sign_in(stack.gateway, ada.username, PASSWORD)
    assert (more.value.kind, wrong.value.kind) == ("second-factor-required", "")
    assert more.value.methods == ["totp", "recovery_code"]
    with pytest.raises(SignedOutError):
        await Session(stack.gateway, Tokens("no", "no")).conversations().__anext__()
    with pytest.raises(UnreachableError):
        await Session("http://127.0.0.1:1", Tokens("no")).home()


async def test_chat_delivers_to_every_device_in_order_and_once(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")  # else it is a request
    sender = session_of(stack, ada)
    seen: dict[str, list[Message]] = {"phone": [], "laptop": [], "ben": []}
    async with (
        Chat(sender, seen["phone"].append).connected() as phone,
        Chat(session_of(stack, ada), seen["laptop"].append).connected() as laptop,
        Chat(session_of(stack, ben), seen["ben"].append).connected() as other,
    ):
        for one in (phone, laptop, other):
            await one.online()
        # Nobody knew of it when they connected.
        conversation = (await sender.direct(ben.username)).id
        sent = await asyncio.gather(*(phone.send(conversation, str(n)) for n in range(20)))
        assert [one.seq for one in sent] == list(range(1, 21))
        await eventually(lambda: all(len(one) == 20 for one in seen.values()))
        made = await sender.upload(encoded(picture()), "A chessboard")
        await phone.send(conversation, "", media_ids=[made.id])
        await eventually(lambda: all(len(one) == 21 for one in seen.values()))
    for messages in seen.values():
        assert [one.alt for one in messages.pop().media] == ["A chessboard"]
        assert [one.text for one in messages] == list(map(str, range(20)))
        assert {one.sender and one.sender.username for one in messages} == {ada.username}
    stored = (await sender.messages(conversation)).items
    assert abs(seen["phone"][0].sent_at - stored[0].sent_at).total_seconds() < 5


async def test_device_that_was_away_for_a_day_gets_all_it_missed(stack: Stack, join: Join) -> None:
    """More than is replayed on the socket: the rest is read over HTTP, and what is new waits for it."""
    ada, ben = await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")  # else it is a request
    session = session_of(stack, ada)
    conversation = (await session.direct(ben.username)).id
    await plant(stack, conversation, ben, 1234)
    messages: list[int] = []
    device = Chat(session, lambda one: messages.append(one.seq), seen={conversation: 3})
    async with device.connected():
        await device.online()
        assert (await device.send(conversation, "back")).seq == 1235
        await eventually(lambda: len(messages) == 1235 - 3)
    assert messages == list(range(4, 1236))
    assert device.seen == {conversation: 1235}
    # It had seen more before the database was restored to an earlier moment.
    device = Chat(session, lambda one: messages.append(one.seq), seen={conversation: 2000})
    async with device.connected():
        await device.online()
        assert (await device.send(conversation, "after the restore")).seq == 1236
        await eventually(lambda: messages[-1] == 1236)
    assert device.seen == {conversation: 1236}


async def test_two_devices_that_send_the_same_at_once_send_it_once(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")  # else it is a request
    session = session_of(stack, ada)
    conversation = (await session.direct(ben.username)).id
    phone: list[str] = []
    laptop: list[str] = []
    async with (
        Chat(session, lambda one: phone.append(one.text), seen={}).connected() as first,
        Chat(session, lambda one: laptop.append(one.text), seen={}).connected() as second,
    ):
        sent = await asyncio.gather(
            *(
                device.send(conversation, f"draft {n}", client_id=f"draft-{n}")
                for n in range(10)
                for device in (first, second)
            )
        )
        await eventually(lambda: len(phone) == len(laptop) == 10)
    assert [one.seq for one in sent] == sorted(2 * list(range(1, 11)))
    assert phone == laptop == [f"draft {n}" for n in range(10)]


async def test_refused_message_is_told_and_those_after_it_are_sent(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")  # else it is a request
    session = session_of(stack, ada)
    conversation = (await session.direct(ben.username)).id
    async with Chat(session, lambda _: None).connected() as chat:
        with pytest.raises(RefusedError, match="characters"):
            await chat.send(conversation, " ")
        results = await asyncio.gather(
            chat.send(conversation, "to nothing", reply_to=5),
            chat.send(conversation, "after it"),
            return_exceptions=True,
        )
    assert isinstance(results[0], RefusedError)
    assert results[0].status == 422
    assert not isinstance(results[1], BaseException)
    assert results[1].seq == 1


@pytest.mark.parametrize("hours", [-1, 1])
async def test_device_whose_clock_is_wrong_stays_signed_in_and_misses_nothing(
    stack: Stack, join: Join, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Its token expires soon: too late or too early by its clock, it gets another."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=hours)

    monkeypatch.setattr("chitlaq.client.chat.datetime", Skewed)
    monkeypatch.setattr("chitlaq.client.chat.EARLY_SECONDS", 1.0)
    ada, ben = await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")
    (row,) = await stack.sql("SELECT id FROM auth.sessions WHERE account_id = $1", UUID(ada.id))
    token = stack.signer.sign(UUID(ada.id), row["id"], 2)
    session = session_of(stack, ada, token)
    conversation = (await session.direct(ben.username)).id
    seen: list[Message] = []
    async with Chat(session, seen.append).connected() as chat:
        await chat.online()
        number = 0
        while session.tokens.access == token or number < 20:
            number += 1
            await chat.send(conversation, str(number))
        await eventually(lambda: len(seen) == number)
    assert [one.text for one in seen] == [str(one) for one in range(1, number + 1)]
    stored = (await session.messages(conversation)).items
    assert abs(seen[-1].sent_at - stored[-1].sent_at) < timedelta(seconds=5)


async def test_end_of_the_session_ends_the_chat(stack: Stack, join: Join) -> None:
    ada = await join()
    with pytest.raises(SignedOutError):
        async with Chat(Session(stack.gateway, Tokens("expired")), print).connected() as chat:
            await chat.online()
    # One's own faults end it, too, as they are.
    ben = await join()
    session = session_of(stack, ada)
    conversation = (await session.direct(ben.username)).id

    def fail(message: Message) -> None:
        raise ZeroDivisionError(message.text)

    async def chat_for_ever() -> None:
        async with Chat(session, fail).connected() as chat:
            await chat.send(conversation, "hello")
            await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError, match="hello"):
        await asyncio.wait_for(chat_for_ever(), 60)


async def test_member_does_with_the_sdk_what_they_do_in_a_group(stack: Stack, join: Join) -> None:
    ada, ben, eve = await join(), await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")
    owner, admin, guest = [session_of(stack, one) for one in (ada, ben, eve)]
    group = await owner.group("three", [ben.username, eve.username], is_history_visible=True)
    states = {one.username: (one.role, one.state) for one in group.members}
    assert states == {
        ada.username: ("owner", "joined"),
        ben.username: ("member", "joined"),
        eve.username: ("member", "invited"),
    }
    await owner.set_role(group.id, ben.username, "admin")
    await admin.remove(group.id, eve.username)
    await admin.add(group.id, eve.username)
    assert [one.id async for one in guest.conversations("requests")] == [group.id]
    await guest.accept(group.id)
    assert (await guest.conversation(group.id)).role == "member"
    said = await guest.send(group.id, "hello")
    assert (await guest.edit(group.id, said.seq, f"hello @{ada.username}")).mentions == [
        ada.username
    ]
    assert [one.text for one in await admin.edits(group.id, said.seq)] == ["hello"]
    await owner.react(group.id, said.seq, "👍")
    (message,) = (await owner.messages(group.id, around=said.seq, limit=1)).items
    assert message.reactions == {"👍": Reaction(1, mine=True)}
    await owner.take_reaction_back(group.id, said.seq, "👍")
    await admin.delete(group.id, said.seq)
    later = (await owner.messages(group.id, at=said.sent_at)).items
    assert [(one.seq, one.deleted, one.reactions) for one in later] == [(said.seq, True, {})]
    until = datetime(2099, 1, 1, tzinfo=UTC)
    changed = await guest.change(group.id, muted_until=until, archived=True, pinned=True)
    assert (changed.muted_until, changed.archived, changed.pinned) == (until, True, True)
    assert [one.id async for one in guest.conversations("archived")] == [group.id]
    assert (await guest.change(group.id, muted_until=None)).muted_until is None
    assert (await admin.change(group.id, name="ours")).name == "ours"
    await guest.set_privacy(Privacy("followed", shares_read=False))
    assert await guest.privacy() == Privacy("followed", shares_read=False)
    await guest.leave(group.id)
    with pytest.raises(ApiError) as gone:
        await guest.conversation(group.id)
    assert gone.value.status == 404


async def test_events_say_what_others_do(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")
    events: list[Event] = []
    session = session_of(stack, ada)
    conversation = (await session.direct(ben.username)).id

    def has(kind: type[Event]) -> bool:
        return any(isinstance(one, kind) for one in events)

    async with Chat(session, lambda _: None, on_event=events.append).connected() as chat:
        await chat.online()
        said = await chat.send(conversation, "hello")
        with pytest.raises(ValueError, match="100 people"):
            chat.watch(["no name"])
        chat.watch([ben.username])
        await eventually(lambda: has(Presence))
        other = session_of(stack, ben)
        async with Chat(other, lambda _: None).connected() as at_ben:
            await at_ben.online()
            at_ben.typing(conversation)
            await eventually(lambda: has(IsTyping))
        await other.mark_read(conversation, said.seq)
        await other.react(conversation, said.seq, "👍")
        await other.change(conversation, pinned=True)
        await session.change(conversation, pinned=True)
        await eventually(lambda: has(MessageChanged) and has(ConversationChanged) and has(Read))
    presences = [one.online for one in events if isinstance(one, Presence)]
    assert presences[:2] == [False, True]
    assert Read(conversation, ben.username, said.seq) in events


async def test_announcements_are_read_and_dismissed_and_end_live_and_after_an_absence(
    stack: Stack, join: Join
) -> None:
    ada = await join()
    session = session_of(stack, ada)
    to = await a_department(stack, ada.id)
    rows = await stack.sql(
        "INSERT INTO websocket.announcements"
        " (text, university_id, department, state, told_until, audience, expires_at)"
        " SELECT said, university_id, department, 'delivered', id, 1, now() + interval '1 day'"
        " FROM feed.members, unnest('{one,two}'::text[]) said WHERE id = $1 AND department = $2"
        " RETURNING id",
        ada.id,
        to["department"],
    )
    assert sorted(one.text for one in await session.announcements()) == ["one", "two"]
    events: list[Event] = []

    def ended() -> list[UUID]:
        return [one.id for one in events if isinstance(one, AnnouncementEnded)]

    async with Chat(session, lambda _: None, on_event=events.append).connected() as chat:
        await chat.online()
        await session.dismiss_announcement(rows[0]["id"])
        await eventually(ended)
    await session.dismiss_announcement(rows[1]["id"])
    assert await session.announcements() == []
    again = Chat(session, lambda _: None, notified_until=datetime.now(UTC), on_event=events.append)
    async with again.connected():
        await again.online()
        # What is a few seconds older than the position comes again.
        assert set(ended()) == {row["id"] for row in rows}


async def test_notifications_are_events_also_of_what_happened_while_away(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    post = await ada.write("Hello")
    session = session_of(stack, ada)
    events: list[Event] = []

    def kinds() -> list[str]:
        return [one.notification.kind for one in events if isinstance(one, Notified)]

    async with Chat(session, lambda _: None, on_event=events.append).connected() as chat:
        await chat.online()
        await ben.put(f"/api/posts/{post['id']}/like")
        await eventually(kinds)
    await ben.put(f"/api/posts/{post['id']}/repost")
    await eventually(lambda: _has_unread(session, 2))
    events.clear()
    position = chat.notified_until
    again = Chat(session, lambda _: None, notified_until=position, on_event=events.append)
    async with again.connected():
        await again.online()
        # What is a few seconds older than the position comes again.
        assert kinds()[-1] == "repost"
        latest = (await session.notifications(limit=1)).items[0]
        assert latest.updated_at == again.notified_until
        await session.mark_notifications(read=latest.updated_at)
        await eventually(
            lambda: any(isinstance(one, NotificationsRead) and not one.unread for one in events)
        )


async def _has_unread(session: Session, count: int) -> bool:
    return (await session.notifications()).unread == count


async def test_length_of_a_text_is_the_servers_to_judge(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    session = session_of(stack, ada)
    conversation = (await session.direct(ben.username)).id
    async with Chat(session, lambda _: None).connected() as chat:
        assert (await chat.send(conversation, "e\N{COMBINING ACUTE ACCENT}" * 4000)).seq == 1
        for text in ("e\N{COMBINING ACUTE ACCENT}" * 4001, "\x01" * 15_000, "x" * 16_001):
            with pytest.raises(RefusedError) as refused:
                await chat.send(conversation, text)
            assert refused.value.status == 422
        assert (await chat.send(conversation, "the connection lasts")).seq == 2


EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs/client.md").read_text(), re.DOTALL)


async def run_example(stack: Stack, code: str, ada: Member, *others: Member) -> list[str]:
    environment = os.environ | {
        "SERVER_URL": stack.gateway,
        "LOGIN": ada.username,
        "PASSWORD": PASSWORD,
    }
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, *(one.username for one in others)],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


async def test_examples_of_the_documentation_run(stack: Stack, join: Join) -> None:
    ada, ben, eve = await join(), await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")  # else it is a request
    first, second = EXAMPLES
    printed = await run_example(stack, first, ada, ben)
    assert printed[1:] == ["stored as 1", "1 Are you coming tonight?"]
    assert await run_example(stack, second, ada, ben, eve) == [
        "Tomorrow at nine? {'👍': Reaction(count=1, mine=True)}",
        f"{ada.username} owner joined",
        f"{ben.username} admin joined",
        f"{eve.username} member invited",
    ]
