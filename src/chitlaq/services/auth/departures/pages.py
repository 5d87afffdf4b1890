"""An export's pages for people: an index, and each file as a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec

_HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>'
    "body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}}"
    "table{{border-collapse:collapse}}td,th{{border:1px solid #aaa;padding:.3rem .6rem;text-align:start;"
    "vertical-align:top;white-space:pre-wrap;overflow-wrap:anywhere}}</style></head><body><h1>{title}</h1>"
)
_TAIL = "</body></html>\n"


class Listed(msgspec.Struct, frozen=True):
    """A file of an export, without what is in it."""

    name: str
    title: str
    rows: int
    suffix: str = ""
    """Of one that is no list of objects, but a file as it is."""


def index(username: str, files: Sequence[Listed]) -> bytes:
    """Return the page that leads to all others."""
    rows = "".join(
        f'<tr><td><a href="{escape(one.name)}.{one.suffix or "html"}">{escape(one.title)}</a></td>'
        f"<td>{one.rows}</td><td>{_for_programs(one)}</td></tr>"
        for one in files
    )
    title = f"Everything that ChitLaq keeps of {escape(username)}"
    head = "<table><tr><th>What</th><th>Entries</th><th>For programs</th></tr>"
    return (_HEAD.format(title=title) + head + rows + "</table>" + _TAIL).encode()


def _for_programs(file: Listed) -> str:
    return "" if file.suffix else f'<a href="{escape(file.name)}.json">JSON</a>'


def table(file: Listed, data: bytes) -> bytes:
    """Return a file's objects as a table: what they name, and what they say of it."""
    objects: list[dict[str, Any]] = msgspec.json.decode(data)
    columns = list(dict.fromkeys(name for one in objects for name in one))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
    rows = "".join(
        "<tr>"
        + "".join(f'<td dir="auto">{escape(_shown(one.get(name)))}</td>' for name in columns)
        + "</tr>"
        for one in objects
    )
    body = f"<table><tr>{head}</tr>{rows}</table>" if objects else "<p>Nothing.</p>"
    return (_HEAD.format(title=escape(file.title)) + body + _TAIL).encode()


def _shown(value: object) -> str:
    match value:
        case None | [] | {}:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_shown, value))
        case dict():
            return ", ".join(f"{name}: {_shown(one)}" for name, one in value.items())
        case _:
            return str(value)
