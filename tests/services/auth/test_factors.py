"""Second factors: codes of an app, recovery codes, and what needs a proof that is not old."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pyotp
import pytest

from chitlaq.core.http import edge, roles, routes
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.sealing import Sealer, UnreadableError
from chitlaq.services.auth.factors import proving, totp
from chitlaq.services.auth.routes import SERVICE
from tests.conftest import PASSWORD, Member, Stack, eventually, free_ports
from tests.services.auth.authenticator import Authenticator

Join = Callable[[], Awaitable[Member]]

NEEDED = "/second-factor-required"


async def sign_in(
    member: Member, code: str | None = None, password: str = PASSWORD
) -> httpx.Response:
    body = {"login": member.username, "password": password} | ({"code": code} if code else {})
    return await member.client.post("/api/auth/login", json=body)


async def enroll(member: Member) -> tuple[pyotp.TOTP, list[str]]:
    """Ask for codes; the step of the code that confirmed it is used up."""
    answer = await member.post("/api/auth/totp/enroll")
    assert answer.status_code == 200, answer.text
    made = answer.json()
    app = pyotp.parse_uri(made["uri"])
    assert isinstance(app, pyotp.TOTP)
    assert (app.secret, app.issuer) == (made["secret"], "ChitLaq")
    answer = await member.post("/api/auth/totp/confirm", {"code": code_of(app, 0)})
    assert answer.status_code == 200, answer.text
    return app, answer.json()["recovery_codes"]


def code_of(app: pyotp.TOTP, offset: int = 1) -> str:
    """What the app shows so many steps from now: by default the next, which is right for a minute."""
    return app.at(int(time.time()) + 30 * offset)


def wrong(app: pyotp.TOTP) -> str:
    right = {code_of(app, offset) for offset in range(-3, 4)}
    return next(code for code in map("{:06}".format, range(10)) if code not in right)


async def actions(member: Member) -> list[str]:
    return [entry["action"] for entry in (await member.get("/api/auth/audit")).json()["items"]]


def subjects(stack: Stack, member: Member) -> Any:
    return stack.json("mail", "show", "--to", member.email)["subject"]


async def test_password_alone_opens_no_account_that_asks_for_codes(
    stack: Stack, join: Join
) -> None:
    member = await join()
    app, _ = await enroll(member)
    assert "asks for a code" in subjects(stack, member)
    answer = await sign_in(member)
    assert answer.status_code == 401
    assert answer.json()["type"].endswith(NEEDED)
    assert answer.json()["methods"] == ["totp", "recovery_code"]
    assert (await sign_in(member, wrong(app))).json()["type"].endswith(NEEDED)
    assert (await sign_in(member, code_of(app))).status_code == 200
    assert (await actions(member))[:2] == ["signed_in", "totp_enabled"]


async def test_wrong_password_says_nothing_of_second_factors(join: Join) -> None:
    member, other = await join(), await join()
    app, _ = await enroll(member)
    answers = [
        await sign_in(member, code_of(app), "not the password"),
        await sign_in(member, None, "not the password"),
        await sign_in(other, None, "not the password"),
    ]
    bodies = [answer.json() | {"request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401] * 3
    assert bodies[0] == bodies[1] == bodies[2]
    assert (await sign_in(member, code_of(app))).status_code == 200, "the code was used up"


async def test_code_works_once_also_for_two_at_once(join: Join) -> None:
    member = await join()
    app, _ = await enroll(member)
    code = code_of(app)
    answers = await asyncio.gather(*(sign_in(member, code) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401]


@pytest.mark.parametrize(("offset", "is_right"), [(-3, False), (-1, True), (1, True), (3, False)])
async def test_clock_of_the_phone_may_be_half_a_minute_wrong(
    stack: Stack, join: Join, offset: int, is_right: bool
) -> None:
    member = await join()
    app, _ = await enroll(member)

    async def is_accepted() -> bool:
        await stack.sql("UPDATE auth.totp_keys SET last_step = 0 WHERE account_id = $1", member.id)
        return (await sign_in(member, code_of(app, offset))).status_code == 200

    if is_right:
        await eventually(is_accepted)  # the step may change in between
    else:
        assert not await is_accepted()


async def test_codes_cannot_be_guessed_and_the_owner_still_comes_in(
    stack: Stack, join: Join
) -> None:
    member = await join()
    app, recovery_codes = await enroll(member)
    await stack.sql(
        "UPDATE auth.totp_keys SET failures = $2, failing_since = now() WHERE account_id = $1",
        member.id,
        totp.MOST_FAILURES - 1,
    )
    assert (await sign_in(member, wrong(app))).status_code == 401
    refused = await sign_in(member, code_of(app))
    assert refused.status_code == 429
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    assert "guesses codes" in subjects(stack, member)
    assert (await sign_in(member, recovery_codes[0])).status_code == 200
    await stack.sql(
        "UPDATE auth.totp_keys SET failing_since = now() - interval '1 hour' WHERE account_id = $1",
        member.id,
    )
    assert (await sign_in(member, code_of(app))).status_code == 200


async def test_recovery_code_works_once_however_it_is_typed(stack: Stack, join: Join) -> None:
    member = await join()
    _, codes = await enroll(member)
    assert len(set(codes)) == 10
    assert (await sign_in(member, f" {codes[0].upper()} ")).status_code == 200
    assert (await sign_in(member, codes[0])).status_code == 401
    assert (await sign_in(member, codes[1].replace("-", ""))).status_code == 200
    assert "recovery code" in subjects(stack, member)
    assert (await member.get("/api/auth/factors")).json()["recovery_codes_left"] == 8
    renewed = await member.post("/api/auth/recovery-codes")
    assert (await sign_in(member, codes[2])).status_code == 401
    assert (await sign_in(member, renewed.json()["recovery_codes"][0])).status_code == 200


async def test_database_alone_gives_no_codes(stack: Stack, join: Join) -> None:
    member, other = await join(), await join()
    app, codes = await enroll(member)
    ((sealed,),) = await stack.sql(
        "SELECT sealed_key FROM auth.totp_keys WHERE account_id = $1", member.id
    )
    assert app.secret.encode() not in sealed
    sealer = Sealer(Secrets(stack.home / "secrets").sealing_key, "totp")
    assert sealer.opened(sealed, UUID(member.id)) == app.secret
    with pytest.raises(UnreadableError):
        sealer.opened(sealed, UUID(other.id))
    dump = str(await stack.sql("SELECT code_hash FROM auth.recovery_codes"))
    assert codes[0].replace("-", "") not in dump


async def test_disabled_codes_are_not_asked_for_and_recovery_codes_end(
    stack: Stack, join: Join
) -> None:
    member = await join()
    await enroll(member)
    assert (await member.post("/api/auth/totp/enroll")).status_code == 409
    assert (await member.post("/api/auth/totp/disable")).status_code == 204
    assert "no longer asks" in subjects(stack, member)
    assert (await sign_in(member)).status_code == 200
    assert (await member.get("/api/auth/factors")).json()["recovery_codes_left"] == 0
    assert (await member.post("/api/auth/recovery-codes")).status_code == 409


async def test_key_that_is_not_confirmed_within_an_hour_counts_for_nothing(
    stack: Stack, join: Join
) -> None:
    member = await join()
    secret = (await member.post("/api/auth/totp/enroll")).json()["secret"]
    app = pyotp.TOTP(secret)
    assert (await sign_in(member)).status_code == 200
    assert (await member.post("/api/auth/totp/confirm", {"code": wrong(app)})).status_code == 422
    await stack.sql(
        "UPDATE auth.totp_keys SET enrolled_at = now() - interval '1 hour' WHERE account_id = $1",
        member.id,
    )
    assert (await member.post("/api/auth/totp/confirm", {"code": code_of(app)})).status_code == 409


async def grow_old(stack: Stack, member: Member) -> None:
    await stack.sql(
        "UPDATE auth.sessions SET authenticated_at = now() - interval '11 minutes'"
        " WHERE account_id = $1",
        member.id,
    )


def dangerous() -> dict[str, roles.Role]:
    """The routes that need a recent proof, and the roles that they need."""
    return {
        f"{method} {path}": handler.opt.get("needs_role", "member")
        for handler in routes.collect(SERVICE)
        if proving.recent in handler.opt.get("requires", ())
        for method in handler.http_methods
        for path in handler.paths
    }


def test_what_is_dangerous_is_guarded() -> None:
    assert dangerous().keys() >= {
        "DELETE /auth/account",
        "DELETE /auth/accounts/{username:str}/roles/{role:str}",
        "DELETE /auth/passkeys/{passkey_id:uuid}",
        "DELETE /auth/sessions",
        "DELETE /auth/sessions/{session_id:uuid}",
        "POST /auth/email/change",
        "POST /auth/passkeys",
        "POST /auth/recovery-codes",
        "POST /auth/totp/disable",
        "POST /auth/totp/enroll",
        "PUT /auth/accounts/{username:str}/roles/{role:str}",
    }


async def test_every_dangerous_route_refuses_a_session_that_is_not_fresh(
    stack: Stack, join: Join
) -> None:
    member = await join()
    role = max(dangerous().values(), key=roles.ROLES.index)
    await stack.sql("UPDATE auth.accounts SET roles = $2 WHERE id = $1", member.id, [role])
    token = (await sign_in(member)).json()["access_token"]
    await grow_old(stack, member)
    for route in dangerous():
        method, path = route.split()
        path = path.replace("{role:str}", "moderator").replace("{username:str}", "somebody")
        path = re.sub(r"\{\w+:uuid\}", str(UUID(int=0)), path)
        answer = await member.client.request(
            method,
            f"/api{path}",
            headers={"Authorization": f"Bearer {token}"},
            json={},
        )
        assert answer.status_code == 403, (route, answer.text)
        assert answer.json()["type"].endswith("/step-up-required"), route


async def test_proving_again_who_one_is_opens_what_is_dangerous(stack: Stack, join: Join) -> None:
    member = await join()
    app, _ = await enroll(member)
    await grow_old(stack, member)

    async def step_up(**given: str) -> int:
        return (await member.post("/api/auth/step-up", given)).status_code

    assert await step_up(password="not the password", code=code_of(app)) == 422
    assert await step_up(code=code_of(app)) == 422
    assert await step_up(password=PASSWORD) == 401
    assert (await member.post("/api/auth/totp/disable")).status_code == 403
    assert await step_up(password=PASSWORD, code=code_of(app)) == 204
    assert (await member.post("/api/auth/totp/disable")).status_code == 204
    assert "stepped_up" in await actions(member)


async def test_session_that_ended_a_moment_ago_changes_no_second_factor(
    stack: Stack, join: Join
) -> None:
    """A thief who is fast must leave nothing in an account that its owner takes back."""
    member = await join()
    app, codes = await enroll(member)
    answer = await member.post("/api/auth/passkeys/options", {"purpose": "registration"})
    made = Authenticator(stack.issuer).create(answer.json()["publicKey"])
    connection = await asyncpg.connect(stack.dsn())
    try:
        async with connection.transaction():
            await connection.execute(
                "UPDATE auth.sessions SET ended_at = now() WHERE account_id = $1", member.id
            )
            await connection.execute(
                "SELECT FROM auth.accounts WHERE id = $1 FOR NO KEY UPDATE", member.id
            )
            asked = [
                asyncio.create_task(one)
                for one in (
                    member.post("/api/auth/totp/enroll"),
                    member.post("/api/auth/totp/confirm", {"code": code_of(app)}),
                    member.post("/api/auth/totp/disable"),
                    member.post("/api/auth/recovery-codes"),
                    member.post("/api/auth/passkeys", {"name": "Mine", "passkey": made}),
                )
            ]

            async def all_wait() -> bool:
                (row,) = await stack.sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                )
                return bool(row["count"] >= len(asked))

            await eventually(all_wait)
    finally:
        await connection.close()
    assert [(await one).status_code for one in asked] == [401] * len(asked)
    assert await stack.sql("SELECT FROM auth.passkeys WHERE account_id = $1", member.id) == []
    assert (await sign_in(member, codes[0])).status_code == 200


async def test_one_session_that_is_fresh_does_not_make_another_so(stack: Stack, join: Join) -> None:
    member = await join()
    await grow_old(stack, member)
    assert (await sign_in(member)).status_code == 200
    assert (await member.post("/api/auth/totp/enroll")).status_code == 403


async def test_operator_removes_what_the_owner_has_lost(stack: Stack, join: Join) -> None:
    member = await join()
    await enroll(member)
    reset = ["users", "reset-factors", member.username, "--identified-by", "student card"]
    asked = stack.command(*reset)
    assert "Nothing has changed" in asked.stderr
    stack.json(*reset, "--as", "ada", "--yes")
    assert (await sign_in(member)).status_code == 200
    assert "were removed" in subjects(stack, member)
    entries = (await member.get("/api/auth/audit")).json()["items"]
    (entry,) = [one for one in entries if one["action"] == "factors_reset"]
    assert (entry["operator"], entry["detail"]) == ("ada", {"identified_by": "student card"})


async def test_owner_who_takes_the_account_back_is_rid_of_the_factors_of_the_thief(
    stack: Stack, join: Join, name: Callable[[], str]
) -> None:
    member = await join()
    body = {"email": f"{name()}@example.edu", "password": PASSWORD}
    assert (await member.post("/api/auth/email/change", body)).status_code == 202
    confirmation = {"token": stack.mail_token(body["email"])}
    assert (await member.post("/api/auth/email/confirm", confirmation)).status_code < 300
    back = stack.mail_token(member.email)
    await enroll(member)
    chosen = {"token": back, "password": f"{PASSWORD} again"}
    assert (await member.client.post("/api/auth/password/reset", json=chosen)).status_code == 204
    assert (await sign_in(member, None, chosen["password"])).status_code == 200


async def test_password_that_was_reset_by_mail_does_not_go_past_the_second_factor(
    stack: Stack, join: Join
) -> None:
    member = await join()
    app, _ = await enroll(member)
    asked = await member.client.post("/api/auth/password/forgot", json={"email": member.email})
    assert asked.status_code == 202

    async def has_link() -> bool:
        return "new ChitLaq password" in subjects(stack, member)

    await eventually(has_link)
    chosen = {"token": stack.mail_token(member.email), "password": f"{PASSWORD} again"}
    assert (await member.client.post("/api/auth/password/reset", json=chosen)).status_code == 204
    assert (await sign_in(member, None, chosen["password"])).json()["type"].endswith(NEEDED)
    assert (await sign_in(member, code_of(app), chosen["password"])).status_code == 200


@pytest.fixture(params=["ROLES"])
async def strict(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """One more process of auth-service, where roles, or whatever the parameter says, need a second factor."""
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "serve", "auth-service", "--worker", "8"],
        env=stack.environment
        | {
            "CHITLAQ_PORTS_AUTH": str(free_ports(1)[0]),
            f"CHITLAQ_TOKENS_SECOND_FACTOR_FOR_{request.param}": "true",
        },
        stdout=subprocess.DEVNULL,
    )
    socket = Home(stack.home).service_socket("auth-service", 8)
    try:
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await eventually(lambda: client.get("/live"))
            yield client
    finally:
        process.terminate()
        process.wait(60)


def roles_in(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    claims = edge.unsealed(answer.json()["access_token"]).split(".")[1]
    return json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["roles"]


async def enrolled(strict: httpx.AsyncClient, headers: Mapping[str, str]) -> pyotp.TOTP:
    """Set up codes of an app; afterwards the token from before is refused."""
    secret = (await strict.post("/auth/totp/enroll", headers=headers)).json()["secret"]
    app = pyotp.TOTP(secret)
    confirmation = {"code": code_of(app, 0)}
    answer = await strict.post("/auth/totp/confirm", json=confirmation, headers=headers)
    assert answer.status_code == 200, answer.text

    async def is_refused() -> bool:
        return (await strict.get("/auth/factors", headers=headers)).status_code == 401

    await eventually(is_refused)
    return app


async def test_role_needs_a_second_factor_where_the_setting_says_so(
    stack: Stack, join: Join, strict: httpx.AsyncClient
) -> None:
    member = await join()
    stack.json("users", "grant", member.username, "moderator")
    body = {"login": member.username, "password": PASSWORD}
    first = await strict.post("/auth/login", json=body)
    assert roles_in(first) == ["member"]
    assert roles_in(await member.client.post("/api/auth/login", json=body)) == [
        "member",
        "moderator",
    ]

    headers = {"Authorization": f"Bearer {first.json()['access_token']}"}
    app = await enrolled(strict, headers)
    renewed = {"refresh_token": first.json()["refresh_token"]}
    assert roles_in(await strict.post("/auth/refresh", json=renewed)) == ["member", "moderator"]
    answer = await strict.post("/auth/login", json=body | {"code": code_of(app)})
    assert roles_in(answer) == ["member", "moderator"]


@pytest.mark.parametrize("strict", ["EVERYONE"], indirect=True)
async def test_account_without_a_second_factor_can_only_set_one_up_where_the_setting_says_so(
    join: Join, strict: httpx.AsyncClient
) -> None:
    member = await join()
    body = {"login": member.username, "password": PASSWORD}
    first = await strict.post("/auth/login", json=body)
    assert roles_in(first) == ["enrolling"]
    assert first.json()["lacks_second_factor"] is True
    headers = {"Authorization": f"Bearer {first.json()['access_token']}"}
    for path in (
        "/api/feed/home",
        "/api/search/users?q=ada",
        "/api/conversations",
        "/api/notifications",
    ):
        refused = await member.client.get(path, headers=headers)
        assert (refused.status_code, refused.json()["type"]) == (
            403,
            "/problems/second-factor-missing",
        ), path

    app = await enrolled(strict, headers)
    renewed = {"refresh_token": first.json()["refresh_token"]}
    answer = await strict.post("/auth/refresh", json=renewed)
    assert roles_in(answer) == ["member"]
    assert "lacks_second_factor" not in answer.json()
    assert roles_in(await strict.post("/auth/login", json=body | {"code": code_of(app)})) == [
        "member"
    ]
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await member.client.get("/api/feed/home", headers=headers)).status_code == 200
