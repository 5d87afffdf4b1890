"""Encryption with age, to public keys; the private keys are not on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO

import pyrage

from chitlaq.core.errors import OperatorError


def generate_keys() -> tuple[str, str]:
    """Create a key pair; returns the private and the public key."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def write_key_file(file: Path) -> str:
    """Write a new private key to a file that only its owner reads; returns the public key.

    Raises:
        OperatorError: the file exists, or cannot be written.
    """
    private, public = generate_keys()
    if file.exists():
        raise OperatorError(f"{file} exists, and a key is never overwritten.")
    try:
        file.touch(mode=0o600)
        file.write_text(
            f"# Private key of ChitLaq's backups, created {datetime.now().astimezone():%Y-%m-%d}.\n"
            "# Only this key can decrypt the backups.\n"
            f"# public key: {public}\n{private}\n"
        )
    except OSError as error:
        raise OperatorError(f"{file} cannot be written: {error.strerror}.") from None
    return public


def parse_recipients(keys: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    """Parse public keys.

    Raises:
        OperatorError: one is invalid; the message names it.
    """
    found = []
    for key in keys:
        try:
            found.append(pyrage.x25519.Recipient.from_str(key.strip()))
        except pyrage.RecipientError:
            hint = " It is a private key: remove it from this machine." if "SECRET" in key else ""
            raise OperatorError(
                f"backups.recipients contains {key[:12]}…, which is not a public age key (age1…).{hint}"
            ) from None
    return found


def read_identity(path: Path) -> str:
    """Read a private key from a file as written by `chitlaq backup key` or age-keygen.

    Raises:
        OperatorError: the file has none, or cannot be read.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        lines = []
    for line in lines:
        if line.strip().startswith("AGE-SECRET-KEY-"):
            return line.strip()
    raise OperatorError(
        f"{path} contains no private age key: a line starting with AGE-SECRET-KEY-1."
    )


def encrypt(data: bytes, keys: Sequence[str]) -> bytes:
    sealed: bytes = pyrage.encrypt(data, parse_recipients(keys))
    return sealed


def encrypt_stream(source: IO[bytes], target: IO[bytes], keys: Sequence[str]) -> None:
    pyrage.encrypt_io(source, target, parse_recipients(keys))


def decrypt_stream(source: IO[bytes], target: IO[bytes], key: str) -> None:
    """Decrypt a file; after an error the output is incomplete.

    Raises:
        OperatorError: the key does not fit, or the data is damaged.
    """
    try:
        pyrage.decrypt_io(source, target, [_private(key)])
    except (pyrage.DecryptError, OSError) as error:
        raise OperatorError(
            f"Decryption failed ({error}): the key does not fit, or the data is damaged."
        ) from None


def _private(key: str) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(key)
    except pyrage.IdentityError:
        raise OperatorError("Not a private age key: it must start with AGE-SECRET-KEY-1.") from None
