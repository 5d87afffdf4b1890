"""A campus behind one address works; a flood from it is refused, and names the limit it hit.

The shared stack allows an address 5 signed-out requests per second, in bursts of 50.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx
import pytest
import websockets

from chitlaq.core.http import edge
from chitlaq.core.installation.secrets import Secrets
from chitlaq.services.auth.sessions.signing import Signer
from tests.conftest import PASSWORD, Member, Stack, eventually
from tests.services.gateway.raw_http import ask

Join = Callable[[], Awaitable[Member]]

FLOOD = 120
PROXY = "127.0.0.9"


def behind(address: str, stack: Stack, **headers: str) -> httpx.AsyncClient:
    """A client behind one of this machine's addresses other than 127.0.0.1, which is exempt."""
    return httpx.AsyncClient(
        base_url=stack.edge,
        headers=headers,
        transport=httpx.AsyncHTTPTransport(local_address=address),
        timeout=60,
    )


def foreign_token(*, key: str = "not the installation's key") -> str:
    """A token that is well made in every way, but not by this installation."""
    from joserfc.jwk import OKPKey

    pem = OKPKey.generate_key("Ed25519").as_pem(private=True).decode()
    return Signer(pem, key, "http://localhost").sign(uuid4(), uuid4(), 900)


async def statuses(client: httpx.AsyncClient, path: str, times: int) -> Counter[int]:
    answers = await asyncio.gather(*(client.get(path) for _ in range(times)))
    return Counter(answer.status_code for answer in answers)


async def test_signed_in_members_do_not_notice_a_flood_from_their_own_address(
    stack: Stack, join: Join
) -> None:
    members = [await join() for _ in range(4)]
    async with behind("127.0.0.20", stack) as campus:

        async def flood() -> Counter[int]:
            return await statuses(campus, "/api/feed/explore?limit=1", 2 * FLOOD)

        async def read(member: Member) -> Counter[int]:
            answers = [
                (await campus.get("/api/feed/home", headers=member.headers)).status_code
                for _ in range(30)
            ]
            return Counter(answers)

        flooded, *read_by_members = await asyncio.gather(flood(), *map(read, members))
    assert flooded[429] > FLOOD
    assert read_by_members == [Counter({200: 30})] * len(members)


async def test_burst_of_one_member_is_within_the_account_s_limit(stack: Stack, join: Join) -> None:
    """120 of 600 requests a minute, at once."""
    member = await join()
    async with behind("127.0.0.25", stack, **member.headers) as campus:
        assert await statuses(campus, "/api/feed/home", FLOOD) == Counter({200: FLOOD})


async def test_two_hundred_websockets_from_one_address_leave_room_for_requests(
    stack: Stack, join: Join
) -> None:
    member = await join()
    address = ("127.0.0.21", 0)
    url = f"ws://127.0.0.1:{stack.ports['edge']}/ws"
    # Faster than the test's stack lets an address open them; a whole campus's is ten times that.
    gate = asyncio.Semaphore(20)
    sockets: list[websockets.ClientConnection] = []
    try:

        async def connect() -> None:
            async with gate:
                sockets.append(await websockets.connect(url, local_addr=address))
                await asyncio.sleep(0.4)

        await asyncio.gather(*(connect() for _ in range(200)))
        async with behind(address[0], stack, **member.headers) as campus:
            assert await statuses(campus, "/api/feed/home", 60) == Counter({200: 60})
        await sockets[0].send('{"type":"ping"}')
        assert json.loads(await sockets[0].recv())["type"] == "pong"
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets))


def forged_tokens(genuine: str) -> dict[str, str]:
    jwt, account, expiry, seal = edge.unsealed(genuine), *genuine.split(".")[3:]
    return {
        "no token": "",
        "another scheme": f"Basic {genuine}",
        "nonsense": "Bearer nonsense",
        "of another installation": f"Bearer {foreign_token()}",
        "without a seal": f"Bearer {jwt}",
        "another seal": f"Bearer {jwt}.{account}.{expiry}.{'A' * 22}",
        "a later expiry": f"Bearer {jwt}.{account}.{int(expiry) + 1}.{seal}",
        "no expiry": f"Bearer {jwt}.{account}..{seal}",
        "another account": f"Bearer {jwt}.{'A' * 22}.{expiry}.{seal}",
        "no account": f"Bearer {jwt}.{expiry}.{seal}",
        "expired": f"Bearer {edge.sealed(jwt, uuid4(), int(time.time()) - 9, 'key')}",
        "the seal alone": f"Bearer a.b.c.{account}.{expiry}.{seal}",
        "two tokens": f"Bearer {genuine} {genuine}",
        "more behind it": f"Bearer {genuine}.x",
        "text before it": f"x Bearer {genuine}",
    }


