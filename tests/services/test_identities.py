"""Every route of every service answers each kind of caller as it declares.

Who asks is checked first, so a parameter that no route declares tells whether somebody came so far: they are
answered with 422, and no handler runs. Only pages, which take any parameter, do run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from chitlaq.core.http import roles, routes
from chitlaq.core.http.cookies import ACCESS, SAFE_METHODS
from chitlaq.core.http.operators import operator
from chitlaq.core.installation.secrets import Secrets
from chitlaq.ops.console.access import guards
from tests.conftest import Member, Stack, eventually
from tests.core.http.test_identity import genuine_and_refused
from tests.core.http.test_unknown_parameters import IDS, SERVICES, VALUES

# Litestar 3 wants parameters marked as such; the version is pinned below it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::litestar.exceptions.base_exceptions.LitestarDeprecationWarning"
)

Join = Callable[[], Awaitable[Member]]

AT_ONCE = 16

FORGED = (
    "another installation, which has our key",
    "another audience",
    "expired",
    "another key of the same name",
    "an unknown key",
    "no algorithm",
)
"""Of `genuine_and_refused`: one of each kind that something else in the verifier refuses."""

FEW = ("nobody", "a member", "no algorithm")
"""Who asks where no token is looked at."""


class Door(Enum):
    """Whom a route lets in, as its handler's parameters and guards say."""

    MEMBERS = "members"
    ANYBODY = "anybody, and it knows members"
    OPEN = "anybody"
    OPERATORS = "programs of operators"
    CONSOLE = "operators in a browser"


KNOWS_MEMBERS = {Door.MEMBERS, Door.ANYBODY}
PAGE = {200, 303, 400, 403, 404, 422}
"""What pages answer to an empty form, to one that no page of ours has sent, or to an unknown link."""

DOORS: dict[frozenset[Any], Door] = {
    frozenset({operator}): Door.OPERATORS,
    frozenset({guards.reachable}): Door.CONSOLE,
    frozenset({guards.reachable, guards.signed_in}): Door.CONSOLE,
    frozenset({guards.reachable, guards.own_page}): Door.CONSOLE,
    frozenset({guards.reachable, guards.own_page, guards.signed_in}): Door.CONSOLE,
}
"""What the guards of a route mean. A route with others fails these tests until it is said here."""


OPEN = {
    "GET /",
    "GET /about",
    "GET /api/docs",
    "GET /api/health",
    "GET /api/openapi.json",
    "GET /auth/jwks.json",
    "GET /auth/sso",
    "GET /auth/sso/{provider}",
    "GET /auth/sso/{provider}/callback",
    "GET /auth/status",
    "GET /confirm-address",
    "GET /oncall/{calendar}",
    "GET /reset",
    # By the token of a mail's link.
    "GET /unsubscribe",
    "POST /unsubscribe",
    "GET /static/{version}/{name}",
    "GET /status/confirm",
    "GET /status/unsubscribe",
    "GET /verify",
    "GET /ws",
    "GET /ws/asyncapi.json",
    "GET /ws/docs",
    "POST /auth/email/confirm",
    "POST /auth/login",
    "POST /auth/passkeys/login",
    "POST /auth/password/forgot",
    "POST /auth/password/reset",
    "POST /auth/sso/{provider}/code",
    "POST /auth/refresh",
    "POST /auth/register",
    "POST /auth/verify",
    "POST /auth/verify/resend",
    # Pages, which ask the services with the token of the member's cookie.
    "GET /bookmarks",
    "GET /chat",
    "GET /chat/{conversation_id}",
    "GET /compose",
    "GET /drafts",
    "GET /explore",
    "GET /follow-requests",
    "GET /home",
    "GET /join",
    "GET /keep",
    "GET /login",
    "GET /manifest.webmanifest",
    "GET /notifications",
    "GET /robots.txt",
    "GET /rules",
    "GET /search",
    "GET /settings",
    "GET /settings/appearance",
    "GET /settings/shortcuts",
    "GET /settings/{section}",
    "GET /shell",
    "GET /sw.js",
    "GET /tags/{tag}",
    "GET /{handle}",
    "GET /{handle}/followers",
    "GET /{handle}/following",
    "GET /{handle}/p/{post_id}",
    "GET /{handle}/p/{post_id}/{about}",
    "POST /join",
    "POST /keep",
    "POST /login",
    "POST /logout",
    "POST /settings/appearance",
    "POST /settings/shortcuts",
    # The mails of a system without SMTP, from this machine alone.
    "GET /dev/mail",
    "POST /confirm-address",
    "POST /reset",
    "POST /status/confirm",
    "POST /status/subscribe",
    "POST /status/unsubscribe",
    "POST /verify",
}
"""The routes that look at no token: a new one is looked at by people before it is added here."""


