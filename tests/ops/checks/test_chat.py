"""Chat's checks: messages between the synthetic members, numbering, repairs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Table, Verdict
from tests.conftest import Member, Stack
from tests.ops.checks.conftest import RunOnStack
from tests.ops.checks.prometheus_history import serving, up
from tests.ops.checks.run_check import run_check
from tests.services.websocket.chat.talking import conversation

Join = Callable[[], Awaitable[Member]]

PATIENT = {"CHITLAQ_CHECKS_ROUND_TRIP_SECONDS": "60,90"}
SYNTHETIC = (
    "SELECT username, email, password_hash FROM auth.accounts WHERE is_synthetic ORDER BY email"
)
THEIRS = (
    "SELECT c.id, c.last_seq,"
    " (SELECT count(*) FROM websocket.messages m WHERE m.conversation_id = c.id) AS kept"
    " FROM websocket.conversations c JOIN auth.accounts a ON a.id = c.lower_id WHERE a.is_synthetic"
)


async def test_message_and_its_answer_arrive_and_are_judged_by_time(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    found = await run_on_stack("websocket.round_trip", CHITLAQ_CHECKS_ROUND_TRIP_SECONDS="4,5")
    assert found.verdict is Verdict.OK, found.summary
    assert 0 < found.values["seconds"].value < 4
    (before,) = await stack.sql(THEIRS)
    slow = await run_on_stack("websocket.round_trip", CHITLAQ_CHECKS_ROUND_TRIP_SECONDS="0,60")
    assert slow.verdict is Verdict.WARNING
    (after,) = await stack.sql(THEIRS)
    assert after["last_seq"] == before["last_seq"] + 2


async def test_message_that_does_not_arrive_is_critical(
    stack: Stack, run_on_stack: RunOnStack, nobody: str
) -> None:
    assert (await run_on_stack("websocket.round_trip", **PATIENT)).verdict is Verdict.OK
    unreachable = await run_on_stack("websocket.round_trip", CHITLAQ_PORTS_EDGE=nobody)
    assert unreachable.verdict is Verdict.CRITICAL
    (theirs,) = await stack.sql(THEIRS)
    await stack.sql("DELETE FROM websocket.participants WHERE conversation_id = $1", theirs["id"])
    try:
        refused = await run_on_stack("websocket.round_trip")
    finally:
        await stack.sql("DELETE FROM websocket.conversations WHERE id = $1", theirs["id"])
    assert refused.verdict is Verdict.CRITICAL
    assert "did not arrive: refused" in refused.summary


async def test_members_that_cannot_be_signed_in_leave_it_unknown(
    run_on_stack: RunOnStack, nobody: str
) -> None:
    found = await run_on_stack("websocket.round_trip", CHITLAQ_PORTS_AUTH=nobody)
    assert found.verdict is Verdict.UNKNOWN
    assert "not signed in" in found.summary


async def test_synthetic_members_are_made_anew_when_all_accounts_were_deleted(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    assert (await run_on_stack("websocket.round_trip", **PATIENT)).verdict is Verdict.OK
    await stack.sql("DELETE FROM auth.accounts WHERE is_synthetic")
    assert (await run_on_stack("websocket.round_trip", **PATIENT)).verdict is Verdict.OK
    assert len(await stack.sql(SYNTHETIC)) == 2


async def test_synthetic_members_are_nobody_to_members(
    stack: Stack, join: Join, run_on_stack: RunOnStack
) -> None:
    assert (await run_on_stack("websocket.round_trip", **PATIENT)).verdict is Verdict.OK
    member = await join()
    for username, email, _ in await stack.sql(SYNTHETIC):
        found = await member.get("/api/search/users", params={"q": username})
        assert found.json()["items"] == []
        assert (await member.get(f"/api/users/{username}")).status_code == 404
        for body in (
            {"kind": "direct", "members": [username]},
            {"kind": "group", "name": "all", "members": [username]},
        ):
            assert (await member.post("/api/conversations", body)).status_code == 422
        for login in (username, email):
            for password in ("none", ""):
                answer = await member.post(
                    "/api/auth/login", {"login": login, "password": password}
                )
                assert answer.status_code == 401
                assert "name or the password is wrong" in answer.text
    assert (await member.post("/api/auth/synthetic")).status_code == 404
    own = f"http://127.0.0.1:{stack.ports['auth']}/auth/synthetic"
    async with httpx.AsyncClient(headers=member.headers) as client:
        assert (await client.post(own)).status_code == 401


async def test_synthetic_members_are_in_no_count(stack: Stack, run_on_stack: RunOnStack) -> None:
    assert (await run_on_stack("websocket.round_trip", **PATIENT)).verdict is Verdict.OK
    (row,) = await stack.sql(
        "SELECT (SELECT accounts FROM auth.account_counts WHERE state = 'verified') AS counted,"
        " (SELECT count(*) FROM auth.accounts) AS accounts,"
        " (SELECT count(*) FROM feed.listed_members JOIN auth.synthetic_accounts USING (id)) AS members,"
        " (SELECT count(*) FROM auth.sessions s JOIN auth.synthetic_accounts a ON a.id = account_id)"
        " AS sessions"
    )
    assert (row["accounts"] - row["counted"], row["members"], row["sessions"]) == (2, 0, 0)


async def test_messages_of_synthetic_members_do_not_pile_up(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    assert (await run_on_stack("websocket.round_trip", **PATIENT)).verdict is Verdict.OK
    (theirs,) = await stack.sql(THEIRS)
    await stack.sql(
        "WITH more AS (UPDATE websocket.conversations SET last_seq = last_seq + 1500 WHERE id = $1"
        " RETURNING id, last_seq, lower_id)"
        " INSERT INTO websocket.messages (conversation_id, seq, sender_id, client_id, text, sent_at)"
        " SELECT id, last_seq - 1500 + n, lower_id, 'old ' || n, 'old', now()"
        " FROM more, generate_series(1, 1500) AS n",
        theirs["id"],
    )
    assert (await run_on_stack("websocket.round_trip", **PATIENT)).verdict is Verdict.OK
    (after,) = await stack.sql(THEIRS)
    assert after["kept"] == 1002
    assert (await run_on_stack("websocket.numbering")).verdict is Verdict.OK


FAULTS = {
    "missing": "DELETE FROM websocket.messages WHERE conversation_id = $1 AND seq = 2",
    "first": "DELETE FROM websocket.messages WHERE conversation_id = $1 AND seq = 1",
    "end": "UPDATE websocket.conversations SET last_seq = last_seq + 1 WHERE id = $1",
    "marker": "UPDATE websocket.participants SET read_seq = 4 WHERE conversation_id = $1",
    "participants": "DELETE FROM websocket.participants WHERE conversation_id = $1 AND account_id ="
    " (SELECT lower_id FROM websocket.conversations WHERE id = $1)",
}


@pytest.mark.parametrize("planted", FAULTS)
async def test_fault_in_the_numbering_is_found(
    stack: Stack, join: Join, run_on_stack: RunOnStack, planted: str
) -> None:
    ada, bob = await join(), await join()
    begun = await conversation(ada, bob)
    for number in range(3):
        body = {"text": "hello", "client_id": str(number)}
        sent = await ada.post(f"/api/conversations/{begun['id']}/messages", body)
        assert sent.status_code == 201, sent.text
    whole = await run_on_stack("websocket.numbering")
    assert whole.verdict is Verdict.OK, whole.summary
    await stack.sql(FAULTS[planted], begun["id"])
    try:
        found = await run_on_stack("websocket.numbering")
    finally:
        await stack.sql("DELETE FROM websocket.conversations WHERE id = $1", begun["id"])
    assert found.verdict is Verdict.CRITICAL
    kind = "missing" if planted == "first" else planted
    assert {name for name, value in found.values.items() if value.value} == {kind}
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
    assert {row[0] for row in table.rows} == {begun["id"]}


def a_day(**counts: float) -> str:
    """A day's growth of the counters, as OpenMetrics, and a service that is seen."""
    now = time.time()
    times = [now + second for second in range(-86_400, 1200, 240)]
    names = {
        "sent": ("websocket_messages", '{direction="in",type="send"}'),
        "repaired": ("websocket_messages_repaired", ""),
        "gaps": ("websocket_resumes", '{result="gap"}'),
        "slow": ("websocket_closed", '{code="1013"}'),
    }

    def lines() -> Iterator[str]:
        for what, count in counts.items():
            name, labels = names[what]
            yield f"# TYPE {name} counter"
            for at in times:
                yield f"{name}_total{labels} {count * (at - times[0]) / 86_400:.3f} {at:.3f}"
        for gauge in ("websocket_connections_active", "websocket_processes_deaf"):
            yield f"# TYPE {gauge} gauge"
            yield from (f"{gauge} 0 {at:.3f}" for at in times)
        yield from up("websocket")
        yield "# EOF\n"

    return "\n".join(lines())


async def test_repairs_are_judged_by_the_messages_of_the_day(tmp_path: Path) -> None:
    pasts: Mapping[str, str | None] = {
        "quiet": a_day(),
        "well": a_day(sent=10_000, repaired=50, gaps=2, slow=1),
        "few": a_day(sent=20, repaired=10),
        "late": a_day(sent=10_000, repaired=300),
        "lost": a_day(sent=10_000, repaired=3000),
        "nothing": None,
    }
    async with serving(pasts) as addresses:
        found = {
            name: await run_check(Home(tmp_path), "websocket.repairs", PROMETHEUS_URL=address)
            for name, address in addresses.items()
        }
    assert {name: one.verdict for name, one in found.items()} == {
        "quiet": Verdict.OK, "well": Verdict.OK, "few": Verdict.OK,
        "late": Verdict.WARNING, "lost": Verdict.CRITICAL, "nothing": Verdict.UNKNOWN,
    }  # fmt: skip
    values = {name: value.value for name, value in found["well"].values.items()}
    assert values["gaps"] == pytest.approx(2, rel=0.1)
    assert values["slow_readers"] == pytest.approx(1, rel=0.1)
    assert values["ratio"] == pytest.approx(0.005, rel=0.1)