@pytest.mark.parametrize("kind", forged_tokens("a.b.c.d.1.e"))
async def test_forged_token_does_not_evade_the_limit_of_its_address(
    stack: Stack, join: Join, kind: str
) -> None:
    member = await join()
    number = 30 + list(forged_tokens("a.b.c.d.1.e")).index(kind)
    token = forged_tokens(member.token)[kind]
    headers = {"Authorization": token} if token else {}
    async with behind(f"127.0.0.{number}", stack, **headers) as forger:
        answers = await asyncio.gather(
            *(forger.get("/api/feed/explore?limit=1") for _ in range(FLOOD))
        )
        answer = next(each for each in answers if each.status_code == 429)
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1
        assert "not signed in" in answer.json()["detail"]


async def test_genuine_token_is_limited_by_itself_and_refreshed_in_a_flood(
    stack: Stack, join: Join
) -> None:
    """Whose access token has expired is still signed in when asking for a new one."""
    member = await join()
    key = Secrets(stack.home / "secrets").edge_key
    expired = edge.sealed(edge.unsealed(member.token), uuid4(), int(time.time()) - 9, key)
    async with behind("127.0.0.22", stack) as campus:
        await statuses(campus, "/api/feed/explore?limit=1", FLOOD)
        body = {"refresh_token": member.refresh_token}
        answer = await campus.post(
            "/api/auth/refresh", json=body, headers={"Authorization": f"Bearer {expired}"}
        )
        assert answer.status_code == 200, answer.text
        fresh = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await campus.get("/api/feed/home", headers=fresh)).status_code == 200
        campus.headers["Authorization"] = f"Bearer {expired}"
        assert (await statuses(campus, "/api/feed/explore", FLOOD))[429] > 0


async def test_all_tokens_of_an_account_have_one_limit(stack: Stack) -> None:
    """A refresh gives a new token, as often as one asks: neither those nor spellings of one add anything."""
    signer, account = stack.signer, uuid4()
    tokens = [signer.sign(account, uuid4(), 900) for _ in range(16)]
    # The last of 22 characters stands for four bits more than the hash has.
    tokens.append(tokens[0][:-1] + chr(ord(tokens[0][-1]) + 1))
    head = "GET /nothing HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer"
    # On one connection, all at once: the limit is not refilled meanwhile.
    sent = "".join(f"{head} {tokens[number % 17]}\r\n\r\n" for number in range(1_700))
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", stack.ports["edge"], local_addr=("127.0.0.26", 0)
        )
        writer.write(sent.encode())
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answers = await reader.read()
        writer.close()
    assert answers.count(b"HTTP/1.1 404") > 500, "the tokens are genuine: an address gets 50"
    assert answers.count(b"HTTP/1.1 429") > 500

    # The log names the account of what was refused, and of nothing else.
    def accounts(limit: str) -> set[str]:
        lines = map(
            json.loads,
            (stack.home / "logs" / "nginx-access.log").read_text(errors="replace").splitlines(),
        )
        return {
            line["refused_account"]
            for line in lines
            if line["remote_addr"] == "127.0.0.26" and line["limit"] == limit
        }

    await eventually(lambda: accounts("account") == {tokens[0].split(".")[3]})
    assert accounts("") == {""}
    (found,) = (await asyncio.to_thread(stack.json, "ops", "check", "nginx.limits"))["results"]
    assert re.search(r"to \d+ members? \([\d.]+ % of those active that day\)", found["summary"])

    async def counted() -> bool:
        async with httpx.AsyncClient(base_url=stack.gateway) as client:
            text = (await client.get("/metrics")).text
        series = 'rate_limited_members{limit="account",service="nginx"}'
        return any(
            line.startswith(series) and float(line.split()[-1]) >= 1 for line in text.splitlines()
        )

    await eventually(counted)


