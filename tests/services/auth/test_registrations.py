"""A registration gives nobody anything: who proves the address gets the account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chitlaq.core.data import named_queries
from tests.conftest import PASSWORD, Member, Stack, eventually, register

Join = Callable[[], Awaitable[Member]]
Name = Callable[[], str]

THIEFS = "the thief's own words"
OWNERS = "the owner's own words"


class Address:
    """A university address, and what is mailed to it."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient, username: str) -> None:
        self.stack, self.client, self.username = stack, client, username
        self.email = f"{username}@example.edu"

    async def register(self, password: str = PASSWORD, **fields: str) -> dict[str, Any]:
        body = {
            "email": self.email,
            "password": password,
            "username": self.username,
            "display_name": "Somebody",
        }
        answer = await self.client.post("/api/auth/register", json=body | fields)
        assert answer.status_code == 201, answer.text
        registered: dict[str, Any] = answer.json()
        return registered

    async def subjects(self) -> list[str]:
        """Of all mails, oldest first."""
        rows = await self.stack.sql(
            "SELECT subject FROM mail.messages WHERE to_address = $1 ORDER BY id", self.email
        )
        return [row["subject"] for row in rows]

    async def tokens(self) -> list[str]:
        """Of all mailed links, oldest first."""
        rows = await self.stack.sql(
            "SELECT unnest(links) AS link FROM mail.messages WHERE to_address = $1 ORDER BY id",
            self.email,
        )
        return [row["link"].partition("?token=")[2] for row in rows if "?token=" in row["link"]]

    async def verify(self, token: str, **fields: str) -> httpx.Response:
        return await self.client.post("/api/auth/verify", json={"token": token} | fields)

    async def login(self, password: str) -> httpx.Response:
        body = {"login": self.email, "password": password}
        return await self.client.post("/api/auth/login", json=body)


@pytest.fixture
def address(stack: Stack, client: httpx.AsyncClient, name: Name) -> Address:
    return Address(stack, client, name())


@pytest.mark.parametrize("order", ["before", "after", "between"])
async def test_stranger_who_registers_the_address_too_never_gets_the_account(
    address: Address, order: str
) -> None:
    """Attacks the account that the victim's click makes."""
    passwords = {
        "before": [THIEFS, OWNERS],
        "after": [OWNERS, THIEFS],
        "between": [THIEFS, OWNERS, THIEFS],
    }[order]
    for password in passwords:
        await address.register(password)
    tokens = await address.tokens()
    assert len(tokens) == len(passwords)
    for token in tokens:
        refused = await address.verify(token)
        assert refused.status_code == 422, "the link alone would confirm what somebody else chose"
        assert set(refused.json()["errors"]) == {"password"}
    answer = await address.verify(tokens[-1], password=OWNERS)
    assert answer.status_code == 200, answer.text
    assert (await address.login(THIEFS)).status_code == 401
    assert (await address.login(OWNERS)).status_code == 200
    for token in tokens:
        again = await address.verify(token, password=THIEFS)
        assert again.json() == answer.json(), "a link that is opened again says the same again"
    assert (await address.login(THIEFS)).status_code == 401
    await address.register(THIEFS)
    assert await address.tokens() == tokens, "who has an account is told so, and gets no new link"
    assert (await address.login(THIEFS)).status_code == 401


async def test_only_one_who_registers_needs_no_more_than_the_link(address: Address) -> None:
    registered = await address.register()
    (token,) = await address.tokens()
    answers = await asyncio.gather(*(address.verify(token) for _ in range(4)))
    assert [one.status_code for one in answers] == [200] * 4
    (user,) = {str(one.json()["user"]) for one in answers}
    assert user == str(registered["user"] | {"verified": True})
    assert (await address.login(PASSWORD)).status_code == 200


