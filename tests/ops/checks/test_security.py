"""Certificates, members' logins, and the real ausearch on planted logs."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings_loading import load
from chitlaq.monitoring.exporter import certificates
from chitlaq.monitoring.exporter.certificates import Watched
from chitlaq.ops.checks.model import Table, Verdict
from tests.certificates import chained, self_signed
from tests.conftest import Stack
from tests.debian_programs import unpacked
from tests.ops.checks.conftest import Programs, RunOnStack
from tests.ops.checks.prometheus_history import serving, up
from tests.ops.checks.run_check import run_check

DAY = 86_400.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.mark.parametrize(
    ("days", "verdict", "words"),
    [
        (60, Verdict.OK, " in 60 d"),
        (10, Verdict.WARNING, " in 10 d"),
        (2, Verdict.CRITICAL, " in 2 d"),
        (-1, Verdict.CRITICAL, "has expired"),
    ],
)
async def test_certificate_is_judged_by_its_remaining_days(
    home: Home, tmp_path: Path, days: float, verdict: Verdict, words: str
) -> None:
    path = self_signed(tmp_path / "site.pem", days=days + 0.001)[0]
    found = await run_check(
        home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=str(path)
    )
    assert found.verdict == verdict
    assert words in found.summary


async def test_unreadable_certificate_is_unknown_and_hides_no_other(
    home: Home, tmp_path: Path
) -> None:
    assert (await run_check(home, "security.certificates")).verdict == Verdict.SKIPPED
    good = self_signed(tmp_path / "good.pem", days=60)[0]
    (tmp_path / "bad.pem").write_text("garbage")
    both = f"{good},{tmp_path / 'bad.pem'}"
    found = await run_check(home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=both)
    assert found.verdict == Verdict.UNKNOWN
    assert found.summary == f"{tmp_path / 'bad.pem'} cannot be read"
    expired = f"{self_signed(tmp_path / 'old.pem', days=-1)[0]},{tmp_path / 'bad.pem'}"
    found = await run_check(home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=expired)
    assert found.verdict == Verdict.CRITICAL
    assert found.summary == (
        f"{tmp_path / 'old.pem'} has expired; {tmp_path / 'bad.pem'} cannot be read"
    )


async def test_certificate_is_as_good_as_its_chain_and_its_name(home: Home, tmp_path: Path) -> None:
    """Whichever of a chain ends first, and in whatever order it is; what does not chain; another's name."""
    site = tmp_path / "site.pem"
    (leaf, middle, root), _ = chained(site, 60, 5, 3000)
    (stranger, strange_issuer), _ = chained(tmp_path / "other.pem", 60, 1)
    cases = [
        ([leaf], Verdict.OK, "in 60 d"),
        ([leaf, middle], Verdict.WARNING, "in 5 d, for that of CN=level 1 ends first"),
        ([leaf, root, middle], Verdict.WARNING, "in 5 d, for that of CN=level 1 ends first"),
        ([leaf, middle, strange_issuer], Verdict.WARNING, "in 5 d"),
        ([leaf, root], Verdict.CRITICAL, "none of what follows it has signed it, as CN=level 1"),
        ([leaf, stranger], Verdict.CRITICAL, "none of what follows it has signed it, as CN=level 1"),
        (chained(tmp_path / "x.pem", 60, begins=2)[0], Verdict.CRITICAL, "not valid yet"),
    ]  # fmt: skip
    for pems, verdict, said in cases:
        site.write_text("".join(pems))
        found = await run_check(
            home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=str(site)
        )
        assert (found.verdict, said in found.summary) == (verdict, True), found
    for host, public, verdict in (
        ("chat.example.edu", "chat.example.edu", Verdict.OK),
        ("*.example.edu", "chat.example.edu", Verdict.OK),
        ("*.example.edu", "www.chat.example.edu", Verdict.CRITICAL),
        ("example.edu", "chat.example.edu", Verdict.CRITICAL),
    ):
        own, key = chained(site, 60, host=host)
        site.write_text(own[0])
        found = await run_check(
            home,
            "security.certificates",
            CHITLAQ_TLS_CERTIFICATE=str(site),
            CHITLAQ_TLS_KEY=str(key),
            CHITLAQ_PUBLIC_URL=f"https://{public}",
        )
        assert found.verdict is verdict, found


