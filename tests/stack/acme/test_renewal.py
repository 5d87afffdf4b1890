"""nginx's certificate by ACME: from Let's Encrypt's test server, through a real edge; and what can fail."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from OpenSSL import SSL

from chitlaq.cli.serve import load
from chitlaq.core.errors import OperatorError
from chitlaq.core.http import routes
from chitlaq.core.installation import secrets, settings_faults
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import Secret
from chitlaq.core.installation.settings import Acme, Ports, Settings, Tls
from chitlaq.monitoring.exporter.certificates import renewals
from chitlaq.services.gateway import nginx as configuration
from chitlaq.stack.acme import orders, renewal
from chitlaq.stack.servers import certificates
from tests import acme_authority, commands
from tests.acme_authority import NAME
from tests.certificates import chained, presented, self_signed
from tests.conftest import eventually, free_ports
from tests.lone_edge import running
from tests.ops.checks.run_check import run_check

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def set_up(tmp_path: Path, http_port: int, **acme: object) -> tuple[Home, Settings]:
    home = Home(tmp_path / "h")
    home.root.mkdir()
    gateway, tls = free_ports(2)
    return home, Settings(
        public_url=f"https://{NAME}",
        ports=Ports(edge=http_port, gateway=gateway, edge_tls=tls),
        acme=Acme(**acme),  # type: ignore[arg-type]
    )


UNANSWERED = [
    f"/.well-known/acme-challenge/{name}"
    for name in ("none", "", "of/another", "x%0A2026/11/27%2001:02:03%20[emerg]%201%231:%20forged")
]
"""What strangers ask for is no error of ours, and no line of nginx's error log."""


def configured(home: Home, settings: Settings) -> configuration.Tls:
    certificates.ensure(home, settings)
    return configuration.Tls(settings.ports.edge_tls, *settings.edge_certificate(home))  # type: ignore[attr-defined]


async def test_certificate_is_rehearsed_then_issued_and_no_open_connection_is_lost(
    tmp_path: Path,
) -> None:
    """HTTP-01: both authorities fetch the answer from nginx, which sends every other name to HTTPS."""
    (http,) = free_ports(1)
    with (
        acme_authority.running(tmp_path / "staging", http) as staging,
        acme_authority.running(tmp_path / "ca", http, of=staging) as authority,
    ):
        home, settings = set_up(
            tmp_path,
            http,
            directory=authority.directory,
            staging=staging.directory,
            root=str(authority.root),
            contact="ops@example.edu",
        )
        tls = configured(home, settings)
        wanted = renewal.plan(home, settings, now())
        assert wanted.is_due(now())
        assert wanted.directories == [staging.directory, authority.directory]
        async with running(home, settings, tls):
            reader, writer = await asyncio.open_connection("127.0.0.1", tls.port, ssl=_any())
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")
            await writer.drain()
            by_name = {"Host": NAME}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http}") as client:
                for asked, status in (("/acme", 301), *((one, 404) for one in UNANSWERED)):
                    assert (await client.get(asked, headers=by_name)).status_code == status, asked
            assert "acme-challenge" not in (home.logs / "nginx.log").read_text()
            await asyncio.to_thread(renewal.renew, home, settings, now())
            new = configured(home, settings)
            assert new.certificate == home.acme_certificate
            issued = x509.load_pem_x509_certificate(home.acme_certificate.read_bytes())
            assert (await presented(tls.port)) != issued
            _write_anew(home, settings, new)
            os.kill(int((home.run / "nginx.pid").read_text()), signal.SIGHUP)

            async def is_served() -> bool:
                return await presented(new.port) == issued

            await eventually(is_served)
            # Nothing is behind nginx here. What matters is that the request that was open got its answer.
            writer.write(b"\r\n")
            assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 503")
            writer.close()
        assert list(home.acme_challenges.iterdir()) == []
        after = renewal.plan(home, settings, now())
        assert (after.reason, after.directories) == ("", [authority.directory])
        life = issued.not_valid_after_utc - issued.not_valid_before_utc
        assert after.at == issued.not_valid_before_utc + life * 2 / 3
        assert renewal.plan(home, settings, after.at).is_due(after.at)
        shown = certificates.shown(home, settings)
        assert (shown.names, shown.authority) == ([NAME], None)
        assert settings.watched_certificates(home) == {str(home.acme_certificate): NAME}
    kept = [home.acme_certificate, *home.acme.glob("account-*.pem")]
    assert len(kept) == 3, "one account at each authority"
    for path in [*kept, home.acme / "renewal.json"]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert home.certificates.stat().st_mode & 0o077 == 0