async def test_failed_sign_ins_of_one_address_are_bounded_and_right_ones_are_free(
    stack: Stack, join: Join
) -> None:
    """Straight at the service, as nginx asks it: the shared stack's own limit would come first."""
    member = await join()
    transport = httpx.AsyncHTTPTransport(uds=str(stack.home / "run" / "auth-service.0.sock"))
    async with httpx.AsyncClient(
        base_url="http://auth", transport=transport, timeout=60
    ) as service:

        async def sign_in(address: str, login: str, password: str) -> httpx.Response:
            return await service.post(
                "/auth/login",
                json={"login": login, "password": password},
                headers={"X-Limited-Address": address},
            )

        campus, other = "2001:db8:1:10", "2001:db8:2:10::1"
        for _ in range(3):
            assert (await sign_in(f"{campus}::1", member.username, PASSWORD)).status_code == 200
        begun = time.monotonic()
        wrong: list[httpx.Response] = []
        # As many at once as are let wait for their turn.
        for first in range(0, 200, 50):
            wrong += await asyncio.gather(
                *(
                    sign_in(f"{campus}::1", f"nobody{n}", "guessed passwords")
                    for n in range(first, first + 50)
                )
            )
        refused = await sign_in(f"{campus}:ffff::9", member.username, PASSWORD)
        seconds = time.monotonic() - begun
        found = Counter(answer.status_code for answer in wrong)
        # 120 a minute, of which two leak away each second.
        assert 100 <= found[401] <= 125 + 2 * seconds
        assert found[401] + found[429] == 200
        if seconds < 30:
            assert refused.status_code == 429, "the same /64"
            assert refused.headers["x-hit-limit"] == "address"
        assert (await sign_in(other, member.username, PASSWORD)).status_code == 200


CLAIMS = ("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1")


async def test_clients_cannot_claim_another_address(stack: Stack, join: Join) -> None:
    member = await join()
    body = json.dumps({"login": member.username, "password": PASSWORD})
    seen = []
    for source, claims in (
        ("127.0.0.23", CLAIMS),
        (PROXY, ("X-Forwarded-For: 127.0.0.1, 192.0.2.7, 127.0.0.9",)),
        (PROXY, ("X-Forwarded-For: 2001:db8::7",)),
        (PROXY, ("X-Forwarded-For: nonsense",)),
        (PROXY, ()),
    ):
        answer = await ask(
            stack.ports["edge"],
            "/api/auth/login",
            *claims,
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            source=source,
            method="POST",
            body=body,
        )
        assert answer.status == 200, answer.body
        session = answer.json()
        (row,) = await stack.sql(
            "SELECT host(address) AS address FROM auth.sessions WHERE account_id = $1"
            " ORDER BY created_at DESC LIMIT 1",
            session["user"]["id"],
        )
        seen.append(row["address"])
    assert seen == ["127.0.0.23", "192.0.2.7", "2001:db8::7", PROXY, PROXY]


@pytest.mark.parametrize(
    ("source", "addresses", "is_one"),
    [
        (PROXY, ["2001:db8:5:6::1", "2001:db8:5:6:ffff:1::2", "2001:db8:5:6:a::3"], True),
        (PROXY, ["2001:db8:6:1::1", "2001:db8:6:2::1", "2001:db8:6:3::1"], False),
        (PROXY, ["198.51.100.1", "::ffff:198.51.100.1"], True),
        (PROXY, ["198.51.100.2", "198.51.100.3", "198.51.100.4"], False),
        # A proxy that nobody declared: what it says is not believed, and it is not exempt for it.
        ("127.0.0.1", ["203.0.113.1", "203.0.113.2", "203.0.113.3"], True),
    ],
)
async def test_limits_count_what_one_client_has_as_one_address(
    stack: Stack, source: str, addresses: list[str], is_one: bool
) -> None:
    answers = await asyncio.gather(
        *(
            ask(stack.ports["edge"], "/api/nothing", f"X-Forwarded-For: {address}", source=source)
            for address in addresses
            for _ in range(FLOOD // len(addresses))
        )
    )
    refused = sum(answer.status == 429 for answer in answers)
    assert (refused > 0) is is_one


async def test_refusals_are_counted_by_limit(stack: Stack, client: httpx.AsyncClient) -> None:
    def refused(text: str) -> float:
        (line,) = [
            line
            for line in text.splitlines()
            if line.startswith("rate_limited_total{")
            and 'limit="signed-out"' in line
            and 'service="nginx"' in line
        ]
        return float(line.split()[-1])

    before = refused((await client.get("/metrics")).text)
    async with behind("127.0.0.24", stack) as flooder:
        found = await statuses(flooder, "/api/nothing", FLOOD)

    async def agrees() -> bool:
        return refused((await client.get("/metrics")).text) - before >= found[429] > 0

    await eventually(agrees)
