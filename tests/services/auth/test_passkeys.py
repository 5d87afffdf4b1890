"""Passkeys: instead of the password, beside it, and to prove again who one is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.conftest import PASSWORD, Member, Stack
from tests.services.auth.authenticator import Authenticator, encoded

Join = Callable[[], Awaitable[Member]]


async def options(
    member: Member, purpose: str = "authentication", *, signed_in: bool = False
) -> Any:
    headers = member.headers if signed_in else {}
    answer = await member.client.post(
        "/api/auth/passkeys/options", json={"purpose": purpose}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["publicKey"]


async def add(member: Member, made: Authenticator, name: str = "Phone") -> httpx.Response:
    asked = await options(member, "registration", signed_in=True)
    return await member.post("/api/auth/passkeys", {"name": name, "passkey": made.create(asked)})


async def with_passkey(stack: Stack, member: Member) -> Authenticator:
    made = Authenticator(stack.issuer)
    answer = await add(member, made)
    assert answer.status_code == 201, answer.text
    return made


async def sign_in(member: Member, answer: dict[str, Any]) -> httpx.Response:
    return await member.client.post("/api/auth/passkeys/login", json={"passkey": answer})


async def test_passkey_opens_the_account_without_a_password(stack: Stack, join: Join) -> None:
    member = await join()
    made = await with_passkey(stack, member)
    assert "passkey was added" in stack.json("mail", "show", "--to", member.email)["subject"]
    asked = await options(member)
    assert (asked["allowCredentials"], asked["userVerification"]) == ([], "required")
    answer = await sign_in(member, made.get(asked))
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["username"] == member.username
    ((methods,),) = await stack.sql(
        "SELECT methods FROM auth.sessions WHERE account_id = $1 ORDER BY id DESC LIMIT 1",
        member.id,
    )
    assert methods == ["passkey"]


async def test_passkey_is_good_with_and_without_tls(stack: Stack, join: Join) -> None:
    member = await join()
    made = await with_passkey(stack, member)
    made.origin = f"https://localhost:{stack.ports['edge_tls']}"
    assert (await sign_in(member, made.get(await options(member)))).status_code == 200
    made.origin = f"https://localhost:{stack.ports['auth']}"
    assert (await sign_in(member, made.get(await options(member)))).status_code == 401


async def test_account_with_a_passkey_is_not_opened_by_a_password_alone(
    stack: Stack, join: Join
) -> None:
    member = await join()
    made = Authenticator(stack.issuer)
    codes = (await add(member, made)).json()["recovery_codes"]
    assert len(codes) == 10
    body = {"login": member.username, "password": PASSWORD}

    async def login(**more: object) -> httpx.Response:
        return await member.client.post("/api/auth/login", json=body | more)

    answer = await login()
    assert answer.status_code == 401
    assert answer.json()["type"].endswith("/second-factor-required")
    assert answer.json()["methods"] == ["passkey", "recovery_code"]
    assert (await login(passkey=made.get(await options(member)))).status_code == 200
    assert (await login(code=codes[0])).status_code == 200
    other = await with_passkey(stack, await join())
    assert (await login(passkey=other.get(await options(member)))).status_code == 401


@pytest.mark.parametrize(
    "flaw", ["another site", "another key", "not verified", "another account", "forged signature"]
)
async def test_answer_that_is_not_the_passkeys_own_is_refused(
    stack: Stack, join: Join, flaw: str
) -> None:
    member = await join()
    made = await with_passkey(stack, member)
    asked = await options(member)
    match flaw:
        case "another site":
            answer = replace(made, origin="https://chitlaq.example.com").get(asked)
        case "another key":
            other = Authenticator(stack.issuer, credential_id=made.credential_id)
            answer = replace(other, user_handle=made.user_handle).get(asked)
        case "not verified":
            answer = replace(made, is_verifying=False).get(asked)
        case "another account":
            answer = replace(made, user_handle=bytes(16)).get(asked)
        case _:
            answer = made.get(asked)
            answer["response"]["signature"] = encoded(b"x" * 70)
    assert (await sign_in(member, answer)).status_code == 401
    made.sign_count += 1
    assert (await sign_in(member, made.get(await options(member)))).status_code == 200


async def test_challenge_is_signed_once_by_whom_it_was_made_for_and_soon(
    stack: Stack, join: Join
) -> None:
    member = await join()
    made = await with_passkey(stack, member)
    asked = await options(member)
    made.sign_count = 10
    twice = [made.get(asked), made.get(asked)]
    answers = await asyncio.gather(*(sign_in(member, one) for one in twice))
    assert sorted(answer.status_code for answer in answers) == [200, 401]

    nested = made.get(asked)
    nested["response"]["clientDataJSON"] = encoded(b'{"x":' + b"[" * 40_000)
    assert (await sign_in(member, nested)).status_code == 401

    invented = {"challenge": encoded(bytes(32)), "rpId": "localhost"}
    assert (await sign_in(member, made.get(invented))).status_code == 401
    of_a_member = await options(member, signed_in=True)
    assert (await sign_in(member, made.get(of_a_member))).status_code == 401

    late = await options(member)
    await stack.sql("UPDATE auth.passkey_challenges SET expires_at = now()")
    assert (await sign_in(member, made.get(late))).status_code == 401
    await options(member)
    ((over,),) = await stack.sql(
        "SELECT count(*) FROM auth.passkey_challenges WHERE expires_at < now()"
    )
    assert over == 0


async def test_passkey_that_counts_backwards_is_refused_and_its_owner_is_told(
    stack: Stack, join: Join
) -> None:
    member = await join()
    made = await with_passkey(stack, member)
    copy = replace(made)
    for _ in range(2):
        assert (await sign_in(member, made.get(await options(member)))).status_code == 200
    assert (await sign_in(member, copy.get(await options(member)))).status_code == 401
    assert "may have been copied" in stack.json("mail", "show", "--to", member.email)["subject"]
    entries = (await member.get("/api/auth/audit")).json()["items"]
    assert "passkey_copied" in [entry["action"] for entry in entries]


async def test_authenticator_that_does_not_count_may_come_again(stack: Stack, join: Join) -> None:
    member = await join()
    made = await with_passkey(stack, member)
    for _ in range(2):
        made.sign_count = -1
        assert (await sign_in(member, made.get(await options(member)))).status_code == 200


async def test_passkey_proves_again_who_one_is(stack: Stack, join: Join) -> None:
    member = await join()
    made = await with_passkey(stack, member)
    await stack.sql(
        "UPDATE auth.sessions SET authenticated_at = now() - interval '11 minutes'"
        " WHERE account_id = $1",
        member.id,
    )
    assert (await add(member, Authenticator(stack.issuer))).status_code == 403
    signed_out = made.get(await options(member))
    assert (await member.post("/api/auth/step-up", {"passkey": signed_out})).status_code == 401
    own = made.get(await options(member, signed_in=True))
    assert (await member.post("/api/auth/step-up", {"passkey": own})).status_code == 204
    assert (await add(member, Authenticator(stack.issuer))).status_code == 201


async def test_way_to_reach_a_passkey_that_is_not_known_yet_is_no_fault(
    stack: Stack, join: Join
) -> None:
    member = await join()
    asked = await options(member, "registration", signed_in=True)
    made = Authenticator(stack.issuer).create(asked)
    made["response"]["transports"] = ["by-carrier-pigeon", "usb"]
    answer = await member.post("/api/auth/passkeys", {"name": "Bird", "passkey": made})
    assert answer.status_code == 201, answer.text
    (known,) = (await options(member, "registration", signed_in=True))["excludeCredentials"]
    assert known["transports"] == ["usb"]


async def test_passkeys_are_listed_named_and_removed_by_their_owner_alone(
    stack: Stack, join: Join
) -> None:
    member, other = await join(), await join()
    made = await with_passkey(stack, member)
    again = await add(member, made)
    assert again.status_code == 409
    (passkey,) = (await member.get("/api/auth/factors")).json()["passkeys"]
    path = f"/api/auth/passkeys/{passkey['id']}"
    assert (await other.patch(path, {"name": "Mine"})).status_code == 404
    assert (await other.delete(path)).status_code == 404
    assert (await member.patch(path, {"name": "Old phone"})).status_code == 204
    listed = (await member.get("/api/auth/factors")).json()
    assert [one["name"] for one in listed["passkeys"]] == ["Old phone"]
    assert (await member.delete(path)).status_code == 204
    assert (await member.get("/api/auth/factors")).json()["recovery_codes_left"] == 0
    assert (await sign_in(member, made.get(await options(member)))).status_code == 401
    body = {"login": member.username, "password": PASSWORD}
    assert (await member.client.post("/api/auth/login", json=body)).status_code == 200


async def test_registration_is_for_members_and_wants_a_passkey_that_verifies(
    stack: Stack, join: Join
) -> None:
    member = await join()
    body = {"purpose": "registration"}
    answer = await member.client.post("/api/auth/passkeys/options", json=body)
    assert answer.status_code == 401
    asked = await options(member, "registration", signed_in=True)
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    for made in (
        Authenticator(stack.issuer, is_verifying=False),
        Authenticator("https://chitlaq.example.com"),
    ):
        assert (await add(member, made)).status_code == 422
    broken = Authenticator(stack.issuer).create(asked)
    broken["response"]["attestationObject"] = encoded(b"\xa1" * 30)
    new = {"name": "Phone", "passkey": broken}
    assert (await member.post("/api/auth/passkeys", new)).status_code == 422