async def test_wildcard_is_shown_by_dns_to_an_authority_that_knows_its_customers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the supervisor does it: in a process of its own, with the settings of the environment."""
    hmac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    names = (f"*.{NAME}", NAME)
    with acme_authority.running(tmp_path / "ca", 1, days=1, keys={"kid-1": hmac}) as authority:
        hook = authority.dns_hook()
        home, settings = set_up(
            tmp_path,
            free_ports(1)[0],
            directory=authority.directory,
            root=str(authority.root),
            names=names,
            dns_hook=str(hook),
            account_key_id="kid-1",
            account_hmac_key=Secret(hmac),
        )
        for name, value in {
            "DIRECTORY": authority.directory,
            "ROOT": str(authority.root),
            "NAMES": ",".join(names),
            "DNS_HOOK": str(hook),
            "ACCOUNT_KEY_ID": "kid-1",
            "ACCOUNT_HMAC_KEY": hmac,
        }.items():
            monkeypatch.setenv(f"CHITLAQ_ACME_{name}", value)
        await asyncio.to_thread(certificates.renew, home, settings)
        first = home.acme_certificate.read_bytes()
        assert certificates.shown(home, settings).names == sorted(names)
        asked = (authority.folder / "hook.log").read_text().split("\n")
        assert asked.count(f"present _acme-challenge.{NAME}.") == 2
        assert asked.count(f"cleanup _acme-challenge.{NAME}.") == 2
        await asyncio.to_thread(certificates.renew, home, settings)
        assert home.acme_certificate.read_bytes() == first, "it is not due"
        here = {**os.environ, "CHITLAQ_HOME": str(home.root)}
        said = await asyncio.to_thread(commands.run, ("certificates", "renew"), here)
        assert (said.returncode, authority.directory in said.stdout) == (0, True), said
        assert home.acme_certificate.read_bytes() == first, "nobody is asked without --write"
        # Two thirds of a day later it is.
        late = now() + timedelta(hours=17)
        assert renewal.plan(home, settings, late).is_due(late)
        await asyncio.to_thread(renewal.renew, home, settings, late)
        assert home.acme_certificate.read_bytes() != first
    # In its last hours it is tried every hour, however often that has failed.
    for _ in range(8):
        with pytest.raises(OperatorError):
            await asyncio.to_thread(renewal.renew, home, settings, late)
    assert renewal.plan(home, settings, late + 6 * HOUR).at <= late + timedelta(hours=17)
    last = late + timedelta(hours=3)
    with pytest.raises(OperatorError):
        await asyncio.to_thread(renewal.renew, home, settings, last)
    assert renewal.State() != renewal._state(home)
    assert renewal._state(home).not_before == last + max(HOUR, _left(home, last) / 8)


def _left(home: Home, at: datetime) -> timedelta:
    found = x509.load_pem_x509_certificate(home.acme_certificate.read_bytes())
    return found.not_valid_after_utc - at


class _Wrong(BaseHTTPRequestHandler):
    """Answers as the path says."""

    def do_GET(self) -> None:
        if self.path == "/silent":
            self.server.released.wait(30)  # type: ignore[attr-defined]
            return
        status, kind, body = {
            "/garbage": (200, "text/html", b"<p>It works!</p>"),
            "/empty": (200, "application/json", b"{}"),
            "/broken": (500, "text/plain", b"oops"),
            "/limited": (
                429,
                "application/problem+json",
                b'{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates"}',
            ),
        }[self.path]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Retry-After", "18000")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def wrong_authority(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the URL of a server that is no good authority, and its root."""
    certificate, key = self_signed(folder / "wrong.pem", days=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Wrong)
    server.released = threading.Event()  # type: ignore[attr-defined]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}", certificate
    finally:
        server.released.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()


