"""Attempts to sign in: limits that hold without Valkey, pauses that lock no owner out, one line of each."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import itertools
import json
import re
import secrets
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from chitlaq.core.http.cookies import DEVICE
from tests.conftest import PASSWORD, Member, Stack, eventually
from tests.debian_programs import unpacked

Join = Callable[[], Awaitable[Member]]
OURS = {"Sec-Fetch-Site": "same-origin"}
ROOT = Path(__file__).parents[3]
NETWORKS = itertools.count(secrets.randbelow(2**30) << 8)


def network() -> str:
    """An IPv6 site that no other test uses, as an address that nginx would name."""
    return str(ipaddress.IPv6Address((0x20010DB8 << 96) | (next(NETWORKS) << 80) % (1 << 96)))


class Service:
    """auth-service, asked as nginx asks it, from any address."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def sign_in(
        self, login: str, password: str, address: str, **headers: str
    ) -> httpx.Response:
        known = {"X-Limited-Address": address, "X-Real-IP": address, **headers}
        body: dict[str, object] = {"login": login, "password": password}
        if "Sec-Fetch-Site" in headers:
            body["cookies"] = True
        return await self.client.post("/auth/login", json=body, headers=known)

    async def guess(self, login: str, address: str, times: int = 8) -> Counter[int]:
        answers = [await self.sign_in(login, "a wrong guess", address) for _ in range(times)]
        return Counter(answer.status_code for answer in answers)


@pytest.fixture
async def service(stack: Stack) -> AsyncIterator[Service]:
    transport = httpx.AsyncHTTPTransport(uds=str(stack.home / "run" / "auth-service.0.sock"))
    async with httpx.AsyncClient(base_url="http://auth", transport=transport, timeout=60) as client:
        yield Service(client)


async def test_guessing_is_slowed_down_for_a_name_that_exists_and_one_that_does_not(
    stack: Stack, service: Service, join: Join
) -> None:
    member = await join()
    nobody = f"nobody_{secrets.token_hex(4)}"
    for name in (member.username, member.email, nobody, f"{nobody}@example.edu"):
        found = [await service.sign_in(name, "wrong", network()) for _ in range(6)]
        assert [one.status_code for one in found] == [401] * 5 + [429], name
        assert found[-1].headers["retry-after"] == "1"
        assert found[-1].headers["x-hit-limit"] == "login"
    assert len({one.json()["detail"] for one in found[:5]}) == 1


async def test_pause_grows_to_a_quarter_of_an_hour_and_is_forgotten_after_a_day(
    stack: Stack, service: Service
) -> None:
    name = f"nobody_{secrets.token_hex(4)}"
    name_hash = hashlib.sha256(name.encode()).digest()
    pauses = []
    for _ in range(17):
        assert (await service.sign_in(name, "wrong", network())).status_code == 401
        (row,) = await stack.sql(
            "UPDATE auth.attempts SET next_at = now() WHERE name_hash = $1"
            " RETURNING extract(epoch FROM auth.pause(failures))::int AS pause",
            name_hash,
        )
        pauses.append(row["pause"])
    assert pauses == [0] * 4 + [2**n for n in range(10)] + [900] * 3
    await stack.sql(
        "UPDATE auth.attempts SET last_at = now() - interval '25 hours' WHERE name_hash = $1",
        name_hash,
    )
    assert await service.guess(name, network(), 2) == {401: 2}


async def test_attempts_at_once_are_counted_before_they_are_judged(service: Service) -> None:
    name = f"nobody_{secrets.token_hex(4)}"
    answers = await asyncio.gather(*(service.sign_in(name, "wrong", network()) for _ in range(20)))
    assert Counter(one.status_code for one in answers)[401] <= 6


async def test_owner_gets_in_while_strangers_guess(
    stack: Stack, service: Service, join: Join
) -> None:
    member, home, stranger = await join(), network(), network()
    browser = await service.sign_in(member.username, PASSWORD, home, **OURS)
    cookie = {"Cookie": f"{DEVICE}={browser.cookies[DEVICE]}"}
    for _ in range(3):
        assert (await service.guess(member.username, stranger))[429] > 0
        # The device, wherever it is; and whoever signs in from where people did before.
        for address, headers in ((network(), cookie), (home, {})):
            answer = await service.sign_in(member.username, PASSWORD, address, **headers)
            assert answer.status_code == 200, answer.text
    assert (await service.sign_in(member.username, PASSWORD, network())).status_code == 429


