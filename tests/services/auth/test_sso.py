"""Single sign-on: members of a university sign in at its identity provider (OpenID Connect)."""

from __future__ import annotations

import asyncio
import html
import json
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from chitlaq.core.http.cookies import ACCESS, DEVICE, REFRESH
from chitlaq.core.installation.secrets import Secrets
from chitlaq.services.auth.sso.state import SingleSignOn
from tests.conftest import PASSWORD, Member, Stack, eventually, free_ports
from tests.openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    DISCOVERY,
    JWKS,
    OpenIdProvider,
    listening,
    part,
)
from tests.services.auth.mailed import mails, sign_in
from tests.services.auth.test_cookies import OURS, said, sent
from tests.services.auth.test_factors import code_of, enroll, wrong
from tests.services.auth.test_passkeys import with_passkey

Join = Callable[..., Awaitable[Member]]
Name = Callable[[], str]

SSO_COOKIE = "__Secure-chitlaq-sso"


@dataclass
class Browser:
    """Somebody's browser, which keeps cookies and follows one redirect at a time."""

    web: httpx.AsyncClient
    stack: Stack
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, url: str) -> httpx.Response:
        """Open a page of ours, by whatever name of this machine."""
        parts = urlsplit(url)
        path = parts._replace(scheme="", netloc="").geturl()
        answer = await self.web.get(path, headers=sent(self.cookies, *self.cookies))
        self._keep(answer)
        return answer

    def _keep(self, answer: httpx.Response) -> None:
        for name, found in said(answer).items():
            self.cookies[name] = found.value
            if found["max-age"] == "0":
                del self.cookies[name]

    async def begin(self, name: str, query: str = "") -> str:
        """Return where the provider signs in."""
        answer = await self.get(f"/api/auth/sso/{name}{query}")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def at_provider(self, url: str) -> str:
        """Sign in there, and return where the provider sends the browser."""
        async with httpx.AsyncClient() as elsewhere:
            answer = await elsewhere.get(url)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def signed_in(self, name: str, query: str = "") -> httpx.Response:
        """Return our last answer of a whole sign-in."""
        return await self.get(await self.at_provider(await self.begin(name, query)))

    async def send_code(self, name: str, code: str, **headers: str) -> httpx.Response:
        """Type the code of a second factor into our page."""
        sending = sent(self.cookies, *self.cookies) | (headers or OURS)
        path = f"/api/auth/sso/{name}/code"
        answer = await self.web.post(path, data={"code": code}, headers=sending)
        self._keep(answer)
        return answer

    async def me(self) -> dict[str, Any]:
        answer = await self.web.get("/api/users/me", headers=sent(self.cookies, ACCESS))
        assert answer.status_code == 200, answer.text
        profile: dict[str, Any] = answer.json()
        return profile


@dataclass
class Campus:
    """A university with its identity provider."""

    stack: Stack
    provider: OpenIdProvider
    name: str
    domain: str

    def person(self, login: str = "", **claims: Any) -> str:
        """Let a new person sign in next; return their address."""
        login = login or f"p{secrets.token_hex(4)}"
        email = f"{login}@{self.domain}"
        self.provider.people[login] = {
            "email": email,
            "email_verified": True,
            "name": "Ada Lovelace",
            "preferred_username": login,
            **claims,
        }
        self.provider.user = login
        return email


def add(
    stack: Stack, folder: Path, provider: OpenIdProvider, name: str, domain: str, *options: str
) -> None:
    file = folder / "secret"
    file.write_text(f"{CLIENT_SECRET}\n")
    answer = stack.command(
        *("sso", "add", name, "--university", domain, "--issuer", provider.issuer),
        *("--client-id", CLIENT_ID, "--secret-file", str(file), "--title", f"Campus {name}"),
        *options,
    )
    assert answer.returncode == 0, answer.stderr
    redirect_uri = f"{stack.issuer}/api/auth/sso/{name}/callback"
    assert redirect_uri in answer.stdout
    assert CLIENT_SECRET not in answer.stdout
    provider.register(redirect_uri)


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with listening(free_ports(1)[0]) as found:
        yield found


