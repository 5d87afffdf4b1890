"""What can go wrong, as an application tells it apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class ClientError(Exception):
    """The base of all errors of the client; the message is one sentence for a person."""


class UnreachableError(ClientError):
    """There was no complete answer. Whether a request took effect is not known."""


class ApiError(ClientError):
    """The installation refused a request (RFC 9457).

    Attributes:
        status: the HTTP status.
        errors: for 422: the error of each field.
        retry_after_seconds: for 429 and 503: when to try again; 0 if it does not say.
        request_id: what an operator finds it by.
        kind: what it is, where the status says too little: ``second-factor-required``, ``step-up-required``.
        methods: if somebody must prove who they are: how they may.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Mapping[str, str] | None = None,
        retry_after_seconds: float = 0.0,
        request_id: str = "",
        kind: str = "",
        methods: Sequence[str] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = errors or {}
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id
        self.kind = kind
        self.methods = methods


class SignedOutError(ClientError):
    """The session ended, and cannot be refreshed: sign in again."""


class Problem(msgspec.Struct):
    """The body of an error, as it is sent."""

    type: str = ""
    detail: str = ""
    errors: dict[str, str] = {}
    methods: list[str] = []
    request_id: str = ""
