"""Single sign-on: members of a university sign in at its identity provider (OpenID Connect)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from chitlaq.core.http.cookies import ACCESS, REFRESH
from tests.conftest import Member, Stack, free_ports
from tests.openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    OpenIdProvider,
    listening,
)
from tests.services.auth.test_cookies import said, sent

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
        for name, found in said(answer).items():
            self.cookies[name] = found.value
            if found["max-age"] == "0":
                del self.cookies[name]
        return answer

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
        *("--second-factor", "mfa"),
    )
    return Campus(stack, provider, f"c-{mark}", domain)


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
    login = f"ada-{secrets.token_hex(3)}"
    email = campus.person(login, ou=["physics", "cs-7"], locale="tr-TR")
    url = await browser.begin(campus.name, "?return_to=/chat")
    asked = parse_qs(urlsplit(url).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["state"] != asked["nonce"]
    answer = await browser.get(await browser.at_provider(url))
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/chat"
    assert set(browser.cookies) == {ACCESS, REFRESH}
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
