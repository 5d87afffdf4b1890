"""Lists: ``page`` and ``limit`` as in the runbook, and a cursor for reading on without gaps."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar.params import Parameter

from chitlaq.core.http import problems

T = TypeVar("T")

MAX_LIMIT = 100
MAX_OFFSET = 10_000

# The parameters of every list. Each handler names them itself: as a dependency of the framework's
# they would cost each request a task group.
PageNumber = Annotated[int, Parameter(ge=1, description="Page number, from 1.")]
PageLimit = Annotated[int, Parameter(ge=1, le=MAX_LIMIT, description="Items a page.")]
Cursor = Annotated[
    str | None,
    Parameter(description="`next_cursor` of the page before; `page` is then ignored."),
]


class Page(msgspec.Struct, Generic[T]):
    """One page of a list; ``next_cursor`` is null on the last one."""

    items: Sequence[T]
    page: int
    limit: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is wanted: the items after ``before``, or else those of the page."""

    page: int
    limit: int
    before: UUID | None

    @classmethod
    def of(cls, page: int, limit: int, cursor: str | None) -> Paging:
        """Read the three parameters of every list.

        Raises:
            Problem: 422 for a cursor that is not one of ours, or a page deeper than lists are
                numbered.
        """
        wanted = cls(page, limit, _decoded(cursor) if cursor else None)
        if wanted.offset > MAX_OFFSET:
            raise problems.invalid(
                {"page": f"pages reach {MAX_OFFSET} items deep; read on with `cursor` instead"}
            )
        return wanted

    @property
    def offset(self) -> int:
        return 0 if self.before else (self.page - 1) * self.limit


def cursor_after(last: UUID) -> str:
    return urlsafe_b64encode(last.bytes).decode().rstrip("=")


def _decoded(cursor: str) -> UUID:
    try:
        return UUID(bytes=urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        raise problems.invalid(
            {"cursor": "not a cursor; use the `next_cursor` of a page unchanged"}
        ) from None
