"""A forgotten password is chosen anew by who has the address, and a change ends what the old one began."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import httpx
import pytest
from argon2 import PasswordHasher

from chitlaq.core import passwords
from tests.conftest import PASSWORD, Member, Stack, eventually
from tests.services.auth.mailed import (
    audited,
    ended,
    forget,
    mails,
    other_session,
    reset,
    sign_in,
)
from tests.services.gateway.raw_http import Answer, ask

Join = Callable[[], Awaitable[Member]]
Name = Callable[[], str]

FRESH = "another word entirely"
OTHER = "a third one of mine"


@pytest.fixture
async def member(join: Join) -> Member:
    return await join()


async def test_forgotten_password_is_chosen_once_and_ends_every_session(
    stack: Stack, client: httpx.AsyncClient, member: Member
) -> None:
    older = await forget(stack, client, member.email.upper())
    token = await forget(stack, client, member.email)
    assert (await reset(client, token, FRESH)).status_code == 204
    for used in (token, older):
        again = await reset(client, used, OTHER)
        assert again.status_code == 422
        assert set(again.json()["errors"]) == {"token"}
    assert (await sign_in(client, member.username, PASSWORD)).status_code == 401
    assert (await sign_in(client, member.username, FRESH)).status_code == 200
    await ended(client, member.headers)
    subjects = [subject for subject, _ in await mails(stack, member.email)]
    assert subjects == ["Choose a new ChitLaq password"] * 2 + ["Your ChitLaq password was changed"]


async def test_of_two_resets_at_once_one_counts(
    stack: Stack, client: httpx.AsyncClient, member: Member
) -> None:
    """Attacks the single use of a token, and of two tokens of one account."""
    tokens = [await forget(stack, client, member.email) for _ in range(2)]
    chosen = [FRESH, OTHER, FRESH, OTHER]
    answers = await asyncio.gather(
        *(reset(client, token, one) for token, one in zip(tokens * 2, chosen, strict=True))
    )
    assert sorted(one.status_code for one in answers) == [204, 422, 422, 422]
    winner = next(
        one for one, answer in zip(chosen, answers, strict=True) if answer.status_code == 204
    )
    for password in (FRESH, OTHER):
        answer = await sign_in(client, member.username, password)
        assert (answer.status_code == 200) == (password == winner)


async def test_answer_for_an_unknown_address_is_the_same(
    stack: Stack, client: httpx.AsyncClient, member: Member, name: Name
) -> None:
    unknown = f"{name()}@example.edu"
    answers = [
        await client.post("/api/auth/password/forgot", json={"email": email})
        for email in (member.email, unknown)
    ]
    assert [one.status_code for one in answers] == [202] * 2
    assert answers[0].text == answers[1].text
    assert await mails(stack, unknown) == []


async def test_forgotten_password_of_an_open_registration_is_chosen_behind_its_link(
    stack: Stack, client: httpx.AsyncClient, name: Name
) -> None:
    username = name()
    email = f"{username}@example.edu"
    body = {"email": email, "password": PASSWORD, "username": username, "display_name": "Liv"}
    assert (await client.post("/api/auth/register", json=body)).status_code == 201
    token = await forget(stack, client, email)
    answer = await client.post("/api/auth/verify", json={"token": token, "password": FRESH})
    assert answer.status_code == 200, answer.text
    assert (await sign_in(client, username, FRESH)).status_code == 200


async def test_stranger_who_fills_a_mailbox_keeps_no_new_password_from_its_owner(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    member = await join()
    body = {"email": member.email, "password": FRESH, "display_name": "A stranger"}
    for number in range(4):
        stranger = body | {"username": f"{member.username}{number}"}
        assert (await client.post("/api/auth/register", json=stranger)).status_code == 201
        again = {"email": member.email}
        assert (await client.post("/api/auth/verify/resend", json=again)).status_code == 202
    answer = await client.post("/api/auth/password/forgot", json={"email": member.email})
    assert answer.status_code == 202

    async def linked() -> list[str]:
        found = await mails(stack, member.email)
        return [token for subject, token in found if subject.startswith("Choose a new")]

    (token,) = await eventually(linked)
    assert (await reset(client, token, FRESH)).status_code == 204


async def test_expired_link_and_link_for_something_else_choose_no_password(
    stack: Stack, client: httpx.AsyncClient, member: Member
) -> None:
    token = await forget(stack, client, member.email)
    elsewhere = await client.post("/api/auth/email/confirm", json={"token": token})
    assert elsewhere.status_code == 422, "a link for a password changes no address"
    weak = await reset(client, token, member.username)
    assert set(weak.json()["errors"]) == {"password"}, "a refused password uses up no token"
    await stack.sql(
        "UPDATE auth.mailed_tokens SET expires_at = now() WHERE account_id = $1::uuid", member.id
    )
    for dead in (token, "x"):
        refused = await reset(client, dead, FRESH)
        assert set(refused.json()["errors"]) == {"token"}
    assert (await member.get("/api/users/me")).status_code == 200
    await forget(stack, client, member.email)
    rows = await stack.sql("SELECT FROM auth.mailed_tokens WHERE account_id = $1::uuid", member.id)
    assert len(rows) == 1, "what is over is forgotten"


async def test_changed_password_ends_other_sessions_and_older_links(
    stack: Stack, client: httpx.AsyncClient, member: Member
) -> None:
    other = await other_session(member, PASSWORD)
    link = await forget(stack, client, member.email)
    for current, wanted, field in [
        ("not my password", FRESH, "current_password"),
        (PASSWORD, "12345678", "password"),
        (PASSWORD, member.email, "password"),
    ]:
        body = {"current_password": current, "password": wanted}
        refused = await member.post("/api/auth/password/change", body)
        assert refused.status_code == 422
        assert set(refused.json()["errors"]) == {field}
    body = {"current_password": PASSWORD, "password": FRESH}
    answer = await member.post("/api/auth/password/change", body)
    assert answer.status_code == 204, answer.text
    await ended(client, other)
    assert (await member.get("/api/users/me")).status_code == 200, "who asked stays signed in"
    assert (await reset(client, link, OTHER)).status_code == 422
    assert (await sign_in(client, member.email, PASSWORD)).status_code == 401
    assert (await sign_in(client, member.email, FRESH)).status_code == 200
    assert (await mails(stack, member.email))[-1][0] == "Your ChitLaq password was changed"
    assert {"password_changed", "reset_requested"} <= set(await audited(member))


async def test_sign_in_with_a_password_that_is_just_being_changed_begins_no_session(
    stack: Stack, client: httpx.AsyncClient, member: Member
) -> None:
    """Attacks a thief's sign-in that is under way while the owner chooses a new password."""
    connection = await asyncpg.connect(stack.dsn())
    try:
        async with connection.transaction():
            await connection.execute(
                "UPDATE auth.accounts SET password_hash = 'another' WHERE id = $1::uuid", member.id
            )
            signing_in = asyncio.create_task(sign_in(client, member.username, PASSWORD))

            async def waits() -> bool:
                statement = (
                    "SELECT FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND query LIKE '%begin_session%'"
                )
                return bool(await stack.sql(statement))

            await eventually(waits)
    finally:
        await connection.close()
    answer = await signing_in
    assert answer.status_code == 503, answer.text
    assert (await sign_in(client, member.username, PASSWORD)).status_code == 401


