"""Uploads: one file of a multipart body (RFC 7578), streamed to the disk within bounds.

The framework knows one limit of bodies for all routes. Here a piece is written as it comes, to a file without
a name: whatever happens to the process, nothing of it stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from litestar import Request
from litestar.datastructures import State
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from chitlaq.core.host import files
from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs

MEDIA_TYPE = "multipart/form-data"
OVERHEAD_BYTES = 65_536
"""What a body may have beyond its file: other fields, and the lines between them."""
MOST_FIELD_BYTES = 8192
MOST_PARTS = 8

log = logs.get("uploads")


@dataclass(frozen=True, slots=True)
class Upload:
    """What was received: the file, its size and SHA-256, and the other fields."""

    file: IO[bytes]
    size: int
    sha256: bytes
    fields: dict[str, str]


def required_type(request: Request[Any, Any, State]) -> bytes:
    """Return the boundary of a multipart body.

    Raises:
        Problem: 415 for a body of another type, 400 without a boundary.
    """
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    if media_type != MEDIA_TYPE:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body must be {MEDIA_TYPE}, with a part named `file`.",
        )
    boundary: bytes = options.get("boundary", "").encode()
    if not 1 <= len(boundary) <= 200 or b"\n" in boundary:
        raise problems.malformed("The Content-Type has no valid boundary.")
    return boundary


@asynccontextmanager
async def received(
    request: Request[Any, Any, State],
    folder: Path,
    max_bytes: int,
    fields: Collection[str] = (),
) -> AsyncIterator[Upload]:
    """Receive one file, named ``file``, which is gone when the block ends.

    Args:
        request: whose body nobody has read; its handler sets ``request_max_body_size=None``.
        folder: on the disk that the file may fill.
        max_bytes: of the file.
        fields: the texts that may come with it.

    Raises:
        Problem: 413 for more than that, 415 for a body of another type, 400 for one that cannot be read, 422
            for a missing, empty or unknown part; 503 if the disk is full.
    """
    boundary = required_type(request)
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The file is larger than {max_bytes / 1_000_000:g} MB.",
    )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes + OVERHEAD_BYTES:
        raise too_large
    try:
        with files.unnamed(folder) as file:
            body = _Body(file, boundary, max_bytes, fields)
            try:
                async for chunk in request.stream():
                    body.take(chunk)
                body.end()
            except ParserLimitReached:
                raise too_large from None
            except MultipartError as error:
                raise problems.malformed(f"The body is no valid {MEDIA_TYPE}: {error}.") from None
            file.seek(0)
            yield Upload(file, body.size, body.digest.digest(), body.fields)
    except OSError as error:
        log.error("an upload cannot be written", folder=str(folder), error=str(error))
        raise problems.unavailable(
            "The disk cannot take the file at the moment; nothing was stored."
        ) from None


class _Body:
    """A body as it comes."""

    def __init__(
        self, file: IO[bytes], boundary: bytes, max_bytes: int, fields: Collection[str]
    ) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self.fields: dict[str, str] = {}
        self._file = file
        self._known = fields
        self._parser = PushMultipartParser(
            boundary, max_segment_size=max_bytes, max_segment_count=MOST_PARTS
        )
        self._name = ""
        self._text = bytearray()
        self._has_file = False

    def take(self, chunk: bytes) -> None:
        """Take the next piece.

        Raises:
            MultipartError: it is malformed, or too large.
            Problem: 422.
        """
        if not chunk or self._parser.closed:
            return
        for event in self._parser.parse(chunk):
            if isinstance(event, MultipartSegment):
                self._begin(event.name)
            elif event is None:
                self._finish()
            elif self._name == "file":
                self._file.write(event)
                self.digest.update(event)
                self.size += len(event)
            else:
                self._text += event
                if len(self._text) > MOST_FIELD_BYTES:
                    raise problems.invalid(
                        {self._name: f"must be at most {MOST_FIELD_BYTES} bytes long"}
                    )

    def end(self) -> None:
        """Check that everything came, and write it out.

        Raises:
            MultipartError: the body ended early.
            Problem: 422.
        """
        self._parser.close()
        if not self._has_file:
            raise problems.invalid({"file": "is missing"})
        if not self.size:
            raise problems.invalid({"file": "is empty"})
        self._file.flush()

    def _begin(self, name: str) -> None:
        if name == "file":
            if self._has_file:
                raise problems.invalid({"file": "may be there only once"})
            self._has_file = True
        elif name not in self._known:
            raise problems.invalid({name[:100]: "is an unknown field"})
        self._name = name
        self._text.clear()

    def _finish(self) -> None:
        if self._name != "file":
            try:
                self.fields[self._name] = self._text.decode()
            except UnicodeDecodeError:
                raise problems.invalid({self._name: "is not valid UTF-8"}) from None
