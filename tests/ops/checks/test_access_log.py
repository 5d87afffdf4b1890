"""The checks of nginx's access log on planted lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.logs import analysis
from chitlaq.ops.checks.model import Table, Verdict
from tests.ops.checks.planted_logs import access, plant
from tests.ops.checks.run_check import run_check


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "logs").mkdir()
    return Home(tmp_path)


async def test_campus_behind_one_address_is_no_finding(home: Home) -> None:
    lines = [
        *(access("10.0.0.1", is_signed_in=True) for _ in range(1800)),
        *(access("10.0.0.2") for _ in range(200)),
    ]
    plant(home, "nginx-access.log", *lines)
    found = await run_check(home, "nginx.addresses")
    assert found.verdict == Verdict.OK
    assert found.values["requests"].value == len(lines)
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
    assert list(table.rows[0]) == ["1,800", "100 %", "10.0.0.1"]


@pytest.mark.parametrize("name", ["nginx.addresses", "nginx.limits", "nginx.statuses"])
async def test_line_that_is_not_text_counts_and_one_that_is_no_line_is_named(
    home: Home, name: str
) -> None:
    log = home.logs / "nginx-access.log"
    odd = (
        access("10.0.0.1", agent="a name").encode().replace(b"a name", b"caf\xe9 \xed\xa0\x80 \xff")
    )
    lines = [*[access("10.0.0.1").encode()] * 1800, *[odd] * 200]
    log.write_bytes(b"\n".join([*lines, b'{"time":"2026-', b"\0\0", b""]))
    found = await run_check(home, name)
    assert found.verdict == Verdict.OK
    assert "2 lines cannot be read" in found.summary
    if "requests" in found.values:
        assert found.values["requests"].value == len(lines)


@pytest.mark.parametrize("name", ["nginx.addresses", "nginx.limits", "nginx.statuses"])
@pytest.mark.parametrize(
    ("requests", "unread", "verdict"),
    [
        (5, 10, Verdict.OK),
        (5, 11, Verdict.UNKNOWN),
        (2000, 20, Verdict.OK),
        (2000, 21, Verdict.UNKNOWN),
    ],
)
async def test_log_of_which_too_much_cannot_be_read_is_unknown(
    home: Home, name: str, requests: int, unread: int, verdict: Verdict
) -> None:
    foreign = "10.0.0.1 - - [26/Nov/2026] GET /"
    plant(home, "nginx-access.log", *[access("10.0.0.1")] * requests, *[foreign] * unread)
    found = await run_check(home, name)
    assert found.verdict == verdict
    assert f"{unread} lines" in found.summary


@pytest.mark.parametrize(
    ("address", "public_url", "verdict"),
    [
        ("127.0.0.1", "https://chitlaq.example.edu", Verdict.WARNING),
        ("::1", "https://chitlaq.example.edu", Verdict.WARNING),
        ("10.0.0.1", "https://chitlaq.example.edu", Verdict.OK),
        ("127.0.0.1", "", Verdict.OK),
    ],
)
async def test_proxy_that_hides_members_behind_an_exempt_address_is_a_finding(
    home: Home, address: str, public_url: str, verdict: Verdict
) -> None:
    plant(home, "nginx-access.log", *(access(address, is_signed_in=True) for _ in range(1200)))
    found = await run_check(home, "nginx.addresses", CHITLAQ_PUBLIC_URL=public_url)
    assert found.verdict == verdict
    assert ("seem to come from this machine" in found.summary) == (verdict == Verdict.WARNING)
    assert "trusted_proxies" in found.remedy


@pytest.mark.parametrize(
    ("refused", "verdict"), [(10, Verdict.OK), (50, Verdict.WARNING), (400, Verdict.CRITICAL)]
)
async def test_limits_are_judged_by_the_share_that_they_refuse(
    home: Home, refused: int, verdict: Verdict
) -> None:
    plant(
        home, "nginx-access.log",
        *(access("10.0.0.1", 429, limit="signed-out") for _ in range(refused)),
        *(access("10.0.0.1", is_signed_in=True) for _ in range(1800 - refused)),
        # A connection that was refused before its first request.
        access("10.0.0.2", 429, limit="connections", method=""),
    )  # fmt: skip
    found = await run_check(home, "nginx.limits")
    assert found.verdict == verdict
    assert "the limit signed-out refused" in found.summary
    limits, addresses = [one for one in found.evidence if isinstance(one, Table)]
    assert [row[0] for row in limits.rows] == ["signed-out", "connections"]
    assert addresses.rows[0][-1] == "10.0.0.1"


@pytest.mark.parametrize("limit", ["account", "files", "address"])
async def test_refused_members_are_not_hidden_by_a_flood_of_others(home: Home, limit: str) -> None:
    plant(
        home, "nginx-access.log",
        *(
            access("10.0.0.1", 429, limit=limit, is_signed_in=True, refused_account=f"m{n % 3}")
            for n in range(130)
        ),
        *(access("10.0.0.1", is_signed_in=True) for _ in range(900)),
        *(access("10.0.0.9") for _ in range(20_000)),
    )  # fmt: skip
    found = await run_check(home, "nginx.limits")
    assert found.verdict == Verdict.CRITICAL
    # Without PostgreSQL, nobody knows of how many.
    assert "signed-in members, 12.6 % were refused, to 3 members" in found.summary
    (limits, _) = [one for one in found.evidence if isinstance(one, Table)]
    assert list(limits.rows[0])[:5] == [limit, "130", "0.618 %", "12.6 %", "3"]


@pytest.mark.parametrize(
    ("failed", "verdict"), [(0, Verdict.OK), (30, Verdict.WARNING), (100, Verdict.CRITICAL)]
)
async def test_statuses_are_judged_by_the_share_of_failures(
    home: Home, failed: int, verdict: Verdict
) -> None:
    plant(
        home, "nginx-access.log",
        *(access("10.0.0.1", 503) for _ in range(failed)),
        *(access("10.0.0.1") for _ in range(1500 - failed)),
    )  # fmt: skip
    assert (await run_check(home, "nginx.statuses")).verdict == verdict


TRAFFIC = ["nginx.statuses", "nginx.addresses", "nginx.limits"]


@pytest.mark.parametrize("check", TRAFFIC)
@pytest.mark.parametrize(
    ("hours", "verdict"), [(23.9, Verdict.OK), (18, Verdict.WARNING), (3, Verdict.UNKNOWN)]
)
async def test_log_that_covers_too_little_traffic_is_not_ok(
    home: Home, check: str, hours: float, verdict: Verdict
) -> None:
    """All kept files are full, and their first line is this old."""
    for number in (1, 0):
        name = f"nginx-access.log.{number}" if number else "nginx-access.log"
        plant(home, name, access("10.0.0.1", hours_ago=hours if number else 0), access("10.0.0.2"))
    found = await run_check(home, check, CHITLAQ_LOGS_KEEP_FILES="1")
    assert found.verdict == verdict
    assert ("read back to" in found.summary) == (verdict != Verdict.OK)


@pytest.mark.parametrize("check", TRAFFIC)
async def test_traffic_not_counted_in_time_is_unknown(
    home: Home, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    monkeypatch.setattr(analysis, "COUNT_SECONDS", -1.0)
    plant(home, "nginx-access.log", access("10.0.0.1"))
    assert (await run_check(home, check)).verdict == Verdict.UNKNOWN


@pytest.mark.parametrize("check", TRAFFIC)
async def test_benchmark_is_reported_separately_from_traffic(home: Home, check: str) -> None:
    own = [access("203.0.113.9", 503, agent=analysis.BENCHMARK_AGENT) for _ in range(3000)]
    plant(home, "nginx-access.log", access("10.0.0.1"), *own)
    found = await run_check(home, check)
    assert found.verdict == Verdict.OK
    assert found.values["requests"].value == 1
    assert "3,000 more from the benchmark" in found.summary
