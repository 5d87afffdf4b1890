"""Ask a service on its own socket, with the installation's operator token: what no member may."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from chitlaq.cli import installation
from chitlaq.core.errors import OperatorError

SECONDS = 60.0

T = TypeVar("T")


class _Problem(msgspec.Struct):
    detail: str
    errors: dict[str, str] = {}


def ask(service: str, method: str, path: str, answer: type[T], body: object = None) -> T:
    """Return what a service answers to an operator.

    Raises:
        OperatorError: it does not answer, or refuses; the message says why, by field or line if it did.
    """
    return asyncio.run(_asked(service, method, path, answer, body))


async def _asked(service: str, method: str, path: str, answer: type[T], body: Any) -> T:
    from chitlaq.core.host import http_client
    from chitlaq.core.installation.secrets import Secrets

    home, _ = installation.current()
    try:
        found = await http_client.request(
            method,
            f"http://localhost{path}",
            timeout_seconds=SECONDS,
            headers={
                "Authorization": f"Bearer {Secrets(home.secrets).ops_token}",
                "Content-Type": "application/json",
            },
            body=b"" if body is None else msgspec.json.encode(body),
            socket=home.service_socket(service, 0),
        )
    except http_client.NoAnswerError as error:
        raise OperatorError(
            f"{service} does not answer ({error}): is the stack up? See `chitlaq ps`."
        ) from None
    if found.status < HTTPStatus.BAD_REQUEST:
        return msgspec.json.decode(found.body or b"null", type=answer)
    try:
        problem = msgspec.json.decode(found.body, type=_Problem)
    except msgspec.DecodeError:
        raise OperatorError(f"{service} answered {found.status}: {found.text[:200]}") from None
    reasons = [f"{field}: {reason}" for field, reason in problem.errors.items()]
    raise OperatorError("\n".join(reasons) or problem.detail)
