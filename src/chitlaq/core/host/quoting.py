"""How a value is written in the configuration files of other programs: one function per format."""

from __future__ import annotations

import json


def nginx(value: object) -> str:
    """A parameter of a directive of nginx.

    Raises:
        ValueError: it has a ``$``, which nginx takes for a variable's name and knows no way to escape.
    """
    text = str(value)
    if "$" in text:
        raise ValueError(
            f"nginx cannot be told of {text!r}: a $ begins the name of a variable there"
        )
    return _in('"', text, {"\\": "\\\\", '"': '\\"'})


def nginx_json(value: object) -> str:
    """A text within a JSON string, within a parameter of nginx in single quotes."""
    text = json.dumps(str(value), ensure_ascii=False)[1:-1]
    return nginx(text)[1:-1].replace("'", "\\'")


def valkey(value: object) -> str:
    """An argument of a directive of ``valkey.conf``."""
    return _in('"', str(value), {"\\": "\\\\", '"': '\\"'})


def postgres(value: object) -> str:
    """The value of a setting in ``postgresql.conf``."""
    return _in("'", str(value), {"\\": "\\\\", "'": "''"})


def libpq(value: object) -> str:
    """The value of a parameter in a connection string of the form ``host=… port=…``."""
    return _in("'", str(value), {"\\": "\\\\", "'": "\\'"})


def logrotate(value: object) -> str:
    """A path or a pattern of paths in the configuration of logrotate, which still expands it."""
    return _in('"', str(value), {'"': '\\"'})


def systemd(value: object) -> str:
    """A word of a unit of systemd (systemd.syntax(7)); a specifier begins with a percent sign."""
    return _in('"', str(value), {"\\": "\\\\", '"': '\\"', "%": "%%"})


def systemd_command(value: object) -> str:
    """A word of a command line in a unit of systemd, where a dollar sign begins a variable."""
    return systemd(value).replace("$", "$$")


def ini(value: object) -> str:
    """The value of an option that Python's `configparser` reads."""
    return str(value).replace("%", "%%")


def _in(quote: str, text: str, escapes: dict[str, str]) -> str:
    """Put a text into quotes.

    Raises:
        ValueError: it has more than one line, which no format has a value for.
    """
    if not text.isprintable():
        raise ValueError(f"{text!r} has characters that cannot be printed")
    return (
        f"{quote}{text.translate({ord(one): escaped for one, escaped in escapes.items()})}{quote}"
    )