async def test_secret_of_a_device_lets_nobody_guess_for_long_nor_for_others(
    service: Service, join: Join
) -> None:
    member, other = await join(), await join()
    browser = await service.sign_in(member.username, PASSWORD, network(), **OURS)
    cookie = {"Cookie": f"{DEVICE}={browser.cookies[DEVICE]}"}
    for name in (member.username, other.username):
        found = [await service.sign_in(name, "wrong", network(), **cookie) for _ in range(6)]
        assert [one.status_code for one in found] == [401] * 5 + [429]
    # Only the device of the one is held up; strangers are, for the other.
    assert (await service.sign_in(member.username, PASSWORD, network())).status_code == 200
    assert (await service.sign_in(other.username, PASSWORD, network())).status_code == 429


async def test_new_password_by_mail_ends_the_pause(
    stack: Stack, service: Service, join: Join
) -> None:
    member, here = await join(), network()
    assert (await service.guess(member.username, network()))[429] > 0
    assert stack.command("users", "reset-password", member.username).returncode == 0
    body = {"token": stack.mail_token(member.email), "password": f"{PASSWORD} anew"}
    answer = await service.client.post(
        "/auth/password/reset", json=body, headers={"X-Limited-Address": here, "X-Real-IP": here}
    )
    assert answer.status_code < 300, answer.text
    assert (await service.guess(member.username, network()))[429] > 0
    assert (await service.sign_in(member.username, body["password"], here)).status_code == 200


async def test_right_password_forgets_the_failures_from_there(service: Service, join: Join) -> None:
    member, here = await join(), network()
    for _ in range(4):
        assert await service.guess(member.username, here, 3) == {401: 3}
        assert (await service.sign_in(member.username, PASSWORD, here)).status_code == 200


async def test_spraying_from_one_network_is_limited_and_its_members_are_not(
    stack: Stack, service: Service, join: Join
) -> None:
    member = await join()
    site = network()
    browser = await service.sign_in(member.username, PASSWORD, site, **OURS)
    cookie = {"Cookie": f"{DEVICE}={browser.cookies[DEVICE]}"}
    await stack.sql(
        "INSERT INTO auth.failed_names (network, name_hash, last_at)"
        " SELECT $1, sha256(n::text::bytea), now() - interval '59 min' FROM generate_series(1, 199) n",
        f"{site}/48",
    )
    neighbour = str(ipaddress.IPv6Address(site) + (7 << 64))
    name = f"nobody_{secrets.token_hex(4)}"
    assert (await service.sign_in(name, "wrong", neighbour)).status_code == 401
    answer = await service.sign_in(f"{name}_", "wrong", site)
    assert answer.status_code == 429
    assert answer.headers["x-hit-limit"] == "network"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert (await service.sign_in(member.username, PASSWORD, site, **cookie)).status_code == 200
    await stack.sql("UPDATE auth.failed_names SET last_at = now() - interval '61 min'")
    assert (await service.sign_in(f"{name}_", "wrong", site)).status_code == 401


NOBODYS_PASSKEY = {
    "id": "AAAA",
    "rawId": "AAAA",
    "type": "public-key",
    "response": {"clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA"},
}


async def test_passkeys_and_identity_providers_are_limited_as_passwords_are(
    stack: Stack, service: Service, join: Join, tmp_path: Path
) -> None:
    member = await join()
    browser = await service.sign_in(member.username, PASSWORD, network(), **OURS)
    cookie = {"Cookie": f"{DEVICE}={browser.cookies[DEVICE]}"}
    service.client.cookies.clear()
    attacker, client = network(), service.client
    known = {"X-Limited-Address": attacker, "X-Real-IP": attacker}
    secret = tmp_path / "secret"
    secret.write_text("a secret of the client")
    added = stack.command(
        *("sso", "add", "nowhere", "--university", "example.edu", "--issuer", "http://127.0.0.1:9"),
        *("--client-id", "chitlaq", "--secret-file", str(secret), "--title", "Nowhere"),
    )
    assert added.returncode == 0, added.stderr
    passkey = {"passkey": NOBODYS_PASSKEY}
    ways: list[Callable[[], Awaitable[httpx.Response]]] = [
        lambda: client.post("/auth/passkeys/login", json=passkey, headers=known),
        lambda: client.get("/auth/sso/nowhere/callback?code=1", headers=known),
        lambda: client.post("/auth/sso/nowhere/code", headers=known | OURS, data={"code": "1"}),
    ]
    try:
        assert [(await way()).status_code for way in ways] == [401, 400, 400]
        assert await stack.sql(
            "UPDATE auth.address_failures SET level = 1000, last_at = clock_timestamp()"
            " WHERE address = $1 RETURNING 1",
            f"{attacker}/64",
        )
        for way in ways[:2]:
            answer = await way()
            assert (answer.status_code, answer.headers["x-hit-limit"]) == (429, "address")
        await ways[2]()  # without a cookie of a step, it begins again
        headers = known | cookie
        answer = await client.post("/auth/passkeys/login", json=passkey, headers=headers)
        assert answer.status_code == 401, "a device that was signed in is let through"
    finally:
        stack.command("sso", "remove", "nowhere", "--yes")
    results = [one["result"] for one in await noted(stack, attacker, 7)]
    assert results == ["failure"] * 3 + ["limited"] * 3 + ["failure"]