async def test_registering_tells_nothing_of_an_address_or_a_name_that_is_taken(
    address: Address, join: Join, name: Name
) -> None:
    member = await join()
    fresh = await address.register()
    for taken in (
        {"email": member.email, "username": name()},
        {"email": f"{name()}@example.edu", "username": member.username.upper()},
    ):
        other = await address.register(**taken)
        assert other.keys() == fresh.keys()
        assert other["user"].keys() == fresh["user"].keys()
        assert other["verification"] == fresh["verification"]
        assert other["user"]["id"] != member.id
    rows = await address.stack.sql(
        "SELECT subject, links, text FROM mail.messages WHERE to_address = $1 ORDER BY id DESC LIMIT 1",
        member.email,
    )
    assert rows[0]["subject"] == "You already have a ChitLaq account"
    assert [link.rpartition("/")[2] for link in rows[0]["links"]] == ["login"]
    assert "/reset" in rows[0]["text"]
    assert (await member.get("/api/auth/status")).json()["authenticated"]


async def test_name_that_was_taken_meanwhile_is_chosen_anew(
    stack: Stack, client: httpx.AsyncClient, name: Name
) -> None:
    wanted = name()
    first, second = Address(stack, client, wanted), Address(stack, client, wanted)
    second.email = f"second-{second.email}"
    await first.register()
    await second.register()
    tokens = [(await one.tokens())[0] for one in (first, second)]
    answers = await asyncio.gather(first.verify(tokens[0]), second.verify(tokens[1]))
    (refused,) = [one for one in answers if one.status_code != 200]
    assert refused.status_code == 422, "who verifies first keeps the name"
    assert set(refused.json()["errors"]) == {"username"}
    late = (second, tokens[1]) if refused is answers[1] else (first, tokens[0])
    for alike in (wanted.replace("1", "l"), f"{wanted}_", wanted.replace("m", "rn")):
        again = await late[0].verify(late[1], username=alike)
        assert again.status_code == 422, alike
    other = name()
    answer = await late[0].verify(late[1], username=other.upper())
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["username"] == other


async def test_registration_ends_after_a_day(address: Address) -> None:
    await address.register()
    (token,) = await address.tokens()
    await address.stack.sql(
        "UPDATE auth.registrations SET expires_at = now() WHERE email = $1", address.email
    )
    answer = await address.verify(token)
    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == {"token"}
    await address.register(OWNERS)
    assert (await address.verify((await address.tokens())[1])).status_code == 200, (
        "it is the only one now"
    )


async def test_new_link_is_mailed_to_who_registered_and_the_answer_tells_nothing(
    address: Address, join: Join, name: Name
) -> None:
    await address.register()
    member = await join()
    answers = [
        await address.client.post("/api/auth/verify/resend", json={"email": email})
        for email in (address.email.upper(), member.email, f"{name()}@example.edu")
    ]
    assert [one.status_code for one in answers] == [202] * 3
    assert len({one.text for one in answers}) == 1

    async def arrived() -> bool:
        return len(await address.tokens()) == 2

    await eventually(arrived)
    for token in await address.tokens():
        assert (await address.verify(token)).status_code == 200, "the older link works as well"
    known = Address(address.stack, address.client, member.username)

    async def told() -> bool:
        return await known.subjects() == ["You already have a ChitLaq account"]

    await eventually(told)


async def test_new_link_lets_no_older_one_work_for_longer(address: Address) -> None:
    await address.register()
    (older,) = await address.tokens()
    await address.stack.sql(
        "UPDATE auth.registration_links l SET expires_at = now()"
        " FROM auth.registrations r WHERE r.id = l.registration_id AND r.email = $1",
        address.email,
    )
    await address.client.post("/api/auth/verify/resend", json={"email": address.email})

    async def arrived() -> bool:
        return len(await address.tokens()) == 2

    await eventually(arrived)
    assert (await address.verify(older)).status_code == 422
    assert (await address.verify((await address.tokens())[1])).status_code == 200


async def test_mails_speak_the_language_that_was_chosen(address: Address) -> None:
    await address.register(language="tr")
    assert await address.subjects() == ["ChitLaq için adresinizi doğrulayın"]
    (token,) = await address.tokens()
    await address.verify(token)
    await address.register(language="en")
    assert (await address.subjects())[1:] == ["Zaten bir ChitLaq hesabınız var"]


