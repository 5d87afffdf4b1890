"""When nginx's certificate is renewed by ACME, and what became of the last try.

Nobody asks an authority twice at once, and none is asked again before its time, over restarts too.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs

if TYPE_CHECKING:
    # Imported late below: it takes a quarter of a second.
    from cryptography import x509

FIRST_PAUSE = timedelta(hours=1)
LONGEST_PAUSE = timedelta(days=1)
LEAST_TRIES = 8
"""So many tries fit into what is left of a certificate's life, unless it is an hour or two."""

log = logs.get("certificates")


class State(msgspec.Struct, frozen=True):
    """What is kept of the tries.

    Args:
        issued_by: the directory that issued the certificate in use.
        rehearsed: what has succeeded at the staging directory, as `_order_of` says it.
        attempted: the same of the last try, at whichever directory.
        attempted_at: when that was.
        failures: how many tries have failed since the last that succeeded.
        reason: why the last one failed.
        not_before: before that, nobody asks again.
    """

    issued_by: str = ""
    rehearsed: str = ""
    attempted: str = ""
    attempted_at: datetime | None = None
    failures: int = 0
    reason: str = ""
    not_before: datetime | None = None


class Plan(msgspec.Struct, frozen=True):
    """What is next.

    Args:
        reason: why a certificate is ordered; empty if that is not due.
        at: when: in the past if it is due and nothing holds it up.
        directories: who is asked, in this order.
        names: for which names.
        failures: how many tries have failed in a row.
        failure: why the last one did.
    """

    reason: str
    at: datetime
    directories: list[str]
    names: list[str]
    failures: int
    failure: str

    def is_due(self, now: datetime) -> bool:
        return bool(self.reason) and self.at <= now


def is_wanted(settings: Settings) -> bool:
    """Whether nginx's certificate comes by ACME."""
    return bool(settings.acme.directory) and not settings.tls.certificate


def plan(home: Home, settings: Settings, now: datetime) -> Plan:
    """Return what is next: at two thirds of the certificate's life, or at once if it is none of ours."""
    state, found = _state(home), _certificate(home)
    reason, at = "", now
    if found is None:
        reason = "there is none yet"
    elif state.issued_by != settings.acme.directory:
        reason = "it is of another directory"
    elif set(_names_of(found)) != set(settings.acme_names):
        reason = f"it is for {', '.join(_names_of(found))}"
    else:
        life = found.not_valid_after_utc - found.not_valid_before_utc
        at = found.not_valid_before_utc + life * 2 / 3
        if at <= now:
            reason = "two thirds of its life are over"
    is_same = state.attempted == _order_of(settings)
    if is_same and state.failures and state.not_before is not None:
        at = max(at, state.not_before)
    staging = settings.acme.staging
    is_rehearsed = not staging or state.rehearsed == _order_of(settings)
    return Plan(
        reason,
        at,
        [*([] if is_rehearsed else [staging]), settings.acme.directory],
        list(settings.acme_names),
        state.failures if is_same else 0,
        state.reason if is_same else "",
    )


def renew(home: Home, settings: Settings, now: datetime) -> None:
    """Order a certificate, whether or not one is due, and put it where nginx reads it next.

    Args:
        home: where it is put.
        settings: of whom it is ordered, and for which names.
        now: the present time.

    Raises:
        OperatorError: there is none, and the one in use stays; or a renewal is going on.
    """
    # The library takes a third of a second.
    from chitlaq.stack.acme import orders

    with _alone(home):
        wanted = plan(home, settings, now)
        # Before anybody is asked: a try that is killed, or hangs until it is, counts as failed.
        state = _failed(home, settings, now, "it was interrupted", timedelta())
        try:
            for directory in wanted.directories:
                log.info("certificate ordered", directory=directory, names=wanted.names)
                issued = orders.issue(home, settings, directory)
                if directory == settings.acme.staging:
                    state = msgspec.structs.replace(state, rehearsed=_order_of(settings))
                    _keep(home, state)
            files.write(home.acme_certificate, issued, mode=0o600)
        except orders.OrderError as error:
            _failed(home, settings, now, str(error), error.wait, counted=state)
            raise
        _keep(
            home,
            State(settings.acme.directory, state.rehearsed, _order_of(settings), attempted_at=now),
        )


def drop_damaged(home: Home) -> None:
    """Remove a certificate that nginx could not start with: it gets the local authority's until the next."""
    if home.acme_certificate.exists() and _certificate(home) is None:
        log.warning("damaged certificate removed", file=str(home.acme_certificate))
        home.acme_certificate.unlink()


def _failed(
    home: Home,
    settings: Settings,
    now: datetime,
    reason: str,
    wait: timedelta,
    *,
    counted: State | None = None,
) -> State:
    """Write down that a try has failed.

    Args:
        home: where it is written.
        settings: what was ordered.
        now: when.
        reason: why.
        wait: for how long the authority does not want to be asked again.
        counted: what was written before the try, which counts it already.
    """
    before, order = counted or _state(home), _order_of(settings)
    failures = before.failures if before.attempted == order else 0
    if counted is None:
        failures += 1
    state = msgspec.structs.replace(
        before,
        attempted=order,
        attempted_at=now,
        failures=failures,
        reason=reason,
        not_before=now + max(_pause(failures, _left(home, now)), wait),
    )
    _keep(home, state)
    return state


def _pause(failures: int, left: timedelta | None) -> timedelta:
    """Until the next try: twice as long each time, and less when the certificate ends soon."""
    pause = min(FIRST_PAUSE * int(2 ** min(failures - 1, 10)), LONGEST_PAUSE)
    return pause if left is None else max(FIRST_PAUSE, min(pause, left / LEAST_TRIES))


def _left(home: Home, now: datetime) -> timedelta | None:
    found = _certificate(home)
    return None if found is None else found.not_valid_after_utc - now


def _order_of(settings: Settings) -> str:
    """What is ordered and how: after a change of it, earlier tries say nothing."""
    acme = settings.acme
    how = acme.dns_hook or "HTTP-01"
    parts = (acme.directory, acme.staging, acme.root, acme.account_key_id, how)
    return " ".join((*settings.acme_names, *parts))


def _names_of(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(found.get_values_for_type(x509.DNSName))


def _certificate(home: Home) -> x509.Certificate | None:
    """The certificate in use; None if there is none, or none that its key fits."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        content = home.acme_certificate.read_bytes()
        certificate = x509.load_pem_x509_certificate(content)
        key = serialization.load_pem_private_key(content, None)
    except (FileNotFoundError, ValueError):
        return None
    return certificate if key.public_key() == certificate.public_key() else None


def _state_file(home: Home) -> Path:
    return home.acme / "renewal.json"


def _state(home: Home) -> State:
    try:
        return msgspec.json.decode(_state_file(home).read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return State()


def _keep(home: Home, state: State) -> None:
    files.write(_state_file(home), msgspec.json.encode(state), mode=0o600)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    home.acme.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home.acme / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperatorError("The certificate is being renewed already.") from None
        yield
