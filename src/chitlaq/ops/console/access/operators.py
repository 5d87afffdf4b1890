"""The operators' own accounts, independent of members': one file, so that they work without any server.

It lies among the secrets: only the service's user reads it, and a configuration backup encrypts it.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from chitlaq.core import passwords
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.ops.console.access.sessions import Session

FILE = "operators.json"
LEAST_CHARACTERS = 12
MOST_CHARACTERS = 200
STEP_SECONDS = 30
NEIGHBOURING_STEPS = (0, -1, 1)
"""A telephone's clock may be half a minute wrong."""
_NAME = re.compile(r"[A-Za-z][\w.@-]{0,63}", re.ASCII)


class Operator(msgspec.Struct, frozen=True):
    """One operator; sessions that began before ``changed_at`` are over."""

    name: str
    password_hash: str
    totp_secret: str
    added_at: datetime
    changed_at: datetime


class Operators:
    """The file, read at each use, because commands change it while ops-service runs."""

    def __init__(self, home: Home) -> None:
        self._path = home.secrets / FILE

    def listed(self) -> list[Operator]:
        """Return all operators by name.

        Raises:
            OperatorError: the file cannot be read.
        """
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=list[Operator])
        except FileNotFoundError:
            return []
        except OSError as error:
            raise OperatorError(f"{self._path} cannot be read: {error.strerror}.") from None
        except msgspec.MsgspecError as error:
            raise OperatorError(
                f"{self._path} is damaged ({error}): put it back from a configuration backup, or remove it"
                " and add the operators again. `chitlaq console` signs you in meanwhile."
            ) from None
        return sorted(found, key=lambda one: one.name)

    def find(self, name: str) -> Operator | None:
        return next((one for one in self.listed() if one.name == name), None)

    def allows(self, session: Session) -> bool:
        """Whether a session still counts: its operator was neither removed nor given a new password.

        A link also signs in who has no account, and while the file is damaged; `Sessions.end_all` ends
        such sessions, too.
        """
        try:
            found = self.find(session.operator)
        except OperatorError:
            return session.is_by_link
        if found is None:
            return session.is_by_link
        return found.changed_at <= session.started_at

    async def add(self, name: str, password: str) -> Operator:
        """Add an operator with a new TOTP secret.

        Raises:
            OperatorError: the name is taken or no name, or the password too short.
        """
        if not _NAME.fullmatch(name):
            raise OperatorError(
                f"{name!r} cannot be an operator's name: begin with a letter; letters, digits and . _ @ -"
                " may follow."
            )
        now = datetime.now(UTC)
        made = Operator(name, await _hashed(password), _new_secret(), now, now)
        with self._changing() as known:
            if name in known:
                raise OperatorError(
                    f"There is an operator {name} already: `chitlaq operators password {name}`."
                )
            known[name] = made
        return made

    async def change_password(self, name: str, password: str) -> None:
        """Give an operator a new password, and end their sessions."""
        password_hash = await _hashed(password)
        with self._changing() as known:
            known[name] = msgspec.structs.replace(
                _existing(known, name), password_hash=password_hash, changed_at=datetime.now(UTC)
            )

    def renew_totp(self, name: str) -> Operator:
        """Give an operator a new TOTP secret, and end their sessions."""
        with self._changing() as known:
            known[name] = msgspec.structs.replace(
                _existing(known, name), totp_secret=_new_secret(), changed_at=datetime.now(UTC)
            )
            return known[name]

    def remove(self, name: str) -> None:
        """Remove an operator, and end their sessions."""
        with self._changing() as known:
            _existing(known, name)
            del known[name]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Operator]]:
        folder = _folder(self._path)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = {one.name: one for one in self.listed()}
            yield known
            files.write(self._path, msgspec.json.encode(list(known.values())) + b"\n", mode=0o600)
        finally:
            os.close(lock)


def enrolment(operator: Operator) -> str:
    """Return what an authenticator app reads: an ``otpauth`` URI."""
    import pyotp

    totp = pyotp.TOTP(operator.totp_secret)
    uri: str = totp.provisioning_uri(name=operator.name, issuer_name="ChitLaq")
    return uri


def step_of(operator: Operator, code: str, after: int | None) -> int | None:
    """Return the time step whose code this is, if that is later than one that was used; None if wrong.

    RFC 6238, 5.2: a code counts once.
    """
    import pyotp

    given = "".join(code.split()).encode()
    totp = pyotp.TOTP(operator.totp_secret)
    now = int(time.time()) // STEP_SECONDS
    for step in (now + offset for offset in NEIGHBOURING_STEPS):
        is_right = hmac.compare_digest(totp.generate_otp(step).encode(), given)
        if is_right and (after is None or step > after):
            return step
    return None


async def _hashed(password: str) -> str:
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise OperatorError(
            f"A password has between {LEAST_CHARACTERS} and {MOST_CHARACTERS} characters: this one has"
            f" {len(password)}."
        )
    return await passwords.hashed(password)


def _new_secret() -> str:
    import pyotp

    secret: str = pyotp.random_base32()
    return secret


def _existing(known: dict[str, Operator], name: str) -> Operator:
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise OperatorError(f"There is no operator {name}; there are: {names}.")
    return known[name]


def _folder(path: Path) -> Path:
    if not path.parent.is_dir():
        raise OperatorError(
            f"{path.parent} does not exist yet: `chitlaq up` makes it at its first start."
        )
    return path.parent
