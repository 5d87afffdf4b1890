"""Certificates, bans, and what may be cleared away."""

from __future__ import annotations

import datetime
import os
import sqlite3
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chitlaq.core.home import Home
from chitlaq.ops.checks.check import Verdict
from tests.ops.checks.looking import look

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
        (60, Verdict.OK, "the first, in 60 d"),
        (10, Verdict.WARNING, "the first, in 10 d"),
        (2, Verdict.CRITICAL, "the first, in 2 d"),
        (-1, Verdict.CRITICAL, "has expired"),
    ],
)
async def test_certificate_is_judged_by_the_days_it_has_left(
    home: Home, tmp_path: Path, days: float, verdict: Verdict, words: str
) -> None:
    path = certificate(tmp_path / "site.pem", days + 0.001)
    found = await look(home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=str(path))
    assert found.verdict == verdict
    assert words in found.summary


async def test_certificate_that_cannot_be_read_is_unknown_and_hides_no_other(
    home: Home, tmp_path: Path
) -> None:
    assert (await look(home, "security.certificates")).verdict == Verdict.SKIPPED
    good = certificate(tmp_path / "good.pem", 60)
    (tmp_path / "bad.pem").write_text("garbage")
    both = f"{good},{tmp_path / 'bad.pem'}"
    found = await look(home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=both)
    assert found.verdict == Verdict.UNKNOWN
    expired = f"{certificate(tmp_path / 'old.pem', -1)},{tmp_path / 'bad.pem'}"
    found = await look(home, "security.certificates", CHITLAQ_MONITORING_CERTIFICATES=expired)
    assert found.verdict == Verdict.CRITICAL


async def test_bans_are_read_from_fail2bans_database(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "fail2ban.sqlite3"
    variable = {"CHITLAQ_MONITORING_FAIL2BAN_DATABASE": str(path)}
    assert (await look(home, "security.bans", **variable)).verdict == Verdict.SKIPPED
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bans (jail TEXT, ip TEXT, timeofban INTEGER, bantime INTEGER)")
    now = int(time.time())
    connection.executemany(
        "INSERT INTO bans VALUES ('sshd', ?, ?, 600)",
        [("203.0.113.1", now - 60), ("203.0.113.2", now - 3600), ("203.0.113.3", now - 2 * 86_400)],
    )
    connection.commit()
    connection.close()
    found = await look(home, "security.bans", **variable)
    assert (found.verdict, found.values["bans"].value) == (Verdict.OK, 2)
    path.write_text("no database at all, but a long enough text to be looked at" * 50)
    assert (await look(home, "security.bans", **variable)).verdict == Verdict.UNKNOWN


async def test_what_may_go_is_listed_and_what_is_written_to_is_not(home: Home) -> None:
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
