"""Files that operators write in TOML: whatever they contain, reading them ends, and says what is wrong."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_BYTES = 1_000_000
MAX_DEPTH = 20


def text_of(path: Path) -> str:
    """Return the text of a file, without the mark that some editors put before it.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is no regular file, too large, or not UTF-8; says where.
    """
    # Opening a pipe to which nobody writes would wait for ever.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 1_000_000} MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8") from None


def parsed(text: str) -> dict[str, Any]:
    """Return what a text says.

    Raises:
        ValueError: it is not valid TOML, or deeper than who walks through it can go.
    """
    with suppress(RecursionError):
        document = tomllib.loads(text)
        level: list[object] = [document]
        for _ in range(MAX_DEPTH):
            level = [inner for value in level for inner in _within(value)]
            if not level:
                return document
    raise ValueError("arrays or tables are nested too deeply")


def _within(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
