"""Encryption with age: to public keys that lie here, for private keys that do not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO

import pyrage

from chitlaq.core.errors import OperatorError


def generate_keys() -> tuple[str, str]:
    """Make a pair of keys; returns the private one and the public one."""
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
            "# Whoever has it can read the backups; without it nobody can.\n"
            f"# public key: {public}\n{private}\n"
        )
    except OSError as error:
        raise OperatorError(f"{file} cannot be written: {error.strerror}.") from None
    return public


def parse_recipients(keys: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    """Read public keys.

    Raises:
        OperatorError: one is none, named.
    """
    found = []
    for key in keys:
        try:
            found.append(pyrage.x25519.Recipient.from_str(key.strip()))
        except pyrage.RecipientError:
            hint = " That is a private one: take it away from here." if "SECRET" in key else ""
            raise OperatorError(
                f"backups.recipients has {key[:12]}…, which is no public age key (age1…).{hint}"
            ) from None
    return found


def read_identity(path: Path) -> str:
    """Read a private key from a file as `chitlaq backup key` or age-keygen writes it.

    Raises:
        OperatorError: there is none in it.
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
    raise OperatorError(f"{path} has no private age key: a line that begins with AGE-SECRET-KEY-1.")


def encrypt(data: bytes, keys: Sequence[str]) -> bytes:
    sealed: bytes = pyrage.encrypt(data, parse_recipients(keys))
    return sealed


def encrypt_stream(source: IO[bytes], target: IO[bytes], keys: Sequence[str]) -> None:
    pyrage.encrypt_io(source, target, parse_recipients(keys))


def decrypt_stream(source: IO[bytes], target: IO[bytes], key: str) -> None:
    """Decrypt a file; on an error what was written by then is worthless.

    Raises:
        OperatorError: the key is not the right one, or the data is damaged.
    """
    try:
        pyrage.decrypt_io(source, target, [_private(key)])
    except (pyrage.DecryptError, OSError) as error:
        raise OperatorError(f"Not decrypted ({error}): it is another key's, or damaged.") from None


def _private(key: str) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(key)
    except pyrage.IdentityError:
        raise OperatorError(
            "That is no private age key: it begins with AGE-SECRET-KEY-1."
        ) from None
