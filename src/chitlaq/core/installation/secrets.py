"""Secrets: generated at the first start, one file each with mode 0600, never a default value."""

from __future__ import annotations

import secrets as random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chitlaq import inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home

SUPERUSER = "postgres"
BACKUP = "chitlaq_backup"
POSTGRES_ROLES = (SUPERUSER, "chitlaq", *(row.role for row in inventory.SERVICES), BACKUP)
"""The superuser, the owner of the schemas, a role per service, and the replication role."""

OBSERVERS_KEY = "observers.pem"
OPERATOR, OPERATOR_PASSWORD = "operator", "operator-password"
"""Who may write at monitoring-proxy, and the file with the password."""
_SIGNING_KEYS = "token-signing-key*.pem"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one installation, read on access."""

    folder: Path

    def postgres_password(self, role: str) -> str:
        return self._read(f"postgres-{role}")

    @property
    def redis_password(self) -> str:
        return self._read("redis")

    @property
    def demo_password(self) -> str:
        """The shared password of the demo members."""
        return self._read("demo-password")

    @property
    def ops_token(self) -> str:
        """Alertmanager's bearer token at ops-service."""
        return self._read("ops-token")

    @property
    def observers_key(self) -> str:
        """The key and certificate (PEM) of the observers and of those that may write to them."""
        return self._read(OBSERVERS_KEY)

    @property
    def operator_password(self) -> str:
        """The password of the user ``operator`` at monitoring-proxy."""
        return self._read(OPERATOR_PASSWORD)

    @property
    def edge_key(self) -> str:
        """The key of the seal by which nginx recognises access tokens; auth-service seals with it."""
        return self._read("edge-key")

    @property
    def subscription_key(self) -> str:
        """The key of the links in mails to subscribers of the status page; only ops-service signs with it."""
        return self._read("subscription-key")

    @property
    def sealing_key(self) -> str:
        """The key by which auth-service encrypts what it must read again; no other process reads it."""
        return self._read("sealing-key")

    @property
    def push_key(self) -> str:
        """The private key (PEM, P-256) by which push services know this installation (VAPID); only the
        websocket service signs with it. With another one, browsers must subscribe anew."""
        return self._read("push-key.pem")

    @property
    def signing_keys(self) -> dict[str, str]:
        """The Ed25519 private keys (PEM) that sign access tokens, by the files' names; only auth-service
        reads them."""
        return {path.name: self._read(path.name) for path in self.folder.glob(_SIGNING_KEYS)}

    def add_signing_key(self) -> None:
        """Make another key that signs access tokens."""
        path = self.folder / _SIGNING_KEYS.replace("*", f"-{random.token_hex(8)}")
        files.write_once(path, _new_signing_key() + "\n")

    def forget_signing_key(self, name: str) -> None:
        """Delete the file of a key that signs no more; another process may have done so."""
        (self.folder / name).unlink(missing_ok=True)

    def values(self) -> list[str]:
        """Return the lines of all secrets that this user may read, without a key's frame."""
        found = []
        with suppress(OSError):
            for path in self.folder.iterdir():
                with suppress(OSError, UnicodeDecodeError):
                    found += lines_of(path.read_text())
        return found

    def _read(self, name: str) -> str:
        path = self.folder / name
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            raise OperatorError(
                f"The secret {path} does not exist yet: `chitlaq up` makes all secrets at its first start."
            ) from None
        except PermissionError:
            raise OperatorError(
                f"The secret {path} belongs to another user: run as the user that started ChitLaq."
            ) from None


def lines_of(secret: str) -> list[str]:
    """Return the lines of a secret that hold it: without a key's frame."""
    return [line for line in secret.splitlines() if line and not line.startswith("-----")]


def ensure(home: Home) -> Secrets:
    """Generate every secret that does not exist yet, and return all."""
    home.secrets.mkdir(parents=True, exist_ok=True)
    home.secrets.chmod(0o700)
    for role in POSTGRES_ROLES:
        _write_new(home.secrets / f"postgres-{role}", _new_password)
    _write_new(home.secrets / "redis", _new_password)
    _write_new(home.secrets / "ops-token", _new_password)
    _write_new(home.secrets / "edge-key", _new_password)
    _write_new(home.secrets / "subscription-key", _new_password)
    _write_new(home.secrets / "sealing-key", _new_password)
    demo_password = f"demo-{random.token_hex(4)}-{random.token_hex(4)}"
    _write_new(home.secrets / "demo-password", lambda: demo_password)
    if not any(home.secrets.glob(_SIGNING_KEYS)):
        _write_new(home.secrets / _SIGNING_KEYS.replace("*", ""), _new_signing_key)
    _write_new(home.secrets / "push-key.pem", _new_push_key)
    _write_new(home.secrets / OPERATOR_PASSWORD, _new_password)
    _write_new(home.secrets / OBSERVERS_KEY, _new_observers_key)
    return Secrets(home.secrets)


def _new_password() -> str:
    return random.token_urlsafe(24)


def _new_signing_key() -> str:
    """A private key whose ID, its thumbprint, no command takes for an option."""
    # Imported late: it takes a quarter of a second and is needed once.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from joserfc.jwk import OKPKey

    while True:
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        if not OKPKey.import_key(pem).thumbprint().startswith("-"):
            return pem.decode()


def _new_push_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def _new_observers_key() -> str:
    """A key and a certificate that vouches for itself: for the servers, for their clients, for a century."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ChitLaq observers")])
    names = (x509.DNSName("localhost"), x509.IPAddress(ip_address(inventory.OBSERVERS_ADDRESS)))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # From long ago, so that a clock that is corrected later does not matter.
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (private + made.public_bytes(serialization.Encoding.PEM)).decode()


def _write_new(path: Path, make: Callable[[], str]) -> None:
    """Write a file that only its owner may read, unless it exists."""
    if not path.exists():
        files.write_once(path, make() + "\n")
