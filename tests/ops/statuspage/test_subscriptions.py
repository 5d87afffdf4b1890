"""Mail goes once to those who asked for it, and ends with one click; nobody learns who they are."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from chitlaq.core.data import mail, postgres
from chitlaq.core.data.mail import Mail
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.incidents import incidents
from chitlaq.ops.report import delivery
from chitlaq.ops.statuspage import announcing, maintenance, published, subscriptions
from chitlaq.ops.statuspage.maintenance import Maintenance
from chitlaq.ops.statuspage.published import UpdateStatus
from chitlaq.ops.statuspage.subscriptions import (
    InvalidTokenError,
    Subscriptions,
    TooOftenError,
    mail_id,
)
from tests.conftest import Stack, eventually, free_ports

FEED = ["feed"]
HOUR = timedelta(hours=1)


@pytest.fixture
def address() -> str:
    return f"s{secrets.token_hex(6)}@example.edu"


@pytest.fixture
async def mails(stack: Stack) -> AsyncIterator[Database]:
    queries = postgres.load_queries("chitlaq.core.data", "test")
    database = Database(stack.dsn("chitlaq_ops"), "test", queries)
    yield database
    await database.close()


@pytest.fixture
async def away() -> AsyncIterator[Database]:
    (nobody,) = free_ports(1)
    database = Database(f"postgresql://x:y@127.0.0.1:{nobody}/chitlaq", "test", {})
    yield database
    await database.close()


Make = Callable[[Database], Subscriptions]


@pytest.fixture
def made(stack: Stack, database: OpsDatabase) -> Make:
    settings = Settings(public_url="https://chat.example.edu")
    keys = Secrets(stack.home / "secrets")
    return lambda mails: Subscriptions(database, mails, settings, keys)


async def sent_to(stack: Stack, address: str) -> list[Any]:
    return await stack.sql("SELECT * FROM mail.messages WHERE to_address = $1 ORDER BY id", address)


def token_in(link: str) -> str:
    return link.partition("?token=")[2]


async def confirmed(made: Subscriptions, stack: Stack, address: str, language: str = "en") -> None:
    await made.ask(address, language, FEED, None)
    (message,) = await sent_to(stack, address)
    await made.confirm(token_in(message["links"][0]))


async def publish(database: OpsDatabase, *names: str) -> None:
    number = (await incidents.open_by_hand(database, "internal", "P1", "ada")).id
    await published.publish(
        database, number, UpdateStatus.INVESTIGATING, "ada", names=names, text="We look."
    )


async def test_update_reaches_subscribers_of_its_components_once_in_their_language(
    stack: Stack, database: OpsDatabase, mails: Database, made: Make, address: str
) -> None:
    subscribing = made(mails)
    await confirmed(subscribing, stack, address, "tr")
    await publish(database, "chat")
    await publish(database, "feed", "search")
    assert await subscribing.send_waiting() == 1
    assert await subscribing.send_waiting() == 0
    _, message = await sent_to(stack, address)
    assert message["subject"] == "Araştırılıyor: Sorun yaşanan bölümler: Akış ve Arama"
    assert "Şu bölümlerdeki sorunları araştırıyoruz: Akış ve Arama.\n\nWe look." in message["text"]
    assert "internal" not in message["text"] + message["html"]
    page, end = message["links"]
    assert page == "https://chat.example.edu/status/tr"
    assert end == message["unsubscribe"]
    assert end.startswith("https://chat.example.edu/status/unsubscribe?token=")


async def test_subscribers_are_told_of_work_when_it_is_announced_and_when_it_is_over(
    stack: Stack, database: OpsDatabase, mails: Database, made: Make, address: str
) -> None:
    subscribing = made(mails)
    await confirmed(subscribing, stack, address)
    now = datetime.now(UTC)

    async def work(name: str, begins: timedelta) -> Maintenance:
        start = now + begins
        return await maintenance.add(
            database, [name], start, start + 2 * HOUR, f"Disks of {name}", "ada", text="At night."
        )

    async def told(at: datetime) -> list[tuple[str, str]]:
        before = {one["id"] for one in await sent_to(stack, address)}
        for _ in range(2):
            await announcing.announce(database, at)
            await subscribing.send_waiting()
        return [
            (one["subject"], one["text"].partition("\n\nAll updates")[0])
            for one in await sent_to(stack, address)
            if one["id"] not in before
        ]

    ahead, going_on = await work("feed", HOUR), await work("feed", -HOUR)
    withdrawn, other = await work("feed", 30 * HOUR), await work("chat", HOUR)
    begins = [f"{one.starts_at.astimezone():%H:%M}" for one in (ahead, withdrawn)]
    said = await told(now)
    assert [subject for subject, _ in said] == [
        "Scheduled: Disks of feed", "In progress: Disks of feed", "Scheduled: Disks of feed",
    ]  # fmt: skip
    assert said[0][1].startswith("We will work on Feed from ")
    assert begins[0] in said[0][1]
    assert said[0][1].endswith("\n\nAt night.")
    assert await told(now + HOUR) == [
        ("Completed: Disks of feed", "The work on Feed is done."),
    ], "that announced work begins was said before"
    await maintenance.end(database, withdrawn.id, "ada")
    ((subject, text),) = await told(now + 2 * HOUR)
    assert subject == "Withdrawn: Disks of feed"
    assert text.endswith("does not take place.")
    assert begins[1] in text
    assert len(await told(now + 4 * HOUR)) == 1
    rows = await database.rows("maintenances_to_tell", now + 4 * HOUR)
    assert rows == [], f"{going_on.id} and {other.id} are over"


async def test_mails_wait_for_postgres(
    stack: Stack, database: OpsDatabase, mails: Database, away: Database, made: Make, address: str
) -> None:
    await made(away).ask(address, "en", FEED, None)
    assert await delivery.send_waiting(database, mails) == 1
    (message,) = await sent_to(stack, address)
    await made(mails).confirm(token_in(message["links"][0]))
    await publish(database, "feed")
    assert await made(away).send_waiting() == 0
    assert await made(mails).send_waiting() == 1
    assert len(await sent_to(stack, address)) == 2


async def test_process_that_is_killed_after_sending_does_not_send_twice(
    stack: Stack, database: OpsDatabase, mails: Database, made: Make, address: str
) -> None:
    subscribing = made(mails)
    await confirmed(subscribing, stack, address)
    await publish(database, "feed")
    (row,) = await database.rows("subscriber_mails", 10)
    # As if the mail were queued, and nobody had noted it.
    known = mail_id(UUID(row["update_id"]), UUID(row["subscriber_id"]))
    assert await delivery.put(mails, subscribing._update(row), known)
    assert await subscribing.send_waiting() == 1
    assert len(await sent_to(stack, address)) == 2


async def test_who_ends_it_gets_no_mail_that_still_waits(
    stack: Stack, database: OpsDatabase, mails: Database, made: Make, address: str
) -> None:
    subscribing = made(mails)
    await confirmed(subscribing, stack, address)
    await publish(database, "feed")
    (row,) = await database.rows("subscriber_mails", 10)
    end = token_in(subscribing._update(row).unsubscribe)
    for _ in range(2):
        assert (await subscribing.end(end)).language == "en"
    assert await subscribing.send_waiting() == 0


async def test_nothing_is_kept_of_who_does_not_confirm(
    database: OpsDatabase, mails: Database, made: Make, address: str
) -> None:
    await made(mails).ask(address, "en", FEED, "192.0.2.1")
    assert [row["subscribers"] for row in await database.rows("subscriber_count")] == [0]
    raw = b"".join(path.read_bytes() for path in database._home.ops_database.parent.iterdir())
    assert address.encode() not in raw
    assert b"192.0.2.1" not in raw


async def test_mailbox_gets_few_confirmations_whoever_asks(
    stack: Stack, database: OpsDatabase, mails: Database, made: Make, address: str
) -> None:
    subscribing = made(mails)
    name, _, domain = address.partition("@")
    for number in range(6):
        await subscribing.ask(f"{name}+{number}@{domain}", "en", FEED, f"192.0.2.{number}")
    await asyncio.gather(*(subscribing.ask(address, "en", FEED, None) for _ in range(5)))
    sent = await stack.sql(
        "SELECT * FROM mail.messages WHERE mail.mailbox(to_address) = $1", address
    )
    assert len(sent) == subscriptions.MOST_PER_MAILBOX


async def test_network_asks_for_few_addresses(away: Database, made: Make, address: str) -> None:
    together = await asyncio.gather(
        *(
            made(away).ask(f"{number}.{address}", "en", FEED, "192.0.2.1")
            for number in range(subscriptions.MOST_PER_NETWORK + 10)
        ),
        return_exceptions=True,
    )
    assert together.count(None) == subscriptions.MOST_PER_NETWORK
    assert sum(isinstance(one, TooOftenError) for one in together) == 10
    with pytest.raises(TooOftenError):
        await made(away).ask(address, "en", FEED, "192.0.2.1")
    await made(away).ask(address, "en", FEED, "192.0.2.2")
    await made(away).tidy()
    with pytest.raises(TooOftenError):
        await made(away).ask(address, "en", FEED, "192.0.2.1")


async def test_links_are_ours_and_end(
    stack: Stack, mails: Database, made: Make, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribing = made(mails)
    await subscribing.ask(address, "en", FEED, None)
    (message,) = await sent_to(stack, address)
    token = token_in(message["links"][0])
    changed = token[:-6] + ("A" if token[-6] != "A" else "B") + token[-5:]
    for wrong in ("", "x", token[1:], changed, "é", token + "=" * 3, "A" * 10_000):
        with pytest.raises(InvalidTokenError):
            await subscribing.confirm(wrong)
    with pytest.raises(InvalidTokenError):
        # A link that confirms ends nothing.
        await subscribing.end(token)
    monkeypatch.setattr(subscriptions, "CONFIRM_HOURS", -1)
    other = f"x{address}"
    await subscribing.ask(other, "en", FEED, None)
    (message,) = await sent_to(stack, other)
    with pytest.raises(InvalidTokenError):
        await subscribing.confirm(token_in(message["links"][0]))


async def test_updates_do_not_keep_a_new_password_from_anybody(
    stack: Stack, database: OpsDatabase, mails: Database, made: Make, address: str
) -> None:
    """Mails to an address are limited, and those that its owner subscribed to do not count."""
    subscribing = made(mails)
    await confirmed(subscribing, stack, address)
    for _ in range(6):
        await publish(database, "feed")
    assert await subscribing.send_waiting() == 6
    queries = postgres.load_queries("chitlaq.core.data", "test")
    auth = Database(stack.dsn("chitlaq_auth"), "test", queries)
    try:
        async with auth.transaction() as session:
            await mail.put(session, Mail(address, "password", "x", "x", []), most_per_hour=1)
            with pytest.raises(mail.TooManyMailsError):
                await mail.put(session, Mail(address, "password", "x", "x", []), most_per_hour=1)
    finally:
        await auth.close()


async def opened_in(stack: Stack) -> int:
    with OpsDatabase(Home(stack.home)) as database:
        made = await incidents.open_by_hand(database, "internal", "P3", "ada")
        await incidents.resolve(database, made.id, "ada")
        return made.id


async def test_member_subscribes_confirms_and_ends_through_the_edge(
    stack: Stack, address: str
) -> None:
    async with httpx.AsyncClient(base_url=stack.edge, timeout=20) as browser:

        async def updates(count: int) -> Any:
            found = [one for one in await sent_to(stack, address) if one["unsubscribe"]]
            return found[-1] if len(found) == count else None

        async def told(component: str) -> None:
            number = str(await opened_in(stack))
            words = ("status", "publish", number, "investigating", "--component", component)
            answer = stack.command(*words, "--text", f"Update {number}.")
            assert answer.returncode == 0, answer.stderr
            # The command writes the page itself, whether ops-service runs or not.
            assert f"Update {number}." in (await browser.get("/status/en")).text

        form = {"address": address, "language": "tr", "component": ["feed", "chat"]}
        answer = await browser.post("/status/subscribe", data=form)
        assert answer.status_code == 200
        assert "E\u2011postanıza bakın" in answer.text
        (message,) = await sent_to(stack, address)
        link = urlsplit(message["links"][0])
        target = f"{link.path}?{link.query}"

        # Opening the link, as mail programs do by themselves, changes nothing.
        shown = await browser.get(target)
        assert f'<form method="post" action="{target}">' in shown.text
        await told("search")
        confirmed = await browser.post(target)
        assert "Gelişmeleri alacaksın" in confirmed.text
        assert confirmed.headers["cache-control"] == "no-store"
        await told("feed")
        message = await eventually(lambda: updates(1))

        end = urlsplit(message["unsubscribe"])
        target = f"{end.path}?{end.query}"
        assert "Gelişmeleri durdur" in (await browser.get(target)).text
        await told("chat")
        await eventually(lambda: updates(2))
        # As a mail program does for its reader (RFC 8058, 3.2).
        ended = await browser.post(target, data={"List-Unsubscribe": "One-Click"})
        assert ended.status_code == 200
        assert (await browser.get("/status/unsubscribe?token=x")).status_code == 400
        for chosen in ({"Cookie": "lang=tr"}, {"Accept-Language": "tr-TR"}):
            refused = await browser.get("/status/confirm?token=x", headers=chosen)
            assert "Bu bağlantı geçersiz" in refused.text
        await told("feed")
        with OpsDatabase(Home(stack.home)) as database:
            assert await database.rows("subscriber_mails", 10) == []
        assert await updates(2)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"address": "nobody", "component": "feed"}, 422),
        ({"address": "x@example.edu\r\nBcc: y@example.edu", "component": "feed"}, 422),
        ({"component": "feed"}, 422),
        ({"address": "x@example.edu"}, 422),
        ({"address": "x@example.edu", "component": "feeds"}, 422),
        ({"address": "x" * 20_000, "component": "feed"}, 413),
    ],
)
async def test_bad_form_is_refused_with_a_reason(
    stack: Stack, form: dict[str, str], status: int
) -> None:
    async with httpx.AsyncClient(base_url=stack.edge, timeout=20) as browser:
        answer = await browser.post("/status/subscribe", data=form)
    assert answer.status_code == status
    if status == 422:
        assert "That did not work" in answer.text


async def test_answer_says_nothing_about_an_address(stack: Stack, address: str) -> None:
    """The same for a new one, one that is subscribed, and one that got too many mails."""
    form = {"address": address, "language": "en", "component": "feed"}
    async with httpx.AsyncClient(base_url=stack.edge, timeout=20) as browser:
        answers = [await browser.post("/status/subscribe", data=form)]
        (message,) = await sent_to(stack, address)
        link = urlsplit(message["links"][0])
        await browser.post(f"{link.path}?{link.query}")
        answers += [await browser.post("/status/subscribe", data=form) for _ in range(3)]
    assert len({(one.status_code, one.text) for one in answers}) == 1
    assert len(await sent_to(stack, address)) == subscriptions.MOST_PER_MAILBOX