async def test_wrong_password_of_somebody_who_is_signed_in_is_an_attempt_as_well(
    stack: Stack, service: Service, join: Join
) -> None:
    member, attacker = await join(), network()
    known = {"X-Limited-Address": attacker, "X-Real-IP": attacker, **member.headers}
    changed = {"current_password": "a wrong guess", "password": "violet granite umbrella"}
    for path, body in (
        ("/auth/password/change", changed),
        ("/auth/step-up", {"password": "a wrong guess"}),
    ):
        answer = await service.client.post(path, json=body, headers=known)
        assert answer.status_code == 422, answer.text
    said = [(one["result"], one["account"]) for one in await noted(stack, attacker, 2)]
    assert said == [("failure", member.username)] * 2


async def test_owner_is_told_of_a_new_device_and_not_of_a_known_one(
    stack: Stack, service: Service, join: Join
) -> None:
    member = await join()
    phone = {"User-Agent": "Mozilla/5.0 (Android 15; Mobile) Firefox/140.0"}
    here = network()

    async def mails() -> list[str]:
        rows = await stack.sql(
            "SELECT text FROM mail.messages WHERE to_address = $1 AND subject LIKE '%new device%'",
            member.email,
        )
        return [row["text"] for row in rows]

    assert await mails() == []
    answer = await service.sign_in(member.username, PASSWORD, here, **phone, **OURS)
    (text,) = await mails()
    assert "Firefox on Android" in text
    assert here in text
    assert "/settings/sessions" in text
    cookie = {"Cookie": f"{DEVICE}={answer.cookies[DEVICE]}"}
    again = await service.sign_in(member.username, PASSWORD, network(), **phone, **OURS, **cookie)
    assert again.cookies[DEVICE] == answer.cookies[DEVICE]
    assert len(await mails()) == 1


POSED = (
    '"timestamp":"2026-11-26T10:00:00Z","level":"info","service":"auth-service","event":"login attempt",'
    '"request_id":"-","part":"attempts","result":"failure","address":"203.0.113.9","account":null}'
)
FORGED = ('","address":"203.0.113.9","account":"', f"\n{{{POSED}", "\x1b[2J\r\u2028203.0.113.9")


def attempts_logged(stack: Stack, address: str) -> list[str]:
    text = (stack.home / "logs" / "auth-service.log").read_text()
    return [line for line in text.splitlines() if f'"address":"{address}"' in line]


async def noted(stack: Stack, address: str, count: int) -> list[dict[str, Any]]:
    """The attempts from an address in the log, once there are so many."""

    def found() -> list[dict[str, Any]]:
        lines = attempts_logged(stack, address)
        return [json.loads(line) for line in lines if '"login attempt"' in line]

    return await eventually(lambda: said if len(said := found()) >= count else None)


async def test_attempt_is_one_line_that_fail2ban_reads_and_nobody_forges(
    stack: Stack, service: Service, join: Join, tmp_path: Path
) -> None:
    program = unpacked("fail2ban", "fail2ban-regex", "usr/bin/fail2ban-regex")
    modules = program.path.parents[1] / "lib/python3/dist-packages"
    member, attacker = await join(), network()
    for login in (*FORGED, member.username):
        answer = await service.sign_in(login, "wrong", attacker)
        assert answer.status_code == 401, answer.text
    assert (await service.sign_in(member.username, PASSWORD, attacker)).status_code == 200
    lines = await eventually(
        lambda: found if len(found := attempts_logged(stack, attacker)) >= 5 else None
    )
    said = [json.loads(line) for line in lines if '"login attempt"' in line]
    assert [(one["result"], one["account"]) for one in said] == [
        *(("failure", None) for _ in FORGED),
        ("failure", member.username),
        ("success", member.username),
    ]
    log = tmp_path / "log"
    log.write_text("\n".join(lines) + "\n")
    filter_file = ROOT / "deploy/fail2ban/filter.d/chitlaq-auth.conf"
    answer_ = subprocess.run(
        ["/usr/bin/python3", program.path, "--out", "ip", log, filter_file],
        env={**program.environment, "PYTHONPATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer_.returncode == 0, answer_.stdout + answer_.stderr
    banned = re.findall(r"^[0-9a-f:.]+$", answer_.stdout, re.MULTILINE)
    assert banned == [attacker] * (len(FORGED) + 1), answer_.stdout + answer_.stderr