@dataclass(frozen=True)
class Target:
    method: str
    template: str
    door: Door
    is_page: bool
    needs_role: roles.Role
    fields: tuple[str, ...]
    """Those that its body must have."""

    @property
    def path(self) -> str:
        path = self.template
        for name, value in VALUES.items():
            path = path.replace(f"{{{name}}}", value)
        return f"{path}?unheard_of=1"


@dataclass(frozen=True)
class Caller:
    """Who asks, and whom services take them for."""

    headers: dict[str, str]
    is_refused: bool = False
    """The token is good for nothing here."""
    role: roles.Role | None = None
    """What the token says; None without one."""
    is_operator: bool = False
    reads_only: bool = False


def targets(service: str) -> Iterator[Target]:
    for handler in routes.collect(SERVICES[service]):
        asked = handler.parsed_fn_signature.parameters
        if handler.guards:
            door = DOORS[frozenset(handler.guards)]
        else:
            door = (
                Door.MEMBERS if "member" in asked or "needs_role" in handler.opt
                else Door.ANYBODY if "viewer" in asked
                else Door.OPEN
            )  # fmt: skip
        data = handler.parsed_fn_signature.parameters.get("data")
        fields = []
        if data is not None and isinstance(data.annotation, type):
            fields = [one.name for one in msgspec.structs.fields(data.annotation) if one.required]
        for path in handler.paths:
            template = re.sub(r"\{(\w+)(:\w+)?\}", r"{\1}", path)
            for method in handler.http_methods:
                opt = handler.opt
                needed = opt.get("needs_role", "member")
                yield Target(method, template, door, "is_page" in opt, needed, tuple(fields))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def callers(stack: Stack) -> dict[str, Caller]:
    def signed(*said: roles.Role) -> str:
        return stack.signer.sign(uuid4(), uuid4(), 900, roles=said)

    _, forged = genuine_and_refused(stack)
    session, account = uuid4(), uuid4()
    ended = stack.signer.sign(uuid4(), session, 900)
    disabled = stack.signer.sign(account, uuid4(), 900)
    for revoked in (session, account):
        await stack.sql("SELECT auth.revoke($1)", revoked)
    cookie = {"Cookie": f"{ACCESS}={signed()}"}
    own_page = {"Sec-Fetch-Site": "same-origin"}
    return {
        "nobody": Caller({}),
        "a member": Caller(bearer(signed()), role="member"),
        "a moderator": Caller(bearer(signed("moderator")), role="moderator"),
        "an admin": Caller(bearer(signed("admin")), role="admin"),
        "a member by cookie": Caller(cookie | own_page, role="member"),
        "a cookie from who does not say which page": Caller(cookie, role="member", reads_only=True),
        "an operator's program": Caller(
            bearer(Secrets(stack.home / "secrets").ops_token), is_refused=True, is_operator=True
        ),
        "a session that has ended": Caller(bearer(ended), is_refused=True),
        "a disabled account": Caller(bearer(disabled), is_refused=True),
        **{what: Caller(bearer(forged[what]), is_refused=True) for what in FORGED},
        "a forged cookie": Caller(
            {"Cookie": f"{ACCESS}={forged['no algorithm']}"} | own_page, is_refused=True
        ),
    }


def expected(target: Target, caller: Caller) -> set[int]:
    """The statuses that the route's declaration allows for a caller."""
    let_in = PAGE if target.is_page else {422}
    if target.door is Door.CONSOLE:
        return {404}  # nginx reaches none of it, unless the settings say so
    if target.door is Door.OPEN:
        return let_in
    if target.door is Door.OPERATORS:
        return let_in if caller.is_operator else {401}
    if caller.is_refused or (target.door is Door.MEMBERS and caller.role is None):
        return {401}
    if caller.reads_only and target.method not in SAFE_METHODS:
        return {403}
    if roles.rank([caller.role or "member"]) < roles.rank([target.needs_role]):
        return {403}
    return let_in


def test_routes_that_ask_nobody_who_they_are_are_known() -> None:
    """So that none is open because its ``member`` or its guard was forgotten."""
    found = {
        f"{target.method} {target.template}"
        for service in SERVICES
        for target in targets(service)
        if target.door is Door.OPEN
    }
    assert found == OPEN


