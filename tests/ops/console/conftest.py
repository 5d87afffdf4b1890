"""A console of which nothing else runs, and browsers of operators without a browser."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pyotp
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.console.access.operators import Operators
from tests.conftest import Stack
from tests.lone_service import lone_service

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def alone() -> Iterator[Stack]:
    with lone_service("ops-service", "ops") as stack:
        yield stack


@dataclass
class Visitor:
    """What a browser does: cookies, and forms with what their pages put into them."""

    client: httpx.AsyncClient
    form_token: str = ""

    async def get(self, path: str) -> httpx.Response:
        answer = await self.client.get(path)
        if found := re.search(r'name="form_token" value="([^"]+)"', answer.text):
            self.form_token = found[1]
        return answer

    async def send(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form as a page of the console does."""
        data = {"form_token": self.form_token, **fields} if self.form_token else fields
        return await self.client.post(
            path, data=data, headers={"Origin": str(self.client.base_url).rstrip("/")}
        )

    async def use_link(self, stack: Stack, operator: str = "ada") -> httpx.Response:
        link = stack.command("console", "--as", operator).stdout.split()[0]
        answer = await self.send("/ops/link", link=link.partition("token=")[2])
        await self.get("/ops/actions")
        return answer

    async def sign_in(self, name: str, code: str, password: str = PASSWORD) -> httpx.Response:
        return await self.send("/ops/sign-in", name=name, password=password, code=code)

    async def is_signed_in(self) -> bool:
        return (await self.get("/ops/audit")).status_code == 200


@pytest.fixture
async def visitor(alone: Stack) -> AsyncIterator[Callable[[], Visitor]]:
    """Somebody new at each call, with a browser of their own."""
    async with AsyncExitStack() as stack:

        def made() -> Visitor:
            client = httpx.AsyncClient(
                base_url=f"http://localhost:{alone.ports['ops']}", timeout=30
            )
            stack.push_async_callback(client.aclose)
            return Visitor(client)

        yield made


class Authenticator:
    """An operator's account, and the app that shows its codes."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.name = name
        found = Operators(Home(stack.home)).find(name)
        assert found
        self._totp = pyotp.TOTP(found.totp_secret)

    def code(self, steps: int = 0) -> str:
        """The code of now, or of some steps from now."""
        code: str = self._totp.at(int(time.time()), counter_offset=steps)
        return code


@pytest.fixture
def operator(alone: Stack, name: Callable[[], str]) -> Authenticator:
    """Somebody with an account."""
    added = alone.command("operators", "add", who := name(), input=f"{PASSWORD}\n")
    assert added.returncode == 0, added.stderr
    return Authenticator(alone, who)
