"""Certificates, members' logins, and files that are safe to delete."""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Verdict
from tests.ops.checks.prometheus_history import serving
from tests.ops.checks.run_check import look

DAY = 86_400.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def certificate(path: Path, days: float) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


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
    path = certificate(tmp_path / "site.pem", days + 0.001)
    found = await look(home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=str(path))
    assert found.verdict == verdict
    assert words in found.summary


async def test_unreadable_certificate_is_unknown_and_hides_no_other(
    home: Home, tmp_path: Path
) -> None:
    assert (await look(home, "security.certificates")).verdict == Verdict.SKIPPED
    good = certificate(tmp_path / "good.pem", 60)
    (tmp_path / "bad.pem").write_text("garbage")
    both = f"{good},{tmp_path / 'bad.pem'}"
    found = await look(home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=both)
    assert found.verdict == Verdict.UNKNOWN
    assert found.summary == f"{tmp_path / 'bad.pem'} cannot be read"
    expired = f"{certificate(tmp_path / 'old.pem', -1)},{tmp_path / 'bad.pem'}"
    found = await look(home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=expired)
    assert found.verdict == Verdict.CRITICAL
    assert found.summary == (
        f"{tmp_path / 'old.pem'} has expired; {tmp_path / 'bad.pem'} cannot be read"
    )


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
        past = "\n".join(["# TYPE auth_attempts counter", *lines, "# EOF"]) + "\n"
        pasts[name] = past if rates else None
    async with serving(pasts, tmp_path) as addresses:
        for name, (_, verdict, said) in LOGINS.items():
            found = await look(Home(tmp_path), "security.logins", PROMETHEUS_URL=addresses[name])
            assert (found.verdict, said in found.summary) == (verdict, True), found.summary


async def test_deletable_files_are_listed_without_those_in_use(home: Home) -> None:
    home.logs.mkdir(parents=True)
    then = time.time() - 8 * DAY
    for name, is_old in (
        ("a.log", True),
        ("a.log.1", False),
        ("a.log.3.gz", True),
        ("x.draft", True),
    ):
        (home.logs / name).write_bytes(b"x" * 100)
        if is_old:
            os.utime(home.logs / name, (then, then))
    found = await look(home, "cleanup.candidates")
    assert found.verdict == Verdict.OK
    assert found.values["files"].value == 2
    assert found.values["bytes"].value == 200