@pytest.mark.parametrize("service", SERVICES)
async def test_each_caller_is_answered_as_the_route_declares(stack: Stack, service: str) -> None:
    asked = list(targets(service))
    known = await callers(stack)
    turns = asyncio.Semaphore(AT_ONCE)
    transport = httpx.AsyncHTTPTransport(uds=str(stack.home / "run" / f"{service}.0.sock"))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", timeout=30
    ) as client:

        async def status(target: Target, caller: Caller) -> int:
            headers = caller.headers | {"Content-Type": "application/json"}
            async with turns:
                return (
                    await client.request(target.method, target.path, headers=headers)
                ).status_code

        async def differs(target: Target, who: str) -> tuple[str, ...] | None:
            found = await status(target, known[who])
            right = expected(target, known[who])
            return None if found in right else (who, target.method, target.template, f"{found}")

        first = next((one for one in asked if one.door in KNOWS_MEMBERS), None)
        if first is not None:
            # What was revoked is read every second.
            for who in ("a session that has ended", "a disabled account"):

                async def is_seen(target: Target = first, who: str = who) -> bool:
                    return await status(target, known[who]) == 401

                await eventually(is_seen)
        found = await asyncio.gather(
            *(
                differs(one, who)
                for one in asked
                for who in (FEW if one.door in {Door.OPEN, Door.CONSOLE} else known)
            )
        )
    assert [one for one in found if one is not None] == []
    assert asked


ELSEWHERE = {
    "announcement_id": "tests/services/websocket/notifications/test_announcements.py",
    "identifier": "of the console, which knows no members",
    "media_id": "tests/services/feed/test_media.py",
}
"""Ids that are not asked for here, and where they are, or why not."""

FIELDS: dict[str, Any] = {
    "name": "Mine",
    "text": "not mine",
    "client_id": "1",
    "seq": 1,
    "choices": [0],
    "reason": "spam",
}
"""Of bodies, which some routes look at before they look whose something is."""


async def test_what_belongs_to_a_member_is_out_of_reach_for_others(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    """Each route with an id: of a session, a conversation, or a post that only its author's followers see.

    What is not refused is answered as for an id of nothing: it concerns nobody but who asks.
    """
    owner, friend, other = [await join() for _ in range(3)]
    post = await owner.write("for my followers", visibility="followers")
    (session,) = (await owner.get("/api/auth/sessions")).json()["items"]
    answer = await owner.post(
        "/api/conversations", {"kind": "direct", "members": [friend.username]}
    )
    assert answer.status_code in {200, 201}, answer.text
    (passkey,) = await stack.sql(
        "INSERT INTO auth.passkeys (account_id, credential_id, public_key, sign_count, transports, name)"
        " VALUES ($1, $2, '', 0, '{}', 'Key') RETURNING id",
        owner.id,
        UUID(owner.id).bytes,
    )
    (export,) = await stack.sql(
        "INSERT INTO auth.exports (account_id, contributors, ready_at, expires_at, bytes)"
        " VALUES ($1, '{chitlaq_auth}', now(), now() + interval '1 day', 0) RETURNING id",
        owner.id,
    )
    draft = await owner.post("/api/users/me/drafts", {"post": {"text": "for nobody yet"}})
    await owner.get("/api/search/users?q=somebody")

    async def searched() -> str:
        items = (await owner.get("/api/search/history")).json()["items"]
        return items[0]["id"] if items else ""

    theirs = {
        "post_id": post["id"],
        "draft_id": draft.json()["id"],
        "quote_id": post["id"],
        "passkey_id": str(passkey["id"]),
        "export_id": str(export["id"]),
        "session_id": session["id"],
        "conversation_id": answer.json()["id"],
        "search_id": await eventually(searched),
    }
    found, asked = [], set[str]()
    for service in SERVICES:
        for target in targets(service):
            named = set(re.findall(r"\{(\w+)\}", target.template))
            if target.door not in KNOWS_MEMBERS or not named & theirs.keys():
                continue

            async def ask(ids: dict[str, str], target: Target = target) -> httpx.Response:
                path = target.template
                for name, value in (
                    VALUES | {"username": owner.username, "emoji": "👍"} | ids
                ).items():
                    path = path.replace(f"{{{name}}}", value)
                return await client.request(
                    target.method,
                    f"/api{path}",
                    headers=other.headers,
                    json={name: FIELDS[name] for name in target.fields},
                )

            answer = await ask(theirs)
            asked |= named & theirs.keys()
            if answer.status_code not in {403, 404}:
                # One takes one's own like back also from a post that one must not see any more.
                unknown = await ask(dict.fromkeys(theirs, str(uuid4())))
                if (answer.status_code, answer.content) != (unknown.status_code, unknown.content):
                    found.append((target.method, target.template, answer.status_code, answer.text))
    assert found == []
    assert asked == theirs.keys()
    assert theirs.keys() | ELSEWHERE.keys() == IDS, "a new id of a member's is asked for here, too"