async def test_hash_of_older_parameters_is_renewed_at_the_next_sign_in(
    stack: Stack, member: Member, client: httpx.AsyncClient
) -> None:
    older = PasswordHasher(time_cost=1, memory_cost=1_024, parallelism=1).hash(PASSWORD)
    await stack.sql("UPDATE auth.accounts SET password_hash = $2 WHERE id = $1", member.id, older)
    for _ in range(2):
        assert (await sign_in(client, member.username, PASSWORD)).status_code == 200
    ((renewed,),) = await stack.sql(
        "SELECT password_hash FROM auth.accounts WHERE id = $1", member.id
    )
    assert not passwords.needs_rehash(renewed)


async def test_account_without_a_password_is_told_so(
    stack: Stack, client: httpx.AsyncClient, member: Member
) -> None:
    await stack.sql(
        "UPDATE auth.accounts SET password_hash = NULL, language = 'tr' WHERE id = $1::uuid",
        member.id,
    )
    assert await forget(stack, client, member.email) == ""
    assert (await mails(stack, member.email))[-1][0] == "ChitLaq hesabınızın parolası yok"
    for password in ("", PASSWORD):
        assert (await sign_in(client, member.username, password)).status_code == 401
        body = {"current_password": password, "password": FRESH}
        assert (await member.post("/api/auth/password/change", body)).status_code == 403