async def test_page_of_a_link_asks_for_the_password_and_needs_no_script(address: Address) -> None:
    """Attacks the only registration of an address by a stranger: the page never confirms their password."""
    await address.register(THIEFS, display_name="<script>alert(1)</script>")
    (token,) = await address.tokens()
    page = await address.client.get("/verify", params={"token": token, "utm_source": "mail"})
    assert page.status_code == 200
    assert "<script" not in page.text
    assert f'value="{address.username}"' in page.text
    assert (await address.login(THIEFS)).status_code == 401, "programs open links in mails, too"
    form = {"token": token, "username": address.username, "password": "short"}
    refused = await address.client.post("/verify", data=form)
    assert refused.status_code == 422
    assert 'id="password-refused"' in refused.text
    assert "short" not in refused.text.partition("<form")[2].replace("too short", "")
    form["password"] = OWNERS
    for _ in range(2):
        done = await address.client.post("/verify", data=form)
        assert done.status_code == 200, done.text
        assert "Your address is confirmed" in done.text
    opened = await address.client.get("/verify", params={"token": token})
    assert "Your address is confirmed" in opened.text
    assert (await address.login(OWNERS)).status_code == 200
    assert (await address.login(THIEFS)).status_code == 401
    over = await address.client.get("/verify", params={"token": "x"})
    assert over.status_code == 422
    assert "does not work any more" in over.text


STATEMENTS = (
    *(query.name for query in named_queries.load("chitlaq.services.auth.accounts")),
    *(query.name for query in named_queries.load("chitlaq.services.auth.universities")),
    "lock_mailbox", "mails_within_an_hour", "put_mail", "enqueue_job",
)  # fmt: skip


async def statements(stack: Stack) -> Counter[str]:
    """How often auth-service has run each of these statements."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{stack.ports['auth']}/metrics")).text
    return Counter(
        {
            sample.labels["query"]: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "postgresql_query_duration_seconds_count"
            and sample.labels["query"] in STATEMENTS
        }
    )


async def test_registering_is_the_same_work_whether_the_address_has_an_account(
    stack: Stack, client: httpx.AsyncClient, join: Join, name: Name
) -> None:
    """Attacks the time that it takes: the same statements, a hash, a link and a mail."""
    member = await join()
    known, unknown = Address(stack, client, member.username), Address(stack, client, name())
    done: list[Counter[str]] = []
    for address in (unknown, known):
        before, mails = await statements(stack), len(await address.subjects())
        await address.register(username=name())
        done.append(await statements(stack) - before)
        assert len(await address.subjects()) == mails + 1
        rows = await stack.sql(
            "SELECT r.password_hash, count(*) OVER () AS links FROM auth.registrations r"
            " JOIN auth.registration_links l ON l.registration_id = r.id WHERE r.email = $1"
            " ORDER BY r.created_at DESC",
            address.email,
        )
        assert rows[0]["password_hash"].startswith("$argon2id$")
        assert rows[0]["links"] == mails + 1
    assert done[0] == done[1]
    assert {"insert_registration", "insert_link", "put_mail"} <= done[0].keys()
    assert set(done[0].values()) <= {1, 2}
    for address in (unknown, known):
        body = {"email": address.email}
        before = await statements(stack)
        assert (await client.post("/api/auth/verify/resend", json=body)).status_code == 202
        assert (await statements(stack) - before)["enqueue_job"] >= 1


async def test_limit_of_registrations_tells_nothing_of_the_mails_of_an_address(
    stack: Stack, client: httpx.AsyncClient, name: Name
) -> None:
    """Attacks the number of tries until 429: whoever has an account gets other mails, too."""
    member = await register(stack, client, name())
    known, unknown = Address(stack, client, member.username), Address(stack, client, name())
    await unknown.register(username=name())
    other = "INSERT INTO mail.messages (to_address, subject, text, html, request_id)"
    await stack.sql(
        f"{other} SELECT $1, 'x', 'x', 'x', '-' FROM generate_series(1, 3)", known.email
    )
    statuses = []
    for address in (unknown, known):
        body = {"email": address.email, "password": PASSWORD, "display_name": "N"}
        answers = [
            await client.post("/api/auth/register", json=body | {"username": name()})
            for _ in range(5)
        ]
        statuses.append([one.status_code for one in answers])
        assert max(Counter(await address.subjects()).values()) <= 5
    assert statuses == [[201] * 4 + [429]] * 2
