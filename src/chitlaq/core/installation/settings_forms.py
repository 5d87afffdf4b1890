"""Settings whose text has a form: in no other does a component start, or do what its operator meant."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Form(NamedTuple):
    """How a setting is written.

    Args:
        fits: whether a text is written so; an empty one is not asked about.
        remedy: an example, as a sentence without its full stop.
    """

    fits: Callable[[str], bool]
    remedy: str


_TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_WEEKDAY = "mon|tue|wed|thu|fri|sat|sun"
# Every month has at least 28 days.
_DUE = re.compile(rf"(?:(?:{_WEEKDAY}|0?[1-9]|1[0-9]|2[0-8]) )?{_TIME}")
_HOST = re.compile("[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def is_origin(text: str) -> bool:
    """Whether a text is a scheme and a host, perhaps with a port, and nothing else."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in {"http", "https"}
            and _is_host(parts.hostname or "")
            and parts.port != 0
            and text.lower().removesuffix("/") == f"{parts.scheme}://{parts.netloc}".lower()
        )
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        # Four numbers are an address, or a mistake.
        return bool(_HOST.fullmatch(text)) and not re.fullmatch("[0-9.]+", text)


def _is_zone(text: str) -> bool:
    try:
        return bool(ZoneInfo(text))
    # OSError: a folder of time zones, such as Europe, or a name that is too long.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _is_due(text: str) -> bool:
    return bool(_DUE.fullmatch(text.strip().lower()))


_ORIGIN = Form(is_origin, "write https://chat.example.edu, and nothing after it")
_S3 = Form(is_origin, "write https://s3.example.edu")
_WHEN = Form(_is_due, "write 09:00, mon 10:00, or 1 10:30 (day 1 to 28)")
FORMS: Mapping[str, Form] = {
    "host": Form(_is_host, "write an address of this machine, such as 127.0.0.1 or 0.0.0.0"),
    "public_url": _ORIGIN,
    # As a browser sends it.
    "cors.allowed_origins": Form(
        lambda text: is_origin(text) and not text.endswith("/"),
        "write https://app.example.edu, and nothing after it",
    ),
    "smtp.host": Form(_is_host, "write mail.example.edu"),
    "media.s3_endpoint": _S3,
    "backups.s3_endpoint": _S3,
    "backups.at": _WHEN,
    "backups.full": Form(
        lambda text: bool(re.fullmatch(_WEEKDAY, text)),
        "write mon, tue, wed, thu, fri, sat or sun",
    ),
    "operations.timezone": Form(_is_zone, "write Europe/Vienna, or nothing for this machine's"),
    "operations.morning": _WHEN,
    "operations.midday": _WHEN,
    "operations.evening": _WHEN,
    "operations.weekly": _WHEN,
    "operations.monthly": _WHEN,
}