async def test_page_mails_a_link_and_asks_for_the_password_without_a_script(
    stack: Stack, client: httpx.AsyncClient, member: Member
) -> None:
    page = await client.get("/reset")
    assert page.status_code == 200
    assert 'name="email"' in page.text
    assert (await client.post("/reset", data={"email": "nobody"})).status_code == 422
    sent = await client.post("/reset", data={"email": member.email})
    assert sent.status_code == 200
    assert "Look at your mails" in sent.text

    async def arrived() -> str:
        found = await mails(stack, member.email)
        return found[-1][1] if found else ""

    token = await eventually(arrived)
    for _ in range(2):
        page = await client.get("/reset", params={"token": token})
        assert 'name="password"' in page.text, "programs open links in mails, too"
        assert "<script" not in page.text
    refused = await client.post("/reset", data={"token": token, "password": "password12"})
    assert refused.status_code == 422
    assert "easy to guess" in refused.text
    assert "password12" not in refused.text
    done = await client.post("/reset", data={"token": token, "password": FRESH})
    assert done.status_code == 200
    assert "Your password is changed" in done.text
    assert (await sign_in(client, member.username, FRESH)).status_code == 200
    over = await client.get("/reset", params={"token": token})
    assert over.status_code == 422
    assert 'href="/reset"' in over.text


async def test_pages_and_refusals_speak_the_language_of_their_reader(
    client: httpx.AsyncClient,
) -> None:
    turkish = {"Accept-Language": "tr-TR,tr;q=0.9,en;q=0.8"}
    page = await client.get("/reset", headers=turkish)
    assert '<html lang="tr"' in page.text
    assert "Accept-Language" in page.headers["Vary"]
    refused = await client.post("/reset", data={"email": "nobody"}, headers=turkish)
    assert refused.status_code == 422
    assert '<html lang="tr"' in refused.text
    # What was chosen on a page is kept, and comes before what the browser prefers.
    chosen = await client.get("/verify", params={"token": "x", "lang": "en"}, headers=turkish)
    assert '<html lang="en"' in chosen.text
    assert 'href="?lang=tr&amp;token=' not in chosen.text, "the link is over: it has no token"
    kept = {"Cookie": f"lang={chosen.cookies['lang']}", **turkish}
    assert '<html lang="en"' in (await client.get("/reset", headers=kept)).text
    body = {"login": "nobody", "password": "x" * 12}
    answer = await client.post("/api/auth/login", json=body, headers=turkish)
    assert answer.json()["detail"].startswith("Ad veya parola yanlış")
    assert (answer.status_code, answer.json()["status"]) == (401, 401)
    nothing = await client.get("/api/users/nobody_of_this_name", headers=turkish)
    assert nothing.json()["detail"] == "Böyle bir üye yok ya da görme izniniz yok."


async def test_flood_of_sign_ins_is_refused_in_part_and_stalls_nothing_else(
    stack: Stack, member: Member
) -> None:
    port = stack.ports["auth"]

    async def flood_with(number: int) -> Answer:
        # Byte by byte: a client's library takes longer for so many than the service.
        body = f'{{"login": "nobody_{number}", "password": "{FRESH}"}}'
        headers = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        return await ask(port, "/auth/login", *headers, method="POST", body=body)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as calm:

        async def is_answered() -> bool:
            status = await calm.get("/auth/status", headers=member.headers)
            return bool(status.json()["authenticated"])

        assert await is_answered()
        flood = [asyncio.create_task(flood_with(number)) for number in range(500)]
        answered = 0
        while not all(one.done() for one in flood):
            assert await is_answered()
            answered += 1
            await asyncio.sleep(0.05)
        answers = await asyncio.gather(*flood)
    assert {one.status for one in answers} == {401, 503}
    assert all("\r\nretry-after:" in one.head.lower() for one in answers if one.status == 503)
    assert answered >= 3, "others are answered while sign-ins wait"