async def test_authority_that_fails_leaves_the_certificate_and_is_asked_ever_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "ANSWER_SECONDS", 1)
    (http, closed) = free_ports(2)
    with wrong_authority(tmp_path) as (url, root):
        home, settings = set_up(tmp_path, http, directory="", root=str(root))
        certificates.ensure(home, settings)
        pem, key = chained(tmp_path / "old.pem", 20, host=NAME)
        home.acme_certificate.write_text(pem[0] + key.read_text())
        old = home.acme_certificate.read_bytes()
        cases = {
            f"{url}/garbage": ("no answer that could be understood", HOUR),
            f"{url}/empty": ("no answer that could be understood", HOUR),
            f"{url}/broken": ("no answer that could be understood", HOUR),
            f"{url}/silent": ("no answer", HOUR),
            f"https://localhost:{closed}/dir": ("no answer", HOUR),
            f"{url}/limited": ("too many certificates", 5 * HOUR),
        }
        for directory, (said, pause) in cases.items():
            one = msgspec.structs.replace(
                settings, acme=msgspec.structs.replace(settings.acme, directory=directory)
            )
            at = now()
            assert renewal.plan(home, one, at).is_due(at), "another authority is asked at once"
            with pytest.raises(OperatorError, match=said):
                await asyncio.to_thread(renewal.renew, home, one, at)
            assert home.acme_certificate.read_bytes() == old
            held = renewal.plan(home, one, at)
            assert (held.failures, held.at) == (1, at + pause), directory
            assert not held.is_due(at + pause - timedelta(seconds=1)), directory
            assert held.is_due(at + pause)
        broken = msgspec.structs.replace(
            settings, acme=msgspec.structs.replace(settings.acme, directory=f"{url}/broken")
        )
        pauses = []
        for _ in range(7):
            at = now()
            with pytest.raises(OperatorError):
                await asyncio.to_thread(renewal.renew, home, broken, at)
            pauses.append((renewal.plan(home, broken, at).at - at) / HOUR)
        assert pauses == [1, 2, 4, 8, 16, 24, 24]
        found = await run_check(
            home,
            "security.certificates",
            CHITLAQ_PUBLIC_URL=f"https://{NAME}",
            CHITLAQ_ACME_DIRECTORY=f"{url}/broken",
            CHITLAQ_ACME_ROOT=str(root),
        )
        assert (found.verdict.name, "7 failed tries" in found.summary) == ("WARNING", True), found
        (failures,) = await renewals(home, broken)
        assert [one.value for one in failures.samples] == [7]
        # What fails at the staging directory is not asked of the authority itself.
        rehearsed = msgspec.structs.replace(
            settings,
            acme=msgspec.structs.replace(
                settings.acme, directory=f"{url}/never-asked", staging=f"{url}/broken"
            ),
        )
        with pytest.raises(OperatorError, match="/broken"):
            await asyncio.to_thread(renewal.renew, home, rehearsed, now())


def test_what_is_no_certificate_of_ours_is_not_served(tmp_path: Path) -> None:
    """An authority, or whoever answers in its place, may send anything."""
    chain, path = chained(tmp_path / "one.pem", 60, 3000, host=NAME)
    loaded = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    key = loaded
    assert orders._checked("".join(chain), key, [NAME]) == "".join(chain)
    stranger, _ = chained(tmp_path / "two.pem", 60, 3000, host=NAME)
    old, old_path = chained(tmp_path / "three.pem", -1, 3000, host=NAME)
    old_key = serialization.load_pem_private_key(old_path.read_bytes(), None)
    assert isinstance(old_key, ec.EllipticCurvePrivateKey)
    for text, its_key, names, said in (
        ("garbage", key, [NAME], "no certificate"),
        (chain[0] + stranger[1], key, [NAME], "no certificate"),
        ("".join(stranger), key, [NAME], "another key"),
        ("".join(chain), key, [NAME, "b.example.edu"], "not for b.example.edu"),
        ("".join(old), old_key, [NAME], "has expired"),
    ):
        with pytest.raises(OperatorError, match=said):
            orders._checked(text, its_key, names)


def test_damaged_certificate_is_replaced_by_the_local_authority_s(tmp_path: Path) -> None:
    home, settings = set_up(tmp_path, 8080, directory="https://ca.example.edu/dir")
    certificates.ensure(home, settings)
    pem, key = chained(tmp_path / "old.pem", 20, host=NAME)
    home.acme_certificate.write_text(pem[0] + key.read_text())
    certificates.ensure(home, settings)
    assert settings.edge_certificate(home)[0] == home.acme_certificate
    home.acme_certificate.write_text(pem[0] + key.read_text()[:-90])
    certificates.ensure(home, settings)
    assert settings.edge_certificate(home)[0] == home.certificates / "edge.pem"
    (home.acme).mkdir(exist_ok=True)
    (home.acme / "renewal.json").write_text("{")
    assert renewal.plan(home, settings, now()).reason == "there is none yet"


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        (Settings(acme=Acme(directory="https://ca.example.edu/dir")), "acme.directory"),
        (
            Settings(
                public_url=f"https://{NAME}", acme=Acme(directory="http://ca.example.edu/dir")
            ),
            "acme.directory",
        ),
        (
            Settings(acme=Acme(directory="https://ca.example.edu/dir", names=("localhost",))),
            "acme.names",
        ),
        (
            Settings(acme=Acme(directory="https://ca.example.edu/dir", names=(f"*.{NAME}",))),
            "acme.names",
        ),
        (
            Settings(
                public_url=f"https://{NAME}",
                tls=Tls("/a", "/b"),
                acme=Acme(directory="https://ca.example.edu/dir"),
            ),
            "acme.directory",
        ),
        (Settings(acme=Acme(account_key_id="kid-1")), "acme.account_key_id"),
    ],
)
def test_settings_that_no_authority_could_follow_are_refused(
    settings: Settings, setting: str
) -> None:
    assert [one.setting for one in settings_faults.found(settings, ())] == [setting]