@pytest.fixture(scope="module")
async def campus(
    stack: Stack, provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory
) -> Campus:
    mark = secrets.token_hex(3)
    domain = f"{mark}.example"
    await stack.add_university(f"University {mark}", domain)
    add(
        *(stack, tmp_path_factory.mktemp("sso"), provider, f"c-{mark}", domain),
        *("--department", "ou=law-*=Law", "--department", "ou=cs-*=Computer Science"),
        *("--role", "realm_access.roles=chat-*=moderator", "--second-factor", "mfa"),
    )
    return Campus(stack, provider, f"c-{mark}", domain)


@pytest.fixture(scope="module", autouse=True)
async def no_provider_stays(stack: Stack) -> AsyncIterator[None]:
    """Each sign-in page of later tests would offer them."""
    yield
    await stack.sql("DELETE FROM auth.identity_providers")


@pytest.fixture(autouse=True)
def healthy(provider: OpenIdProvider) -> Iterator[None]:
    yield
    provider.faults.clear()


@pytest.fixture
async def browser(stack: Stack) -> Any:
    async with httpx.AsyncClient(base_url=stack.edge, timeout=30) as web:
        yield Browser(web, stack)


async def test_member_signs_in_at_the_provider_with_the_first_visit_and_later(
    campus: Campus, browser: Browser
) -> None:
    login = "ada-d208a2"  # base64 of a text, which the provider must not take it for
    email = campus.person(login, ou=["physics", "cs-7"], locale="tr-TR")
    url = await browser.begin(campus.name, "?return_to=/chat")
    asked = parse_qs(urlsplit(url).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["state"] != asked["nonce"]
    answer = await browser.get(await browser.at_provider(url))
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/chat"
    assert set(browser.cookies) == {ACCESS, DEVICE, REFRESH}
    me = await browser.me()
    assert me["username"] == login.replace("-", "_")
    assert me["display_name"] == "Ada Lovelace"
    assert me["department"] == "Computer Science"
    (row,) = await campus.stack.sql(
        "SELECT email, password_hash, language FROM auth.accounts WHERE username = $1",
        me["username"],
    )
    assert tuple(row) == (email, None, "tr")
    campus.provider.people[login]["email"] = f"new-{email}"
    assert (await browser.signed_in(campus.name)).headers["location"] == "/"
    assert (await browser.me())["id"] == me["id"]


async def test_sign_in_page_lists_the_providers_that_sign_in(
    campus: Campus, stack: Stack, client: httpx.AsyncClient
) -> None:
    async def names() -> list[str]:
        items = (await client.get("/api/auth/sso")).json()["items"]
        return [one["name"] for one in items]

    assert campus.name in await names()
    for word, is_listed in (("disable", False), ("enable", True)):
        assert stack.command("sso", word, campus.name).returncode == 0
        assert (campus.name in await names()) == is_listed
        answer = await client.get(f"/api/auth/sso/{campus.name}")
        assert answer.status_code == (303 if is_listed else 404)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "/a\\b",
        "\\\\evil.example",
        "javascript:alert(1)",
        "home",
        "",
        "/a\r\nSet-Cookie: x=y",
        "/\t/evil.example",
        "/" + "a" * 500,
    ],
)
async def test_nobody_is_redirected_to_another_site(
    campus: Campus, client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(f"/api/auth/sso/{campus.name}", params={"return_to": path})
    assert answer.status_code == 422, answer.headers
    assert "location" not in answer.headers


async def test_existing_account_is_linked_and_its_owner_is_told(
    campus: Campus, browser: Browser, join: Join
) -> None:
    member = await join(campus.domain)
    campus.person(member.email.partition("@")[0], preferred_username="another")
    answer = await browser.signed_in(campus.name)
    assert answer.status_code == 303, answer.text
    assert (await browser.me())["id"] == member.id
    (entry,) = [
        one
        for one in (await member.get("/api/auth/audit")).json()["items"]
        if one["action"] == "identity_linked"
    ]
    assert entry["detail"] == {"provider": campus.name}
    told = campus.stack.json("mail", "list", "--to", member.email)
    assert any(f"Campus {campus.name}" in mail["subject"] for mail in told)
    await browser.signed_in(campus.name)
    log = (await member.get("/api/auth/audit")).json()["items"]
    assert len([one for one in log if one["action"] == "identity_linked"]) == 1
    signed_in = await browser.web.post(
        "/api/auth/login", json={"login": member.username, "password": PASSWORD}
    )
    assert signed_in.status_code == 200


async def test_address_that_was_given_to_somebody_else_opens_nothing(
    campus: Campus, browser: Browser
) -> None:
    email = campus.person()
    await browser.signed_in(campus.name)
    first = await browser.me()
    campus.person(email=email)
    answer = await browser.signed_in(campus.name)
    assert answer.status_code == 403
    assert "somebody else" in answer.text
    assert campus.stack.command("sso", "unlink", campus.name, email).returncode == 0
    assert (await browser.signed_in(campus.name)).status_code == 303
    assert (await browser.me())["id"] == first["id"]
    again = campus.stack.command("sso", "unlink", campus.name, "nobody@example.edu")
    assert "nobody" in again.stderr


async def test_provider_signs_in_nobody_of_another_university(
    campus: Campus, browser: Browser, join: Join
) -> None:
    other = await join("example.edu")
    campus.person(email=other.email)
    for _ in range(2):
        answer = await browser.signed_in(campus.name)
        assert answer.status_code == 403
        assert "another" in answer.text
    campus.person(email=f"x@{secrets.token_hex(4)}.example")
    assert (await browser.signed_in(campus.name)).status_code == 403
    assert not browser.cookies


@pytest.mark.parametrize("said", [False, None, "no", 0, [True]])
async def test_address_that_is_not_verified_is_nobodys(
    campus: Campus, browser: Browser, said: object
) -> None:
    email = campus.person(email_verified=said)
    answer = await browser.signed_in(campus.name)
    assert answer.status_code == 403
    assert not await campus.stack.sql("SELECT FROM auth.accounts WHERE email = $1", email)


async def test_first_sign_ins_of_one_person_at_once_make_one_account(
    campus: Campus, browser: Browser, stack: Stack
) -> None:
    email = campus.person()
    browsers = [browser, *(Browser(browser.web, stack) for _ in range(4))]
    back = [await one.at_provider(await one.begin(campus.name)) for one in browsers]
    answers = await asyncio.gather(*(one.get(url) for one, url in zip(browsers, back, strict=True)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({(await one.me())["id"] for one in browsers}) == 1
    assert len(await stack.sql("SELECT FROM auth.accounts WHERE email = $1", email)) == 1


async def test_names_that_are_taken_or_not_allowed_get_another(
    campus: Campus, browser: Browser
) -> None:
    wanted = f"Ünal.{secrets.token_hex(2)}"
    found = []
    for name in (wanted, wanted.upper(), "admin", "x", "\u202e\u202e\u202e", ""):
        campus.person(preferred_username=name, name=f"{name}\u200b")
        assert (await browser.signed_in(campus.name)).status_code == 303
        found.append((await browser.me())["username"])
    plain = wanted.lower().replace("ü", "u").replace(".", "_")
    assert found[:2] == [plain, f"{plain}_2"]
    assert all(name.startswith("p") for name in found[2:])


def resigned(**claims: Any) -> Callable[[OpenIdProvider, bytes], bytes]:
    return lambda provider, answer: provider.resigned(answer, {}, **claims)


def unsigned(provider: OpenIdProvider, answer: bytes) -> bytes:
    tokens = json.loads(answer)
    claims = tokens["id_token"].split(".")[1]
    tokens["id_token"] = f"eyJhbGciOiJub25lIn0.{claims}."
    return json.dumps(tokens).encode()


def signed_with_the_clients_secret(provider: OpenIdProvider, answer: bytes) -> bytes:
    tokens = json.loads(answer)
    key = OctKey.import_key(CLIENT_SECRET)
    tokens["id_token"] = jwt.encode({"alg": "HS256"}, part(tokens["id_token"], 1), key)
    return json.dumps(tokens).encode()


def signed_by_another(provider: OpenIdProvider, answer: bytes) -> bytes:
    tokens = json.loads(answer)
    header, claims = part(tokens["id_token"], 0), part(tokens["id_token"], 1)
    tokens["id_token"] = jwt.encode(header, claims, RSAKey.generate_key(2048))
    return json.dumps(tokens).encode()


LONG_AGO, SOON = 1_000_000_000, 4_000_000_000
UNTRUSTED: dict[str, Callable[[OpenIdProvider, bytes], bytes]] = {
    "nonce of another": resigned(nonce="another"),
    "no nonce": resigned(nonce=None),
    "another audience": resigned(aud="another"),
    "for another party": resigned(aud=[CLIENT_ID, "another"], azp="another"),
    "another issuer": resigned(iss="https://evil.example"),
    "expired": resigned(exp=LONG_AGO),
    "never expires": resigned(exp=None),
    "from the future": resigned(iat=SOON, exp=SOON),
    "of nobody": resigned(sub=None),
    "of nobody's text": resigned(sub=""),
    "subject that is no text": resigned(sub=7),
    "subject that no text can be": resigned(sub="\ud800"),
    "nested too deeply": lambda provider, answer: provider.signed(answer, b"[" * 50_000),
    "alg none": unsigned,
    "client's secret": signed_with_the_clients_secret,
    "another key": signed_by_another,
    "no ID token": lambda _, answer: b'{"access_token": "x"}',
    "no token": lambda _, answer: b'{"id_token": "x.y.z"}',
    "garbage": lambda _, answer: b"<html>Please sign in</html>",
    "deep": lambda _, answer: b"[" * 100_000,
}


@pytest.mark.parametrize("fault", UNTRUSTED)
async def test_token_that_cannot_be_trusted_signs_nobody_in(
    campus: Campus, browser: Browser, fault: str
) -> None:
    email = campus.person()
    provider = campus.provider
    provider.faults["/token"] = lambda answer: UNTRUSTED[fault](provider, answer)
    answer = await browser.signed_in(campus.name)
    assert answer.status_code == 502, answer.text
    assert "cannot be trusted" in answer.text
    assert not browser.cookies
    assert not await campus.stack.sql("SELECT FROM auth.accounts WHERE email = $1", email)


async def test_answer_works_once_and_in_the_browser_that_began(
    campus: Campus, browser: Browser, stack: Stack
) -> None:
    campus.person()
    back = await browser.at_provider(await browser.begin(campus.name))
    begun = dict(browser.cookies)
    thief = Browser(browser.web, stack)
    assert (await thief.get(back)).status_code == 400
    await thief.begin(campus.name)
    assert (await thief.get(back)).status_code == 400
    assert not thief.cookies
    for query in ("state=another&code=x", "code=x", "state=&code=x", ""):
        guessed = Browser(browser.web, stack, dict(begun))
        answer = await guessed.get(f"/api/auth/sso/{campus.name}/callback?{query}")
        assert answer.status_code == 400
    assert (await browser.get(back)).status_code == 303
    assert (await browser.get(back)).status_code == 400
    replayed = Browser(browser.web, stack, begun)
    assert (await replayed.get(back)).status_code == 400
    assert not replayed.cookies


async def test_sign_in_that_takes_over_ten_minutes_begins_again(
    campus: Campus, browser: Browser, stack: Stack
) -> None:
    campus.person()
    back = await browser.at_provider(await browser.begin(campus.name))
    attempts = SingleSignOn.begun(Secrets(stack.home / "secrets").sealing_key).at_provider
    ((provider_id,),) = await stack.sql(
        "SELECT id FROM auth.identity_providers WHERE name = $1", campus.name
    )
    sealed = urlsafe_b64decode(browser.cookies[SSO_COOKIE])
    attempt = json.loads(attempts.opened(sealed, provider_id))
    attempt["begun_at"] -= 601
    old = attempts.sealed(json.dumps(attempt), provider_id)
    browser.cookies[SSO_COOKIE] = urlsafe_b64encode(old).decode()
    assert (await browser.get(back)).status_code == 400


async def test_who_declines_at_the_provider_is_told_so(campus: Campus, browser: Browser) -> None:
    url = await browser.begin(campus.name)
    state = parse_qs(urlsplit(url).query)["state"][0]
    query = f"error=access_denied&error_description=<script>&state={state}"
    answer = await browser.get(f"/api/auth/sso/{campus.name}/callback?{query}")
    assert answer.status_code == 403
    assert "<script" not in answer.text


async def test_answer_of_another_issuer_is_refused(campus: Campus, browser: Browser) -> None:
    campus.person()
    back = await browser.at_provider(await browser.begin(campus.name))
    mixed = back.replace(quote(campus.provider.issuer, ""), quote("https://evil.example", ""))
    assert mixed != back
    assert (await browser.get(mixed)).status_code == 502


async def test_answer_of_no_issuer_is_refused_if_its_provider_always_says_it(
    campus: Campus, browser: Browser, stack: Stack
) -> None:
    async def status() -> int:
        campus.person()
        stack.json("sso", "test", campus.name)  # reads what it publishes anew
        parts = urlsplit(await browser.at_provider(await browser.begin(campus.name)))
        query = "&".join(one for one in parts.query.split("&") if not one.startswith("iss="))
        return (await browser.get(parts._replace(query=query).geturl())).status_code

    announced = b'"authorization_response_iss_parameter_supported": true, "issuer": '
    campus.provider.faults[DISCOVERY] = lambda answer: answer.replace(b'"issuer": ', announced)
    assert await status() == 502
    del campus.provider.faults[DISCOVERY]
    assert await status() == 303


async def test_rotated_key_is_found(campus: Campus, browser: Browser) -> None:
    campus.person()
    assert (await browser.signed_in(campus.name)).status_code == 303
    campus.provider.rotate_keys()

    async def is_signed_in() -> bool:
        return (await browser.signed_in(campus.name)).status_code == 303

    await eventually(is_signed_in)


async def test_what_is_not_in_the_id_token_is_asked_for(campus: Campus, browser: Browser) -> None:
    email = campus.person()
    provider = campus.provider
    provider.faults["/token"] = lambda answer: provider.resigned(answer, {}, email=None)
    provider.faults["/userinfo"] = lambda answer: answer.replace(b'"sub": "', b'"sub": "x')
    assert (await browser.signed_in(campus.name)).status_code == 502
    del provider.faults["/userinfo"]
    assert (await browser.signed_in(campus.name)).status_code == 303
    assert await campus.stack.sql("SELECT FROM auth.accounts WHERE email = $1", email)


async def test_second_factor_of_the_provider_counts_as_configured(
    campus: Campus, browser: Browser
) -> None:
    campus.person()
    provider = campus.provider
    for methods, kept in ((["pwd"], ["sso"]), (["pwd", "mfa"], ["sso", "mfa"])):
        provider.faults["/token"] = partial(provider.resigned, header={}, amr=methods)
        await browser.signed_in(campus.name)
        answer = await browser.web.get("/api/auth/sessions", headers=sent(browser.cookies, ACCESS))
        assert answer.json()["items"][0]["methods"] == kept


async def test_second_factor_of_the_account_is_asked_for_unless_the_provider_had_one(
    campus: Campus, browser: Browser, join: Join
) -> None:
    member = await join(campus.domain)
    app, recovery_codes = await enroll(member)
    campus.person(member.email.partition("@")[0])
    answer = await browser.signed_in(campus.name, "?return_to=/chat")
    assert answer.status_code == 200
    assert 'name="code"' in answer.text
    assert set(browser.cookies) == {SSO_COOKIE}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        guess = Browser(browser.web, campus.stack, dict(browser.cookies))
        refused = await guess.send_code(campus.name, code_of(app), **headers)
        assert refused.status_code == 403
        assert ACCESS not in guess.cookies
    for code in (wrong(app), "", "a" * 100, "\x00"):
        refused = await browser.send_code(campus.name, code)
        assert refused.status_code == 401, refused.text
        assert set(browser.cookies) == {SSO_COOKIE}
    nobody = Browser(browser.web, campus.stack)
    assert (await nobody.send_code(campus.name, code_of(app))).status_code == 400
    answer = await browser.send_code(campus.name, recovery_codes[0])
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/chat"
    assert (await browser.me())["id"] == member.id
    headers = sent(browser.cookies, ACCESS) | OURS
    answer = await browser.web.get("/api/auth/sessions", headers=headers)
    assert answer.json()["items"][0]["methods"] == ["sso", "recovery_code"]
    answer = await browser.web.post("/api/auth/sso/logout", headers=headers)
    assert answer.json()["location"].startswith(f"{campus.provider.issuer}/end_session?client_id=")
    provider = campus.provider
    provider.faults["/token"] = lambda answer: provider.resigned(answer, {}, amr=["mfa"])
    assert (await browser.signed_in(campus.name)).status_code == 303


async def test_passkey_is_a_second_factor_after_the_provider(
    campus: Campus, browser: Browser, join: Join
) -> None:
    member, other = await join(campus.domain), await join()
    made = await with_passkey(campus.stack, member)
    theirs = await with_passkey(campus.stack, other)
    campus.person(member.email.partition("@")[0])

    async def send(text: str) -> httpx.Response:
        headers = sent(browser.cookies, *browser.cookies) | OURS
        path = f"/api/auth/sso/{campus.name}/code"
        return await browser.web.post(path, data={"passkey": text}, headers=headers)

    page = await browser.signed_in(campus.name, "?return_to=/chat")
    for text in ("", "garbage", '{"x":' * 1_100, json.dumps(theirs.get(asked_on(page)))):
        page = await send(text)
        assert page.status_code == 401, text
    signed = json.dumps(made.get(asked_on(page)))
    answer = await send(signed)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/chat"
    token = said(answer)[ACCESS].value
    listed = await browser.web.get("/api/auth/sessions", headers={"Cookie": f"{ACCESS}={token}"})
    assert listed.json()["items"][0]["methods"] == ["sso", "passkey"]
    assert (await send(signed)).status_code == 401


def asked_on(page: httpx.Response) -> Any:
    """What our page asks a passkey to sign."""
    found = re.search('data-options="([^"]+)"', page.text)
    assert found, page.text
    return json.loads(html.unescape(found[1]))


async def test_who_was_unlinked_meanwhile_is_not_signed_in_by_a_code(
    campus: Campus, browser: Browser, join: Join
) -> None:
    member = await join(campus.domain)
    app, _ = await enroll(member)
    campus.person(member.email.partition("@")[0])
    assert (await browser.signed_in(campus.name)).status_code == 200
    assert campus.stack.command("sso", "unlink", campus.name, member.email).returncode == 0
    assert (await browser.send_code(campus.name, code_of(app))).status_code == 400


async def test_who_signed_in_at_the_provider_long_ago_proves_it_again_for_what_is_dangerous(
    campus: Campus, browser: Browser
) -> None:
    campus.person()
    provider = campus.provider

    def proved(seconds_ago: float | None) -> None:
        at = None if seconds_ago is None else int(time.time() - seconds_ago)
        provider.faults["/token"] = partial(provider.resigned, header={}, auth_time=at)

    async def enrollment() -> int:
        headers = sent(browser.cookies, ACCESS) | OURS
        return (await browser.web.post("/api/auth/totp/enroll", headers=headers)).status_code

    proved(3600)
    assert (await browser.signed_in(campus.name)).status_code == 303
    assert await enrollment() == 403
    for seconds_ago in (3600, None):
        proved(seconds_ago)
        assert (await browser.signed_in(campus.name, "?prove=true")).status_code == 502
    assert await enrollment() == 403
    proved(0)
    url = await browser.begin(campus.name, "?prove=true&return_to=/settings")
    asked = parse_qs(urlsplit(url).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    answer = await browser.get(await browser.at_provider(url))
    assert answer.headers["location"] == "/settings"
    assert await enrollment() == 200


async def test_provider_gives_and_takes_the_roles_of_its_rules_alone(
    campus: Campus, browser: Browser, stack: Stack
) -> None:
    email = campus.person(realm_access={"roles": ["chat-team", "x"]})
    await browser.signed_in(campus.name)
    username = (await browser.me())["username"]
    assert stack.command("users", "grant", username, "admin").returncode == 0

    async def roles() -> list[str]:
        await browser.signed_in(campus.name)
        token = browser.cookies[ACCESS]
        found: list[str] = part(token, 1)["roles"]
        return found

    assert await roles() == ["member", "moderator", "admin"]
    campus.provider.people[email.partition("@")[0]]["realm_access"] = {"roles": "nothing"}
    assert await roles() == ["member", "admin"]
    headers = sent(browser.cookies, ACCESS)
    log = (await browser.web.get("/api/auth/audit", headers=headers)).json()["items"]
    assert [
        (one["action"], one["detail"].get("provider"))
        for one in log
        if one["action"].startswith("role")
    ] == [("role_revoked", campus.name), ("role_granted", None), ("role_granted", campus.name)]


async def test_provider_of_a_university_that_a_member_leaves_takes_its_roles_and_signs_in_no_more(
    campus: Campus, browser: Browser, stack: Stack, join: Join, name: Name
) -> None:
    member = await join(campus.domain)
    login = member.email.partition("@")[0]
    campus.person(login, realm_access={"roles": ["chat-team"]})
    await browser.signed_in(campus.name)
    assert part(browser.cookies[ACCESS], 1)["roles"] == ["member", "moderator"]
    assert stack.command("users", "grant", member.username, "admin").returncode == 0
    answer = await sign_in(member.client, member.username, PASSWORD)
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    elsewhere = f"{name()}@example.edu"
    body = {"email": elsewhere, "password": PASSWORD}
    asked = await member.client.post("/api/auth/email/change", json=body, headers=headers)
    assert asked.status_code == 202, asked.text
    body = {"token": (await mails(stack, elsewhere))[-1][1]}
    assert (await member.client.post("/api/auth/email/confirm", json=body)).status_code == 204
    answer = await sign_in(member.client, member.username, PASSWORD)
    token = answer.json()["access_token"]
    assert part(token, 1)["roles"] == ["member", "admin"]
    log = await member.client.get("/api/auth/audit", headers={"Authorization": f"Bearer {token}"})
    taken = [one for one in log.json()["items"] if "provider" in one["detail"]]
    assert [one["action"] for one in taken[:2]] == ["role_revoked", "identity_unlinked"]
    await browser.signed_in(campus.name)
    assert (await browser.me())["id"] != member.id, "whoever has the old address now"


async def test_disabled_account_is_not_signed_in(
    campus: Campus, browser: Browser, stack: Stack
) -> None:
    campus.person()
    await browser.signed_in(campus.name)
    username = (await browser.me())["username"]
    words = ("users", "disable", username, "--reason", "left", "--yes")
    assert stack.command(*words).returncode == 0
    answer = await browser.signed_in(campus.name)
    assert answer.status_code == 403
    assert "disabled" in answer.text


async def test_signing_out_leads_to_the_provider(campus: Campus, browser: Browser) -> None:
    campus.person()
    await browser.signed_in(campus.name)
    headers = sent(browser.cookies, ACCESS) | OURS
    answer = await browser.web.post("/api/auth/sso/logout", headers=headers)
    assert answer.status_code == 200, answer.text
    url = answer.json()["location"]
    assert url.startswith(f"{campus.provider.issuer}/end_session?")
    asked = parse_qs(urlsplit(url).query)
    assert part(asked["id_token_hint"][0], 1)["aud"] == [CLIENT_ID]
    assert asked["post_logout_redirect_uri"] == [f"{campus.stack.issuer}/"]
    assert {one["max-age"] for one in said(answer).values()} == {"0"}
    assert (await browser.web.post("/api/auth/sso/logout", headers=headers)).status_code == 401

    async def has_ended() -> bool:
        return (await browser.web.get("/api/users/me", headers=headers)).status_code == 401

    await eventually(has_ended)


async def test_signing_out_of_a_password_session_stays_here(join: Join) -> None:
    member = await join()
    answer = await member.post("/api/auth/sso/logout")
    assert answer.json() == {"location": "/"}
    assert (await member.post("/api/auth/sso/logout")).status_code == 401


async def test_provider_that_is_down_slow_or_broken_keeps_nobody_waiting(
    stack: Stack, tmp_path: Path, campus: Campus, browser: Browser
) -> None:
    (port,) = free_ports(1)
    name = f"down-{port}"
    with listening(port) as provider:
        add(stack, tmp_path, provider, name, campus.domain)
        campus = Campus(stack, provider, name, campus.domain)
        campus.person()
        url = await browser.begin(name)
        for path, fault, status in (
            ("/token", lambda _: b"x" * 2_000_000, 503),
            (JWKS, lambda _: b'{"keys": []}', 502),
            (JWKS, lambda answer: answer.replace(b"kty", b"kyt"), 502),
            ("/token", lambda answer: bytes(provider.is_over.wait(20)) + answer, 503),
        ):
            provider.faults = {path: fault}
            url = await browser.begin(name)
            answer = await browser.get(await browser.at_provider(url))
            assert answer.status_code == status, (path, answer.text)
        provider.faults = {}
        back = await browser.at_provider(await browser.begin(name))
    answer = await browser.get(back)
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert answer.headers["retry-after"]
    failed = stack.command("sso", "test", name)
    assert failed.returncode == 1
    assert "refused" in failed.stderr.lower()


async def test_operator_sees_what_a_provider_publishes_and_what_is_wrong_with_it(
    stack: Stack, tmp_path: Path, campus: Campus
) -> None:
    (port,) = free_ports(1)
    name = f"odd-{port}"
    with listening(port) as provider:
        add(stack, tmp_path, provider, name, campus.domain)
        found = stack.json("sso", "test", name)
        assert found["authorization_endpoint"] == f"{provider.issuer}/authorization"
        assert "code_challenge_method=S256" in found["asks"]
        assert CLIENT_SECRET not in json.dumps(found)
        own = provider.issuer.encode()
        for fault, why in (
            (lambda answer: answer.replace(b'"issuer": "', b'"issuer": "x'), "another issuer"),
            (
                lambda answer: answer.replace(
                    b'"jwks_uri": "' + own, b'"jwks_uri": "http://localhost:%d' % port
                ),
                "private address",
            ),
            (
                lambda answer: answer.replace(
                    b'"authorization_endpoint": "http:', b'"authorization_endpoint": "javascript:'
                ),
                "authorization_endpoint must",
            ),
            (lambda answer: answer.replace(b"token_endpoint", b"token_endpunkt"), "token_endpoint"),
            (lambda answer: b"garbage", "cannot be read"),
        ):
            provider.faults[DISCOVERY] = fault
            failed = stack.command("sso", "test", name)
            assert failed.returncode == 1
            assert why in failed.stderr
        provider.faults = {JWKS: lambda _: b'{"keys": [{"kty": []}, {"kty": "RSA", "n": 5}]}'}
        assert "no key that signs" in stack.command("sso", "test", name).stderr


async def test_client_secret_is_encrypted_and_shown_nowhere(campus: Campus, stack: Stack) -> None:
    ((sealed,),) = await stack.sql(
        "SELECT sealed_secret FROM auth.identity_providers WHERE name = $1", campus.name
    )
    assert CLIENT_SECRET.encode() not in sealed
    (listed,) = [one for one in stack.json("sso", "list") if one["name"] == campus.name]
    assert CLIENT_SECRET not in json.dumps(listed)
    assert [rule["value"] for rule in listed["rules"]] == ["Law", "Computer Science", "moderator"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--university", "nowhere.example"), "is not known"),
        (("--issuer", "http://login.example.edu"), "https://"),
        (("--issuer", "https://login.example.edu?x=y"), "query"),
        (("--issuer", "login"), "URL"),
        (("--role", "groups=x=operator"), "may give the roles"),
        (("--department", "ou=x"), "no rule"),
        (("--secret-file", "/nowhere"), "cannot be read"),
    ],
)
async def test_provider_that_cannot_be_right_is_refused(
    campus: Campus, stack: Stack, tmp_path: Path, options: tuple[str, str], why: str
) -> None:
    file = tmp_path / "secret"
    file.write_text("secret")
    given = {
        "--university": campus.domain,
        "--issuer": "https://login.example.edu",
        "--client-id": "chitlaq",
        "--secret-file": str(file),
    }
    given[options[0]] = options[1]
    answer = stack.command("sso", "add", "odd", *(word for pair in given.items() for word in pair))
    assert answer.returncode != 0
    assert why in answer.stderr
    assert not [one for one in stack.json("sso", "list") if one["name"] == "odd"]


async def test_removed_provider_leaves_accounts_and_sessions(
    stack: Stack, tmp_path: Path, campus: Campus, browser: Browser
) -> None:
    name = f"gone-{secrets.token_hex(3)}"
    add(stack, tmp_path, campus.provider, name, campus.domain)
    campus.person()
    assert (await browser.signed_in(name)).status_code == 303
    assert "--yes" in stack.command("sso", "remove", name).stderr
    assert stack.command("sso", "remove", name, "--yes", "--as", "grace").returncode == 0
    done = stack.json("ops", "actions", "--limit", "1000")
    recorded = [(one["action"], one["operator"]) for one in done if name in one["target"]]
    assert recorded[0] == ("sso remove", "grace")
    assert "sso add" in dict(recorded)
    me = await browser.me()
    assert me["display_name"] == "Ada Lovelace"
    (unlinked, *_) = stack.json("audit", "--user", me["username"])
    assert (unlinked["action"], unlinked["operator"]) == ("identity_unlinked", "grace")
    answer = await browser.get(f"/api/auth/sso/{name}")
    assert answer.status_code == 404
    headers = sent(browser.cookies, ACCESS) | OURS
    answer = await browser.web.post("/api/auth/sso/logout", headers=headers)
    assert answer.json() == {"location": "/"}
