"""Real requests to services, whose answers must have in them what is known to be there.

Status 200 and the right keys do not show that a service does its work: the answer may be empty, old, or
about somebody else. So each check first finds out from another source what has to be in it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from urllib.parse import quote
from uuid import UUID

import msgspec

from chitlaq.core.errors import NotApplicable, OperatorError, TooLate, UnknownResult
from chitlaq.core.formatting import duration
from chitlaq.monitoring import round_trip
from chitlaq.ops.checks.model import Check, CheckOutcome, Section, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.judged_by import JUDGED_BY
from chitlaq.ops.checks.sources.system import SystemView

T = TypeVar("T")

LIMIT = 10
TIMEOUT_SECONDS = 8.0
"""For what asks one source after another, each of which may be silent."""
ENDED = "The session has ended."
"""What auth-service says of a token that it issued, and whose session is not in PostgreSQL."""


class _WrongAnswerError(Exception):
    """The answer is not what it has to be; the message says what it is."""

    def __init__(self, message: str, *, is_late: bool = False) -> None:
        super().__init__(message)
        self.is_late = is_late


class _Request:
    """What a check asks of a service, and how the last answer came."""

    def __init__(self, system: SystemView, service: str, path: str) -> None:
        self._system = system
        self._service = service
        self._path = path
        self.status: int | None = None
        self.seconds = 0.0

    async def body(self, shape: type[T], path: str = "", token: str = "") -> T:
        """Return the body of the answer to its path, or another one.

        Raises:
            _WrongAnswerError: there is no answer, or its status or shape is not what it has to be.
        """
        started = time.perf_counter()
        try:
            answer = await self._system.get(self._service, path or self._path, token)
        except UnknownResult as error:
            raise _WrongAnswerError(str(error), is_late=isinstance(error, TooLate)) from None
        self.seconds = time.perf_counter() - started
        identifier = answer.headers.get("x-request-id", "-")
        self.status = answer.status
        try:
            body = msgspec.json.decode(answer.body, type=shape)
        except msgspec.DecodeError:
            raise _WrongAnswerError(f"unexpected content, request ID {identifier}") from None
        if answer.status != 200:
            raise _WrongAnswerError(f"unexpected content, request ID {identifier}")
        return body


Look = Callable[[SystemView, _Request], Awaitable[str]]
"""Asks, and says what is in the answer; raises `_WrongAnswerError` if it is not what has to be there."""


def _answers(
    id: str,  # noqa: A002
    title: str,
    service: str,
    path: str,
    shape: type[object],
    content: str,
) -> Callable[[Look], Check]:
    """Declare what looks at an answer as a check."""

    def declare(look: Look) -> Check:
        async def seen(system: SystemView, request: _Request) -> str:
            try:
                return await look(system, request)
            except (UnknownResult, NotApplicable):
                # Without knowing what has to be in it: a service that does not answer is down.
                await request.body(shape)
                raise

        @check(
            id,
            title,
            section=Section.SERVICES,
            looks_at=f"GET {path} of {service}, in whose answer {content} has to be",
            commands=('curl -s "http://localhost:{port:' + service + "}" + path + '" | jq .',),
            timeout_seconds=TIMEOUT_SECONDS,
            remedy=f"`chitlaq logs {service} --errors --since 1h`, with the request ID of the answer.",
            is_timed=True,
            # A service may wait for the table of another: a sign-in makes a member of the feed.
            stands_on=(JUDGED_BY[service], "database.locks"),
        )
        async def answers(system: SystemView) -> CheckOutcome:
            request, least, is_late = _Request(system, service, path), Verdict.OK, False
            try:
                try:
                    said = await seen(system, request)
                except _WrongAnswerError:
                    if request.status is None:
                        raise
                    # What has to be in it may have been deleted meanwhile.
                    said = await seen(system, request)
            except _WrongAnswerError as error:
                said, least, is_late = str(error), Verdict.CRITICAL, error.is_late
            if request.status is None:
                return outcome(f"no answer: {said}", least=least, is_late=is_late)
            return outcome(
                f"status {request.status} in {duration(request.seconds)}, {said}",
                {"answer": Value(request.seconds, "seconds", *system.thresholds.answer_seconds)},
                least=least,
            )

        return answers

    return declare


class _Post(msgspec.Struct):
    id: UUID


class _Posts(msgspec.Struct):
    items: Sequence[_Post]


@_answers(
    "feed.home",
    "A page of the home feed",
    "feed-service",
    f"/feed/home?page=1&limit={LIMIT}",
    _Posts,
    "the latest public post",
)
async def feed_home(system: SystemView, request: _Request) -> str:
    rows = await system.postgres.rows("latest_public_posts", LIMIT)
    expected = [row["id"] for row in rows]
    found = [post.id for post in (await request.body(_Posts)).items]
    # Posts come while it is asked, and are newer.
    known = [post for post in found if not expected or post <= expected[0]]
    if known != expected[: len(known)] or len(found) < len(expected):
        raise _WrongAnswerError(
            f"{len(set(expected) - set(found))} of the latest {len(expected)} public posts are missing,"
            f" {len(set(known) - set(expected))} are none of them"
        )
    return "with the latest public post" if expected else "empty, as there is no public post yet"


class _Found(msgspec.Struct):
    username: str


class _Members(msgspec.Struct):
    items: Sequence[_Found]


@_answers(
    "search.users",
    "A search for members",
    "search-service",
    f"/search/users?q=test&page=1&limit={LIMIT}",
    _Members,
    "a member who is searched for by username",
)
async def search_users(system: SystemView, request: _Request) -> str:
    ((username,),) = await system.postgres.rows("findable_username")
    if username is None:
        raise NotApplicable("there is no member yet whom it could search for")
    path = f"/search/users?q={quote(username)}&page=1&limit={LIMIT}"
    found = await request.body(_Members, path)
    if not any(one.username == username for one in found.items):
        raise _WrongAnswerError(f"{username} is not among the {len(found.items)} members found")
    return f"found {username}"


class _Status(msgspec.Struct):
    authenticated: bool
    detail: str


@_answers(
    "auth.status",
    "Sign-in status",
    "auth-service",
    "/auth/status",
    _Status,
    "what it says of a synthetic member's token",
)
async def auth_status(system: SystemView, request: _Request) -> str:
    try:
        token = (await round_trip.sign_in(system.home, system.settings)).tokens[0]
    except OperatorError as error:
        raise UnknownResult(str(error)) from None
    status = await request.body(_Status, token=token)
    if status.authenticated or status.detail != ENDED:
        raise _WrongAnswerError(f"it says of a token without a session: {status.detail}")
    return "knows the token, and that its session is over"