@pytest.mark.parametrize("profile", ["intermediate", "modern"])
async def test_profile_says_which_browsers_get_in(tmp_path: Path, profile: str) -> None:
    home, settings = set_up(tmp_path, free_ports(1)[0])
    settings = msgspec.structs.replace(settings, tls=Tls(profile=profile))  # type: ignore[arg-type]
    tls = configured(home, settings)
    old = {"intermediate": "TLSv1.2", "modern": ""}[profile]
    async with running(home, settings, tls):
        assert await _spoken(tls, _any()) == "TLSv1.3"
        for ciphers, expected in (("ECDHE+AESGCM", old), ("ECDHE+AES:!AESGCM:!AESCCM", "")):
            context = _any()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
            assert await _spoken(tls, context) == expected, ciphers


def _any() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _spoken(tls: configuration.Tls, context: ssl.SSLContext) -> str:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", tls.port, ssl=context)
    except OSError:
        return ""
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    return str(version)


def _write_anew(home: Home, settings: Settings, tls: configuration.Tls) -> None:
    from chitlaq import inventory
    from chitlaq.stack.install import users
    from chitlaq.stack.servers import nginx

    user = users.service_user()
    declared = {row.name: routes.for_members(load(row)) for row in inventory.SERVICES}
    modules = nginx.modules(nginx.program(home, settings).path)
    text = configuration.render(
        home, settings, declared, user.pw_name if user else None, modules, tls
    )
    configuration.write(home, text, declared, secrets.ensure(home).edge_key)


async def test_answer_on_revocation_is_stapled_where_the_certificate_names_who_gives_it(
    tmp_path: Path,
) -> None:
    home, settings = set_up(tmp_path, free_ports(1)[0])
    certificates.ensure(home, settings)
    with ocsp_responder() as (url, answers):
        pem, key = chained(tmp_path / "site.pem", 60, 3000, responder=url)
        (tmp_path / "site.pem").write_text("".join(pem))
        answers.append(_good(pem, key))
        found = certificates.responder(tmp_path / "site.pem")
        assert (found, certificates.responder(home.authority)) == (url, "")
        port = settings.ports.edge_tls  # type: ignore[attr-defined]
        tls = configuration.Tls(port, tmp_path / "site.pem", key, is_stapled=True)
        async with running(home, settings, tls):

            async def is_stapled() -> bool:
                # nginx asks for the answer once somebody has connected.
                return await asyncio.to_thread(_stapled, port) == answers[0]

            await eventually(is_stapled)


class _Responder(BaseHTTPRequestHandler):
    """Gives the one answer that it has to every question."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/ocsp-response")
        self.end_headers()
        self.wfile.write(self.server.answers[0])  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def ocsp_responder() -> Iterator[tuple[str, list[bytes]]]:
    """Yield the URL of a server, and the list whose first answer it gives."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Responder)
    answers: list[bytes] = []
    server.answers = answers  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _good(pem: list[str], key: Path) -> bytes:
    """The authority's word that the first certificate of a chain was not revoked."""
    leaf, issuer = (x509.load_pem_x509_certificate(one.encode()) for one in pem)
    signing = serialization.load_pem_private_key(key.with_suffix(".ca").read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    return (
        ocsp.OCSPResponseBuilder()
        .add_response(
            leaf,
            issuer,
            hashes.SHA1(),
            ocsp.OCSPCertStatus.GOOD,
            now() - HOUR,
            now() + 24 * HOUR,
            None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.NAME, issuer)
        .sign(signing, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def _stapled(port: int) -> bytes:
    """The answer that nginx sends with its certificate; empty if it sends none."""
    found: list[bytes] = []

    def take(_: SSL.Connection, answer: bytes, __: object) -> bool:
        found.append(answer)
        return True

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_ocsp_client_callback(take)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        wire.settimeout(None)
        connection = SSL.Connection(context, wire)
        connection.request_ocsp()
        connection.set_connect_state()
        connection.do_handshake()
    return found[0] if found else b""
