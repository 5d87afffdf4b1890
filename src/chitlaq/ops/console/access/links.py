"""Links of `chitlaq console`: each signs in once, for ten minutes, whoever may read the operator token.

In memory only: they work when nothing can be written, and a restart ends them.
"""

from __future__ import annotations

import hashlib
import secrets
from http import HTTPStatus
from time import monotonic
from urllib.parse import urlencode

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import http_client
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings

LASTS_SECONDS = 600.0
MOST = 100
ASK_SECONDS = 10.0


class LinkWish(msgspec.Struct):
    """Whom a link signs in."""

    operator: str


class Link(msgspec.Struct):
    """The token of a link that signs in once."""

    token: str


class Links:
    def __init__(self) -> None:
        self._open: dict[str, tuple[str, float]] = {}

    def make(self, operator: str) -> str:
        """Return the token of a new link that signs in as this operator."""
        now = monotonic()
        self._open = {key: one for key, one in self._open.items() if one[1] > now}
        if len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        token = secrets.token_urlsafe(32)
        self._open[_key(token)] = (operator, now + LASTS_SECONDS)
        return token

    def is_open(self, token: str) -> bool:
        found = self._open.get(_key(token))
        return found is not None and found[1] > monotonic()

    def use(self, token: str) -> str | None:
        """Return whom a link signs in, once; None if it is no link, too old or used."""
        if not self.is_open(token):
            return None
        operator, _ = self._open.pop(_key(token))
        return operator


async def asked(home: Home, settings: Settings, operator: str) -> list[str]:
    """Ask ops-service for a link, and return its addresses: on this machine, and the public one if any.

    Raises:
        OperatorError: ops-service does not answer, or refuses.
    """
    here = f"http://localhost:{settings.port_of('ops-service')}"
    try:
        answer = await http_client.request(
            "POST",
            f"{here}/console-links",
            timeout_seconds=ASK_SECONDS,
            headers={
                "Authorization": f"Bearer {Secrets(home.secrets).ops_token}",
                "Content-Type": "application/json",
            },
            body=msgspec.json.encode(LinkWish(operator)),
        )
    except http_client.NoAnswerError as error:
        raise OperatorError(
            f"ops-service serves the console, and gives {error}: see `chitlaq ps`, and start it with"
            " `chitlaq restart ops-service` or `chitlaq up`."
        ) from None
    if answer.status != HTTPStatus.CREATED:
        raise OperatorError(f"ops-service refused ({answer.status}): {answer.text}")
    query = urlencode({"token": msgspec.json.decode(answer.body, type=Link).token})
    places = [here, *([settings.base_url] if settings.operations.public else [])]
    return [f"{place}/ops/link?{query}" for place in places]


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
