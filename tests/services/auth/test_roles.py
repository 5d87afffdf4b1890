"""Roles and disabled accounts: in tokens, checked in one place, and true within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import PASSWORD, Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]
REASON = {"reason": "spam"}


async def refreshed(member: Member) -> httpx.Response:
    return await member.client.post(
        "/api/auth/refresh", json={"refresh_token": member.refresh_token}
    )


async def with_new_token(member: Member) -> Member:
    """The member as they are after their client has refreshed its token."""
    answer = await refreshed(member)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return Member(
        member.id,
        member.username,
        member.email,
        body["access_token"],
        member.client,
        body["refresh_token"],
    )


async def granted(stack: Stack, member: Member, role: str) -> Member:
    await stack.sql("UPDATE auth.accounts SET roles = $2 WHERE id = $1", member.id, [role])
    return await with_new_token(member)


async def signed_in(member: Member) -> httpx.Response:
    body = {"login": member.username, "password": PASSWORD}
    return await member.client.post("/api/auth/login", json=body)


def work(stack: Stack, *words: str) -> Any:
    return stack.json("users", *words, "--as", "grace")


def audited(stack: Stack, member: Member) -> list[tuple[str, str | None]]:
    entries = stack.json("audit", "--user", member.username, "--since", "1h")
    return [(one["action"], one["operator"]) for one in entries]


async def test_role_is_needed_and_a_higher_one_suffices(stack: Stack, join: Join) -> None:
    member, other = await join(), await join()
    path = f"/api/auth/accounts/{other.username}"
    assert (await member.client.get(path)).status_code == 401
    assert (await member.get(path)).status_code == 403
    for role in ("moderator", "admin", "operator"):
        member = await granted(stack, member, role)
        answer = await member.get(path)
        assert answer.status_code == 200, answer.text
        assert "email" not in answer.json()
        assert (await member.get(f"/api/auth/accounts/{other.email}")).status_code == 404
    assert (await member.put(f"{path}/roles/owner")).status_code in {404, 422}


async def test_change_of_roles_refuses_tokens_from_before_it(stack: Stack, join: Join) -> None:
    moderator, other = await join(), await join()
    path = f"/api/auth/accounts/{other.username}"
    work(stack, "grant", moderator.username, "moderator")
    before = await with_new_token(moderator)
    assert (await before.get(path)).status_code == 200
    work(stack, "revoke", moderator.username, "moderator")

    async def is_refused() -> bool:
        return (await before.get(path)).status_code == 401

    await eventually(is_refused)
    assert (await (await with_new_token(before)).get(path)).status_code == 403
    assert audited(stack, moderator)[:2] == [("role_revoked", "grace"), ("role_granted", "grace")]


async def test_nobody_changes_whom_they_do_not_outrank(stack: Stack, join: Join) -> None:
    moderator, admin = await join(), await join()
    moderator = await granted(stack, moderator, "moderator")
    admin = await granted(stack, admin, "admin")
    for actor, path in (
        (moderator, f"/api/auth/accounts/{admin.username}/disabled"),
        (moderator, f"/api/auth/accounts/{moderator.username}/disabled"),
        (moderator, f"/api/auth/accounts/{moderator.username}/roles/moderator"),
        (admin, f"/api/auth/accounts/{moderator.username}/roles/admin"),
        (admin, f"/api/auth/accounts/{admin.username}/roles/moderator"),
    ):
        body = REASON if path.endswith("disabled") else None
        assert (await actor.put(path, body)).status_code == 403, path
    answer = await admin.delete(f"/api/auth/accounts/{moderator.username}/roles/moderator")
    assert answer.status_code == 204, answer.text


async def test_disabled_account_ends_everywhere_and_says_so_to_its_owner_alone(
    stack: Stack, join: Join
) -> None:
    moderator, member = await join(), await join()
    moderator = await granted(stack, moderator, "moderator")
    path = f"/api/auth/accounts/{member.username}/disabled"
    assert (await moderator.put(path, REASON)).status_code == 204

    async def is_refused() -> bool:
        return (await member.get("/api/users/me")).status_code == 401

    await eventually(is_refused)
    for answer in (await signed_in(member), await refreshed(member)):
        assert answer.status_code == 403
        assert "disabled" in answer.json()["detail"]
    wrong = {"login": member.username, "password": "not the password"}
    assert (await member.client.post("/api/auth/login", json=wrong)).status_code == 401
    assert (await moderator.get(f"/api/users/{member.username}")).status_code == 200
    found = await moderator.get("/api/search/users", params={"q": member.username})
    assert [one["username"] for one in found.json()["items"]] == [member.username]
    assert (await moderator.delete(path)).status_code == 204
    assert (await signed_in(member)).status_code == 200
    # The member reads that a moderator did it, and not who or from where.
    mine = stack.json("audit", "--user", member.username)
    assert [(one["action"], one["operator"], one["address"]) for one in mine[1:3]] == [
        ("enabled", "moderator", None),
        ("disabled", "moderator", None),
    ]
    (did, *_) = [
        one
        for one in stack.json("audit", "--user", moderator.username)
        if one["action"] == "moderated" and one["detail"]["did"] == "disabled"
    ]
    assert did["detail"] == {"did": "disabled", "account": member.id, "reason": "spam"}
    assert did["session_id"]


async def test_signing_in_while_the_account_is_disabled_leaves_no_session(
    stack: Stack, join: Join
) -> None:
    member = await join()
    await asyncio.gather(
        *(signed_in(member) for _ in range(6)),
        asyncio.to_thread(work, stack, "disable", member.username, "--reason", "spam", "--yes"),
    )
    (left,) = await stack.sql(
        "SELECT count(*) FROM auth.sessions WHERE account_id = $1 AND ended_at IS NULL", member.id
    )
    assert left["count"] == 0


async def test_operator_finds_shows_and_signs_out(stack: Stack, join: Join) -> None:
    member = await join()
    (found,) = stack.json("users", "list", "--search", member.email.upper(), "--enabled")
    assert (found["email"], found["roles"], found["sessions"]) == (member.email, [], 1)
    for name in (member.id, member.email.upper(), member.username):
        assert stack.json("users", "show", name)["id"] == member.id
    (session,) = stack.json("users", "sessions", member.username)
    answer = stack.command("users", "sessions", member.username, "--end", session["id"])
    assert answer.returncode == 0
    assert "Nobody was signed out. Add --yes to do it." in answer.stderr
    ended = work(stack, "sessions", member.username, "--end", session["id"], "--yes")
    assert ended == {"ended": 1}
    assert stack.json("users", "sessions", member.username) == []
    assert audited(stack, member)[0] == ("session_ended", "grace")


async def test_operator_makes_accounts_whose_owners_choose_the_password(
    stack: Stack, client: httpx.AsyncClient, name: Callable[[], str]
) -> None:
    invited, waiting = name(), name()
    made = work(stack, "create", f"{invited}@example.edu", invited)
    assert made["username"] == invited
    token = {"token": stack.mail_token(made["email"])}
    body = token | {"password": PASSWORD}
    answer = await client.post("/api/auth/password/reset", json=body)
    assert answer.status_code < 300, answer.text
    body = {"login": invited, "password": PASSWORD}
    assert (await client.post("/api/auth/login", json=body)).status_code == 200
    again = stack.command("users", "create", made["email"], waiting)
    assert "has an account already" in again.stderr

    registration = {
        "email": f"{waiting}@example.edu",
        "password": PASSWORD,
        "username": waiting,
        "display_name": waiting,
    }
    assert (await client.post("/api/auth/register", json=registration)).status_code == 201
    work(stack, "verify", registration["email"])
    body = {"login": waiting, "password": PASSWORD}
    assert (await client.post("/api/auth/login", json=body)).status_code == 200
    assert "no such open registration" in stack.command("users", "verify", "x@example.edu").stderr


async def test_operator_does_not_verify_what_a_stranger_may_have_registered(
    stack: Stack, client: httpx.AsyncClient, name: Callable[[], str]
) -> None:
    username = name()
    for at in ("one", "two"):
        registration = {
            "email": f"{username}@example.edu",
            "password": f"{PASSWORD} {at}",
            "username": username,
            "display_name": username,
        }
        assert (await client.post("/api/auth/register", json=registration)).status_code == 201
    answer = stack.command("users", "verify", f"{username}@example.edu")
    assert answer.returncode == 1
    assert "several times" in answer.stderr


async def test_operator_has_a_link_mailed(stack: Stack, join: Join) -> None:
    member = await join()
    work(stack, "reset-password", member.username)
    assert "/reset?token=" in stack.json("mail", "show", "--to", member.email)["links"][0]
    assert audited(stack, member)[0] == ("reset_requested", "grace")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "nobody-of-this-name"), "There is no such account"),
        (("show", ""), "There is no such account"),
        (("show", "a/b@example.edu"), "There is no such account"),
        (("show", "\udcff"), "not UTF-8"),
        (("verify", "a/b@example.edu"), "no such open registration"),
        (("grant", "{name}", "owner"), "owner"),
        (("disable", "{name}", "--reason", "\u202e"), "reason"),
        (("enable", "{name}", "--as", "x" * 81), "operator"),
    ],
)
async def test_what_cannot_be_done_is_said(
    stack: Stack, join: Join, words: tuple[str, ...], said: str
) -> None:
    member = await join()
    options = ("--yes",) if words[0] == "disable" else ()
    answer = stack.command("users", *(one.format(name=member.username) for one in words), *options)
    assert answer.returncode in {1, 2}
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


async def test_owner_is_mailed_at_once_what_was_done_to_the_account(
    stack: Stack, join: Join
) -> None:
    member = await join()
    work(stack, "grant", member.username, "moderator")
    for _ in range(2):
        work(stack, "disable", member.username, "--reason", "spam & more", "--yes")
    work(stack, "enable", member.username)
    work(stack, "revoke", member.username, "moderator")
    mails = await stack.sql(
        "SELECT subject, text, html FROM mail.messages WHERE to_address = $1 ORDER BY id",
        member.email,
    )
    assert [mail["subject"] for mail in mails] == [
        "Your ChitLaq account has a new role",
        "Your ChitLaq account was disabled",
        "Your ChitLaq account works again",
        "Your ChitLaq account has lost a role",
    ]
    assert "moderator" in mails[0]["text"]
    assert "spam & more" in mails[1]["text"]
    assert "spam &amp; more" in mails[1]["html"]
