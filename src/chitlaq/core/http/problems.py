"""Errors as clients see them: RFC 9457 problem documents, and the exceptions that become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from chitlaq.core.http import edge
from chitlaq.core.telemetry import logs

if TYPE_CHECKING:
    from litestar.datastructures import Cookie

MEDIA_TYPE = "application/problem+json"

LISTED = "Not accepted. {}"
"""The detail of what lists the errors of fields."""


class Document(msgspec.Struct, frozen=True):
    """The body of a refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    methods: list[str] | msgspec.UnsetType = msgspec.UNSET


class Problem(Exception):  # noqa: N818 - RFC 9457's term
    """An error response.

    Args:
        status: the HTTP status.
        detail: one sentence for a person: what happened and what to do.
        errors: for 422: the error of each field.
        retry_after_seconds: for 429 and 503: when to retry.
        headers: what the status demands: for 426, what to upgrade to.
        limit: for 429: the limit that was reached.
        cookies: what the client shall keep, or forget.
        kind: for what clients tell apart by more than the status: the last part of its ``type``.
        methods: if somebody must prove who they are: how they may.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: dict[str, str] | None = None,
        retry_after_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
        limit: str = "",
        cookies: Sequence[Cookie] = (),
        kind: str = "",
        methods: Sequence[str] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds
        self._headers = headers or {}
        self.limit = limit
        self.cookies = cookies
        self.kind = kind
        self.methods = methods

    def said(self, detail: str, errors: dict[str, str]) -> Problem:
        """Return the same refusal in other words."""
        return Problem(
            self.status,
            detail,
            errors=errors,
            retry_after_seconds=self.retry_after_seconds,
            headers=self._headers,
            limit=self.limit,
            cookies=self.cookies,
            kind=self.kind,
            methods=self.methods,
        )

    def body(self) -> bytes:
        return msgspec.json.encode(
            Document(
                f"/problems/{self.kind}" if self.kind else "about:blank",
                self.kind.replace("-", " ").capitalize() or self.status.phrase,
                int(self.status),
                self.detail,
                logs.request_id(),
                self.errors or msgspec.UNSET,
                list(self.methods) or msgspec.UNSET,
            )
        )

    def headers(self) -> dict[str, str]:
        headers = dict(self._headers)
        if self.status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        if self.retry_after_seconds is not None:
            headers["Retry-After"] = str(self.retry_after_seconds)
        if self.limit:
            headers[edge.HIT_LIMIT] = self.limit
        return headers


def malformed(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail)


def not_signed_in(
    detail: str = "Sign in first: send an access token as a Bearer token.",
) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail)


def not_found(what: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"There is no such {what}, or you may not see it.")


def forbidden(detail: str) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, detail)


def conflict(detail: str, field: str | None = None) -> Problem:
    return Problem(HTTPStatus.CONFLICT, detail, errors={field: detail} if field else None)


def invalid(errors: dict[str, str]) -> Problem:
    """422: invalid fields of the body or query."""
    listed = "; ".join(f"{field}: {reason}" for field, reason in errors.items())
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, LISTED.format(listed), errors=errors)


def too_many_requests(
    retry_after_seconds: int, limit: str, why: str = "Too many requests"
) -> Problem:
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"{why} (limit: {limit}); try again in {retry_after_seconds} s.",
        retry_after_seconds=retry_after_seconds,
        limit=limit,
    )


def unavailable(detail: str, retry_after_seconds: int = 2) -> Problem:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, retry_after_seconds=retry_after_seconds)
