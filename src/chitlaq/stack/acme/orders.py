"""One order at an authority, by certbot's client library: account, names, challenges, certificate."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
from acme import client, crypto_util, errors, messages
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWK

from chitlaq import __version__
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.acme import challenges

ANSWER_SECONDS = 30
"""Until the authority begins to answer a request, and between two parts of an answer."""
ORDER_SECONDS = 240
"""Until it has validated the names, and then until it has issued."""
LONGEST_WAIT_SECONDS = 86_400.0
"""A wrong authority could ask us never to come again."""
_WAITS = {429, 503}


class OrderError(OperatorError):
    """There is no certificate; says why, after the authority's name.

    Args:
        wait: for how long the authority does not want to be asked again.
    """

    def __init__(self, message: str, wait: timedelta) -> None:
        super().__init__(message)
        self.wait = wait


def issue(home: Home, settings: Settings, directory: str) -> str:
    """Return a new private key with a certificate for it and what is between that and its root, as PEM.

    Args:
        home: where the account's key is kept, and nginx finds the answers to challenges.
        settings: the names, and how they are shown to be ours.
        directory: the URL of the authority's directory.

    Raises:
        OrderError: the authority refuses, does not answer, or answers with what is no certificate of ours.
    """
    account = _account_key(home, directory)
    network = client.ClientNetwork(
        account,
        alg=ES256,
        verify_ssl=_trusted(settings),  # type: ignore[arg-type]  # it hands it to requests
        user_agent=f"ChitLaq/{__version__}",
        timeout=ANSWER_SECONDS,
    )
    waits: list[timedelta] = []
    network.session.hooks["response"].append(lambda answer, **_: waits.append(_wait(answer)))
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        chain = _order(home, settings, directory, network, account, _pem(key))
        return _pem(key).decode() + _checked(chain, key, settings.acme_names)
    except OperatorError as error:
        reason = str(error)
    except Exception as error:  # whatever the library stumbles over in an answer
        reason = _reason(error)
    raise OrderError(f"{directory}: {reason}", max(waits, default=timedelta()))


def _order(
    home: Home,
    settings: Settings,
    directory: str,
    network: client.ClientNetwork,
    account: JWK,
    key: bytes,
) -> str:
    found = client.ClientV2.get_directory(directory, network)
    authority = client.ClientV2(found, network)
    _sign_in(settings, authority, account)
    order = authority.new_order(crypto_util.make_csr(key, domains=list(settings.acme_names)))
    with challenges.answering(home, settings, account) as answer:
        for one in order.authorizations:
            if one.body.status != messages.STATUS_VALID:
                chosen = answer(one)
                authority.answer_challenge(chosen, chosen.chall.response(account))
        order = authority.poll_authorizations(order, _deadline())
    order = authority.finalize_order(order, _deadline())
    return str(order.fullchain_pem)


def _deadline() -> datetime:
    # The library compares with this machine's own time, without a zone.
    return datetime.now() + timedelta(seconds=ORDER_SECONDS)  # noqa: DTZ005


def _sign_in(settings: Settings, authority: client.ClientV2, account: JWK) -> None:
    """Make the account, or find the one that the key has: an authority knows it by that."""
    network, acme = authority.net, settings.acme
    bound = None
    if acme.account_key_id:
        bound = messages.ExternalAccountBinding.from_data(
            account.public_key(),
            acme.account_key_id,
            acme.account_hmac_key.reveal(),
            authority.directory,
        )
    wanted = messages.NewRegistration.from_data(
        email=acme.contact or None, terms_of_service_agreed=True, external_account_binding=bound
    )
    try:
        authority.new_account(wanted)
    except errors.ConflictError as known:
        network.account = messages.RegistrationResource(uri=known.location, body=wanted)


def _account_key(home: Home, directory: str) -> JWK:
    """The key of our account at an authority; made where it is missing."""
    home.acme.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home.acme / f"account-{hashlib.sha256(directory.encode()).hexdigest()[:16]}.pem"
    if not path.exists():
        files.write(path, _pem(ec.generate_private_key(ec.SECP256R1())), mode=0o600)
    return JWK.load(path.read_bytes())


def _trusted(settings: Settings) -> str | bool:
    """Whom the directory's HTTPS is trusted from: the setting's root, or else the machine's own store."""
    if settings.acme.root:
        return str(Path(settings.acme.root).expanduser())
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _checked(chain: str, key: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> str:
    """Return a chain if nginx can serve it for these names now.

    Raises:
        OperatorError: it is no such chain.
    """
    try:
        leaf, *others = x509.load_pem_x509_certificates(chain.encode())
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for certificate, issuer in zip([leaf, *others], others, strict=False):
            certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise OperatorError(f"what it issued is no certificate with its chain ({error})") from None
    if leaf.public_key() != key.public_key():
        raise OperatorError("what it issued is for another key")
    if missing := set(names) - set(found.get_values_for_type(x509.DNSName)):
        raise OperatorError(f"what it issued is not for {', '.join(sorted(missing))}")
    if leaf.not_valid_after_utc.timestamp() < time.time():
        raise OperatorError("what it issued has expired, or this machine's clock is wrong")
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in (leaf, *others))


def _wait(answer: requests.Response) -> timedelta:
    """For how long a refusal asks us to wait (RFC 9110, 10.2.3)."""
    if answer.status_code not in _WAITS:
        return timedelta()
    asked = answer.headers.get("Retry-After", "")
    try:
        seconds = int(asked) if asked.isdecimal() else _until(asked)
    except ValueError:
        return timedelta()
    return timedelta(seconds=min(max(seconds, 0), LONGEST_WAIT_SECONDS))


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()


def _reason(error: Any) -> str:
    """What an operator can do something with, in one line."""
    if isinstance(error, errors.ValidationError):
        return "; ".join(
            f"{one.body.identifier.value} is not shown to be ours: {challenge.error.detail}"
            for one in error.failed_authzrs
            for challenge in one.body.challenges
            if challenge.error is not None
        )
    if isinstance(error, errors.IssuanceError):
        error = error.error
    if isinstance(error, messages.Error):
        return f"{error.detail or error.title or 'refused'} ({error.typ})"
    if isinstance(error, errors.TimeoutError):
        return f"not done within {ORDER_SECONDS} s"
    if isinstance(error, requests.RequestException):
        return f"no answer ({type(error).__name__}: {_short(error)})"
    return f"no answer that could be understood ({type(error).__name__}: {_short(error)})"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
