"""Asks the other services for the parts of a page, at once and for whoever asked for the page."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request

from chitlaq.core.host import http_client
from chitlaq.core.http import cookies
from chitlaq.core.http.service import Context
from chitlaq.core.telemetry import logs

ANSWER_SECONDS = 0.8
"""A part that takes longer is left to the browser: the rest of the page is not kept waiting for it."""

# What nginx says of who asks: services limit and log by it.
_FORWARDED = ("x-request-id", "x-real-ip", "x-limited-address", "accept-language")

log = logs.get("pages")


@dataclass(frozen=True, slots=True)
class Read:
    """A part of a page: the service that has it, and the path there, with the page's parameters."""

    service: str
    path: str


@dataclass(frozen=True, slots=True)
class Part:
    """What a service answered: status 0 and no body if it did not."""

    status: int
    body: Any

    @property
    def is_there(self) -> bool:
        return self.status == HTTPStatus.OK


class Reader:
    """Reads over the services' Unix sockets, as nginx does."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def read(
        self,
        request: Request[Any, Any, Any],
        reads: Mapping[str, Read],
        parameters: Mapping[str, str],
    ) -> dict[str, Part]:
        """Return all parts, each by its name. A token of the cookie is sent on; nobody else sees it."""
        headers = {name: one for name in _FORWARDED if (one := request.headers.get(name))}
        if token := cookies.value(request.headers, cookies.ACCESS):
            headers["authorization"] = f"Bearer {token}"
        parts = await asyncio.gather(
            *(
                self._part(one.service, one.path.format_map(parameters), headers)
                for one in reads.values()
            )
        )
        return dict(zip(reads, parts, strict=True))

    async def _part(self, service: str, target: str, headers: Mapping[str, str]) -> Part:
        worker = random.randrange(self._context.settings.workers_of(service))  # noqa: S311 - spreads work
        try:
            answer = await http_client.get(
                f"http://localhost{target}",
                socket=self._context.home.service_socket(service, worker),
                headers=headers,
                timeout_seconds=ANSWER_SECONDS,
            )
            return Part(answer.status, msgspec.json.decode(answer.body))
        except (OSError, ValueError) as error:
            log.warning("part of a page is missing", of=service, error=str(error))
            return Part(0, None)
