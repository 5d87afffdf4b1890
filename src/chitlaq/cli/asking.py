"""Ask a service that runs on this machine, on its own socket and with the installation's operator token."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import msgspec

from chitlaq.cli import installation
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.core.host.http_client import Response

T = TypeVar("T")

SECONDS = 30.0


class _Problem(msgspec.Struct):
    detail: str


def ask(service: str, method: str, path: str, answers: type[T], body: object = None) -> T:
    """Send a request for operators to a service's first process, and return what it answers.

    Args:
        service: its name, ``auth-service``.
        method: such as ``POST``.
        path: as the service declares it, with its query.
        answers: the type of the answer's body; `types.NoneType` for an answer without one.
        body: what is sent as JSON; None sends nothing.

    Raises:
        OperatorError: the service does not run, or refuses; the message says why.
    """
    answer = asyncio.run(_ask(service, method, path, body))
    if answer.status >= HTTPStatus.BAD_REQUEST:
        try:
            reason = msgspec.json.decode(answer.body, type=_Problem).detail
        except msgspec.DecodeError:
            reason = f"{service} answered {answer.status}."
        raise OperatorError(reason)
    return msgspec.json.decode(answer.body or b"null", type=answers)


async def _ask(service: str, method: str, path: str, body: object) -> Response:
    from chitlaq.core.host import http_client
    from chitlaq.core.installation.secrets import Secrets

    home, _ = installation.current()
    headers = {"Authorization": f"Bearer {Secrets(home.secrets).ops_token}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        return await http_client.request(
            method,
            f"http://localhost{path}",
            timeout_seconds=SECONDS,
            headers=headers,
            body=b"" if body is None else msgspec.json.encode(body),
            socket=home.service_socket(service, 0),
        )
    except http_client.NoAnswerError as error:
        raise OperatorError(
            f"{service} does not answer: {error}. See `chitlaq ps` and `chitlaq logs {service}`."
        ) from None