async def test_certificate_that_nginx_serves_counts_besides_its_file(
    stack: Stack, run_on_stack: RunOnStack, tmp_path: Path
) -> None:
    """A file that was replaced is no use until nginx has read it."""
    path = tmp_path / "edge.pem"
    pems, key = chained(path, 1, 60)
    path.write_text("".join(pems))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(path, key)
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=serving)
    async with server:
        served = Watched(served_at=f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        path.write_text("".join(chained(path, 60, 60)[0]))
        found = await certificates.read(str(path), served)
        assert found.seconds_left < DAY
        assert found.expires_first == "the one that nginx serves"
        path.write_text("".join(chained(path, 0.5, 60)[0]))
        assert (await certificates.read(str(path), served)).expires_first == ""
        named = dataclasses.replace(served, host="www.example.edu")
        assert "as nginx serves it, it is for" in (await certificates.read(str(path), named)).fault
    watched = certificates.watched(Home(stack.home), load(Home(stack.home), stack.environment))
    (own,) = watched.values()
    assert own.served_at == f"127.0.0.1:{stack.ports['edge_tls']}"
    assert (await run_on_stack("security.certificates")).verdict is Verdict.OK


LOGINS = {
    # Rates per second, by result.
    "well": ({"success": 0.02, "bad_credentials": 0.005}, Verdict.OK, "20 % of 90 attempts"),
    "guessed": ({"success": 0.01, "bad_credentials": 0.02}, Verdict.WARNING, "66.7 % of 108"),
    "attacked": ({"success": 0.001, "bad_credentials": 0.1}, Verdict.CRITICAL, "99 % of 364"),
    "few": ({"success": 0.0, "bad_credentials": 0.003}, Verdict.OK, "100 % of 11 attempts"),
    "still": ({"success": 0.0, "bad_credentials": 0.0}, Verdict.OK, "no attempts"),
    "nothing": (None, Verdict.UNKNOWN, "no samples"),
}


async def test_logins_of_members_are_judged_by_the_share_that_failed(tmp_path: Path) -> None:
    """Real Prometheus servers, each with an hour of prepared samples that continue unchanged."""
    now = time.time()
    times = [now + second for second in range(-5400, 600, 15)]
    pasts: dict[str, str | None] = {}
    for name, (rates, _, _) in LOGINS.items():
        lines = [
            f'auth_attempts_total{{result="{result}"}} {rate * (at - times[0]):g} {at:.3f}'
            for result, rate in (rates or {}).items()
            for at in times
        ]
        lines = ["# TYPE auth_attempts counter", *lines, *up("auth-service"), "# EOF"]
        past = "\n".join(lines) + "\n"
        pasts[name] = past if rates else None
    async with serving(pasts) as addresses:
        for name, (_, verdict, said) in LOGINS.items():
            found = await run_check(
                Home(tmp_path), "security.logins", PROMETHEUS_URL=addresses[name]
            )
            assert (found.verdict, said in found.summary) == (verdict, True), found.summary


@pytest.fixture
def ausearch(tmp_path: Path, programs: Programs) -> Callable[..., None]:
    """The real ausearch, which reads a planted log instead of the machine's."""
    real = unpacked("auditd", "ausearch", "sbin/ausearch")
    path = tmp_path / "audit.log"
    libraries = real.environment.get("LD_LIBRARY_PATH", "")
    programs(
        "ausearch",
        'test "$1" = --input-logs || exit 9; shift\n'
        f'LD_LIBRARY_PATH="{libraries}" exec {real.path} -if {path} "$@"',
    )

    def plant(*records: str, days_ago: int = 0) -> None:
        # A fixed time of day, whatever the hour is.
        at = (datetime.datetime.now().astimezone() - datetime.timedelta(days=days_ago)).timestamp()
        lines = [
            record.replace("AT", f"{at:.0f}.{number:03}:{number}")
            for number, record in enumerate(records, start=100)
        ]
        path.write_text(path.read_text() if path.exists() else "")
        with path.open("a") as log:
            log.writelines(f"{one}\n" for one in lines)

    return plant


LOGIN = (
    "type=USER_LOGIN msg=audit(AT): pid=1 uid=0 auid=1000 ses=1 msg='op=login id=1000"
    ' exe="/usr/sbin/sshd" hostname=vm addr=198.51.100.7 terminal=ssh res=success\''
)
KNOWN = (
    "type=USER_AUTH msg=audit(AT): pid=1 uid=0 auid=1000 ses=1 msg='op=PAM:authentication"
    ' acct="ada" exe="/usr/sbin/sshd" hostname=vm addr=198.51.100.7 terminal=ssh res=success\''
)
STRANGER = KNOWN.replace("success", "failed")
DENIED = (
    'type=AVC msg=audit(AT): avc:  denied  { read } for  pid=9 comm="x" name="shadow" dev="sda1"'
    " ino=3 scontext=u:r:t:s0 tcontext=u:r:t:s0 tclass=file permissive=0"
)
CONFINED = (
    'type=APPARMOR_DENIED msg=audit(AT): apparmor="DENIED" operation="open" profile="x"'
    ' name="/etc/shadow" pid=9 comm="x"'
)
CRASHED = (
    "type=ANOM_ABEND msg=audit(AT): auid=1000 uid=1000 gid=1000 ses=1 pid=9"
    ' comm="x" exe="/usr/bin/x" sig=11 res=1'
)


async def test_audit_of_today_is_counted_by_type(home: Home, ausearch: Callable[..., None]) -> None:
    ausearch(STRANGER, DENIED, days_ago=2)
    ausearch(LOGIN, KNOWN, LOGIN)
    found = await run_check(home, "security.audit")
    assert found.verdict == Verdict.OK
    assert found.summary == "3 records today, 0 of them of a denial, a failure or a crash"
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
    assert [list(row) for row in table.rows] == [["2", "USER_LOGIN"], ["1", "USER_AUTH"]]


@pytest.mark.parametrize(
    "record",
    [STRANGER, DENIED, CONFINED, CRASHED],
    ids=["login", "access", "profile", "crash"],
)
async def test_denials_and_crashes_of_today_are_a_warning(
    home: Home, ausearch: Callable[..., None], record: str
) -> None:
    ausearch(LOGIN, record)
    found = await run_check(home, "security.audit")
    assert (found.verdict, found.values["refused"].value) == (Verdict.WARNING, 1)


async def test_day_without_audit_records_is_ok(home: Home, ausearch: Callable[..., None]) -> None:
    ausearch(STRANGER, days_ago=2)
    found = await run_check(home, "security.audit")
    assert (found.verdict, found.summary) == (Verdict.OK, "no record today")


async def test_unreadable_audit_log_is_unknown(home: Home, ausearch: Callable[..., None]) -> None:
    found = await run_check(home, "security.audit")
    assert found.verdict == Verdict.UNKNOWN
    assert "No such file" in found.summary
