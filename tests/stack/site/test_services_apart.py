"""Two application nodes that run different services of one installation.

Attacks the promises that members notice nothing of where a service runs, and that a node which is away takes
nothing else with it.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.stack.site import certificates
from chitlaq.stack.site.nodes import Node, Site
from chitlaq.stack.supervisor import control
from tests.conftest import Stack, become_member, eventually, run_folder, start_stack, stop_stack
from tests.site_cluster import signal_family

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ADDRESSES = {"app1": "127.0.0.21", "app2": "127.0.0.22"}
TARGETS = {"app1": ("auth-service", "websocket"), "app2": ("feed-service", "search-service")}
SETTINGS = {
    "auth-service": "auth",
    "websocket": "websocket",
    "feed-service": "feed",
    "search-service": "search",
}
MOST_SECONDS = 20.0


@dataclass(frozen=True)
class Pair:
    """The first also has PostgreSQL and Valkey."""

    first: Stack
    second: Stack


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    nodes = {
        name: Node(address, ("application",), TARGETS[name]) for name, address in ADDRESSES.items()
    }
    site, folder = Site("", "", nodes), Path(tempfile.mkdtemp(prefix="site-", dir=run_folder()))
    folder.chmod(0o755)
    with ExitStack() as opened:
        made: dict[str, Stack] = {}
        for name in nodes:
            issued = certificates.ensure(site, folder / "made", name)
            stack = start_stack(CHITLAQ_HOST=ADDRESSES[name], CHITLAQ_TRUSTED_PROXIES="")
            opened.callback(stop_stack, stack)
            for file, text in (
                ("authority", issued.authority),
                ("certificate", issued.certificate),
            ):
                path = folder / f"{name}-{file}.pem"
                path.write_text(text)
                path.chmod(0o644)
                stack.environment[f"CHITLAQ_SITE_{file.upper()}"] = str(path)
            made[name] = stack
        first, second = made["app1"], made["app2"]
        for stack, other in ((first, "app2"), (second, "app1")):
            stack.environment["CHITLAQ_SITE_ELSEWHERE"] = ",".join(
                f"{service}@{ADDRESSES[other]}:{made[other].ports[SETTINGS[service]]}"
                for service in TARGETS[other]
            )
        first.up()
        copy_secrets(first, second)
        password = (first.home / "secrets" / "redis").read_text().strip()
        second.environment |= {
            "DATABASE_URL": first.dsn(),
            "REDIS_URL": f"redis://:{password}@127.0.0.1:{first.ports['redis']}/0",
            "CHITLAQ_PUBLIC_URL": first.issuer,
        }
        second.up()
        yield Pair(first, second)


def copy_secrets(first: Stack, second: Stack) -> None:
    there = second.home / "secrets"
    there.mkdir(mode=0o700)
    for path in (first.home / "secrets").iterdir():
        (there / path.name).write_bytes(path.read_bytes())
        (there / path.name).chmod(0o600)


def verdict(stack: Stack, check: str) -> tuple[str, str]:
    answer = stack.command("ops", "check", check, "--json")
    (found,) = json.loads(answer.stdout)["results"]
    return found["verdict"], found["summary"]


async def test_each_runs_its_own_and_members_notice_nothing(
    pair: Pair, name: Callable[[], str]
) -> None:
    for stack, own in ((pair.first, TARGETS["app1"]), (pair.second, TARGETS["app2"])):
        assert {*stack.ps()} & {*SETTINGS} == {*own}
    async with httpx.AsyncClient(timeout=20) as client:
        for stack in (pair.first, pair.second):
            health = (await client.get(f"{stack.gateway}/health")).json()
            assert health["status"] == "healthy", health
    async with (
        httpx.AsyncClient(base_url=pair.first.gateway, timeout=20) as one,
        httpx.AsyncClient(base_url=pair.second.gateway, timeout=20) as two,
    ):
        ada = await become_member(pair.first, one, name())
        ben = await become_member(pair.first, two, name())
        assert (await ben.put(f"/api/users/{ada.username}/follow")).status_code in {200, 204}
        await ada.write("hello from the first")
        # It was delivered by the second's job, and is read through the second.
        await eventually(lambda: _has(ben, "hello from the first"))
        assert (await ben.get("/api/auth/sessions")).status_code == 200
        assert (await ada.get("/api/conversations")).status_code == 200
        assert (await ada.get("/")).status_code == 200


async def _has(member: object, text: str) -> bool:
    return text in [one["text"] for one in await member.home()]  # type: ignore[attr-defined]


def test_checks_look_where_the_service_is(pair: Pair) -> None:
    for check in ("feed.health", "search.health", "websocket.metrics", "gateway.api"):
        for stack in (pair.first, pair.second):
            found, said = verdict(stack, check)
            assert found == "OK", (check, said)
    found, said = verdict(pair.first, "feed.log")
    assert "runs on other machines" in said, (found, said)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_node_that_is_away_takes_its_services_alone(
    pair: Pair, name: Callable[[], str], number: signal.Signals
) -> None:
    supervisor = control.supervisor_pid(Home(pair.second.home))
    assert supervisor is not None
    async with httpx.AsyncClient(base_url=pair.first.gateway, timeout=MOST_SECONDS) as client:
        ada = await become_member(pair.first, client, name())
        await ada.write("before")
        signal_family(psutil.Process(supervisor), number)
        try:
            began = time.monotonic()
            answer = await ada.get("/api/feed/home")
            assert answer.status_code == 503
            assert answer.json()["detail"].startswith("feed-service does not answer")
            print(f"{number.name}: refused after {time.monotonic() - began:.1f} s")
            assert (await ada.get("/api/auth/sessions")).status_code == 200
            assert (await ada.get("/api/conversations")).status_code == 200
            found, said = verdict(pair.first, "feed.health")
            assert (found, "no answer from where it runs" in said) == ("CRITICAL", True), said
        finally:
            if number == signal.SIGSTOP:
                signal_family(psutil.Process(supervisor), signal.SIGCONT)
            else:
                pair.second.up()

        async def is_back() -> bool:
            return (await ada.get("/api/feed/home")).status_code == 200

        began = time.monotonic()
        await eventually(is_back)
        print(f"{number.name}: back after {time.monotonic() - began:.1f} s")
        assert [one["text"] for one in await ada.home()] == ["before"]
