"""How an authority is shown that a name is ours: a file that nginx serves, or a DNS record."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from acme import challenges, messages
from josepy.jwk import JWK

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs

HOOK_SECONDS = 300
"""A record may take minutes until the world can read it."""
# RFC 8555, 8.3: of base64url's characters. It becomes a file's name.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,200}")

log = logs.get("certificates")

Answer = Callable[[messages.AuthorizationResource], messages.ChallengeBody]
"""Prepares the answer to one of an authorization's challenges, and returns that challenge."""


@contextmanager
def answering(home: Home, settings: Settings, key: JWK) -> Iterator[Answer]:
    """Yield what prepares answers; they are taken back at the end.

    Args:
        home: where nginx finds files.
        settings: whether there is a hook for DNS.
        key: the account's.
    """
    for left in home.acme_challenges.glob("*"):
        left.unlink()  # by one that was killed
    with ExitStack() as prepared:

        def answer(authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
            chosen = _chosen(authorization, is_by_dns=bool(settings.acme.dns_hook))
            value = chosen.chall.validation(key)
            if settings.acme.dns_hook:
                hook = Path(settings.acme.dns_hook).expanduser()
                name = chosen.chall.validation_domain_name(authorization.body.identifier.value)
                prepared.enter_context(_recorded(hook, name, value))
            else:
                token = chosen.chall.encode("token")
                prepared.enter_context(_served(home.acme_challenges, token, value))
            return chosen

        yield answer


def _chosen(
    authorization: messages.AuthorizationResource, *, is_by_dns: bool
) -> messages.ChallengeBody:
    wanted = challenges.DNS01 if is_by_dns else challenges.HTTP01
    for one in authorization.body.challenges:
        if isinstance(one.chall, wanted):
            return one
    offered = ", ".join(one.chall.typ for one in authorization.body.challenges)
    remedy = "" if is_by_dns else ": set acme.dns_hook"
    raise OperatorError(
        f"for {authorization.body.identifier.value} the authority offers {offered or 'no challenge'},"
        f" and not {wanted.typ}{remedy}"
    )


@contextmanager
def _served(folder: Path, token: str, value: str) -> Iterator[None]:
    if not _TOKEN.fullmatch(token):
        raise OperatorError(f"the authority's token {token[:40]!r} is no token")
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = files.write(folder / token, value, mode=0o644, is_durable=False)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _recorded(hook: Path, name: str, value: str) -> Iterator[None]:
    try:
        _run(hook, "present", name, value)
        yield
    finally:
        try:
            _run(hook, "cleanup", name, value)
        except OperatorError as error:
            # A record too many harms nothing.
            log.warning("challenge's record not removed", name=name, error=str(error))


def _run(hook: Path, word: str, name: str, value: str) -> None:
    """Run the hook with a name that ends with a dot, as lego does."""
    # It must not get what systemd or an operator's shell has for ChitLaq.
    kept = {name: found for name, found in os.environ.items() if not name.startswith("CHITLAQ_")}
    programs.run(
        [hook, word, f"{name}.", value], timeout_seconds=HOOK_SECONDS, environment=kept
    ).checked()
