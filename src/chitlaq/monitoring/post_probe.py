"""Let a synthetic member write a post, through the edge, as members do, and see what comes of it."""

from __future__ import annotations

import time
from http import HTTPStatus
from uuid import uuid4

import msgspec

from chitlaq.core.host import http_client
from chitlaq.core.host.http_client import Response
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.logs.access import PROBE_AGENT
from chitlaq.monitoring import round_trip

REQUEST_SECONDS = 4.0


class PostProbeError(Exception):
    """What came of the post is not what a member expects; the message says what."""


class _Post(msgspec.Struct):
    id: str
    text: str


async def measure(home: Home, settings: Settings) -> float:
    """Return the seconds from writing a post to reading it.

    Its author alone may read it, which the other synthetic member tries; then it is deleted.

    Raises:
        UnknownResult: auth-service did not sign the synthetic members in.
        PostProbeError: the post was not stored, not read as it was written, shown to another, or not deleted.
        OperatorError: the operators' token cannot be read.
    """
    author, other = (await round_trip.sign_in(home, settings)).tokens
    posts = settings.url_of("nginx") + "/api/posts"

    async def ask(
        what: str, method: str, url: str, token: str, *expected: int, body: bytes = b""
    ) -> Response:
        headers = {"Authorization": f"Bearer {token}", "User-Agent": PROBE_AGENT}
        if body:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        try:
            answer = await http_client.request(
                method, url, timeout_seconds=REQUEST_SECONDS, headers=headers, body=body
            )
        except http_client.NoAnswerError as error:
            raise PostProbeError(f"{what}: {error}") from None
        if answer.status not in expected:
            raise PostProbeError(f"{what}: {_said(answer)}")
        return answer

    text = f"probe {uuid4()}"
    body = msgspec.json.encode({"text": text, "visibility": "self"})
    started = time.perf_counter()
    written = _post(await ask("not written", "POST", posts, author, HTTPStatus.CREATED, body=body))
    url = f"{posts}/{written.id}"
    read = _post(await ask("not read", "GET", url, author, HTTPStatus.OK))
    seconds = time.perf_counter() - started
    if (written.text, read.text) != (text, text):
        raise PostProbeError(f"it is read as another text, request of post {written.id}")
    await ask("another member was not refused", "GET", url, other, HTTPStatus.NOT_FOUND)
    await ask("not deleted", "DELETE", url, author, HTTPStatus.NO_CONTENT)
    await ask("it is read after its deletion", "GET", url, author, HTTPStatus.NOT_FOUND)
    return seconds


def _post(answer: Response) -> _Post:
    try:
        return msgspec.json.decode(answer.body, type=_Post)
    except msgspec.DecodeError:
        raise PostProbeError(f"unexpected content: {_said(answer)}") from None


def _said(answer: Response) -> str:
    return f"status {answer.status}, request ID {answer.headers.get('x-request-id', '-')}"
