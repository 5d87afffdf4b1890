"""Settings: defaults here, then the TOML file, then the environment; the last wins.

The setting ``edge`` in ``[ports]`` is ``CHITLAQ_PORTS_EDGE`` in the environment. Variables with a
well-known name keep it: ``DATABASE_URL``, ``REDIS_URL``, ``PROMETHEUS_URL``,
``ALERTMANAGER_URL``, ``OTEL_EXPORTER_OTLP_ENDPOINT``.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_faults, toml_files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import Secret, SecretUrl, from_text
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings


def load(
    home: Home, environment: Mapping[str, str] | None = None, file: Path | None = None
) -> Settings:
    """Return the settings of this installation.

    Args:
        home: the installation; its ``chitlaq.toml`` is read when it exists.
        environment: variables to read; those of the process by default.
        file: another file to read instead, which has to be there.

    Raises:
        OperatorError: an unknown or invalid setting; names where it was set.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    is_optional, file = file is None, file or home.settings_file
    for dotted, value in from_file(file, is_optional=is_optional):
        _place(values, sources, dotted, value, str(file))
    for variable, dotted, value in _from_environment(environment or os.environ):
        _place(values, sources, dotted, value, f"the environment ({variable})")
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=from_text)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        dotted = path.rstrip("`").split("[")[0]
        source = sources.get(dotted, str(file))
        raise OperatorError(
            f"The setting {dotted or '?'} from {source} is invalid: {text}. "
            "`chitlaq config show` lists all settings with their values."
        ) from None
    for fault in settings_faults.found(settings, sources):
        places = (fault.setting, *fault.others)
        source = next((sources[one] for one in places if one in sources), str(file))
        raise OperatorError(fault.said_of(source))
    return settings


@cache
def fields(
    struct: type[msgspec.Struct] = Settings, prefix: str = ""
) -> tuple[tuple[str, msgspec.structs.FieldInfo], ...]:
    """Return every setting as (dotted name, field), sections flattened.

    Resolving the types of two hundred fields takes as long as all else that a short command does.
    """
    found: list[tuple[str, msgspec.structs.FieldInfo]] = []
    for field in msgspec.structs.fields(struct):
        dotted = f"{prefix}{field.name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found += fields(field.type, f"{dotted}.")
        else:
            found.append((dotted, field))
    return tuple(found)


def variable_of(dotted: str) -> str:
    """The environment variable of a setting: ``ports.edge`` is ``CHITLAQ_PORTS_EDGE``."""
    if dotted in settings_faults.URL_FIELDS:
        return dotted.upper()
    return "CHITLAQ_" + dotted.replace(".", "_").upper()


def secrets_in(values: Iterable[tuple[str, Any]]) -> list[str]:
    """Return the secrets among settings, given by dotted name, and the passwords in URLs."""
    found: list[str] = []
    for dotted, value in values:
        for text in value if isinstance(value, tuple | list) else (value,):
            if not isinstance(text, str) or not text:
                continue
            if dotted in _SECRET_FIELDS:
                found.append(text)
            if "://" in text:
                found += settings_faults.passwords(text)
    return found


def from_file(path: Path, *, is_optional: bool = True) -> Iterator[tuple[str, Any]]:
    """Yield every setting of a file as (dotted name, value); nothing if there is none and there need not be.

    Raises:
        OperatorError: it cannot be read, or has an unknown setting.
    """
    try:
        document = toml_files.parsed(text_of(path))
    except FileNotFoundError:
        if is_optional:
            return
        raise OperatorError(f"There is no file {path}.") from None
    except ValueError as error:
        raise OperatorError(f"{path} is not valid TOML: {error}.") from None
    known = dict(fields())
    for dotted, item in flattened(document):
        if dotted not in known:
            near = difflib.get_close_matches(dotted, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise OperatorError(f"{path} has an unknown setting {dotted}.{hint}")
        yield dotted, item


def text_of(path: Path) -> str:
    """Return the text of a file of settings.

    Raises:
        FileNotFoundError: there is none.
        OperatorError: it cannot be read.
    """
    try:
        return toml_files.text_of(path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError from None
    except OSError as error:
        raise OperatorError(f"{path} cannot be read by this user: {error.strerror}.") from None
    except ValueError as error:
        raise OperatorError(f"{path} cannot be read: {error}.") from None


def flattened(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every setting of a document as (dotted name, value), known or not."""
    for key, value in document.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", item) for name, item in value.items())
        else:
            yield key, value


# Variables of the CHITLAQ_ prefix that are not settings.
_OTHER_VARIABLES = frozenset({"CHITLAQ_HOME", "CHITLAQ_LEASE"})


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    known = {variable_of(dotted): (dotted, field) for dotted, field in fields()}
    for variable, text in environment.items():
        if variable in known:
            dotted, field = known[variable]
            is_list = tuple in (field.type, *get_args(field.type)) or "tuple" in str(field.type)
            value = [part.strip() for part in text.split(",") if part.strip()] if is_list else text
            yield variable, dotted, value
        elif variable.startswith("CHITLAQ_") and variable not in _OTHER_VARIABLES:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise OperatorError(f"The environment has an unknown setting {variable}.{hint}")


def _place(
    values: dict[str, Any], sources: dict[str, str], dotted: str, value: object, source: str
) -> None:
    section, _, name = dotted.rpartition(".")
    (values.setdefault(section, {}) if section else values)[name] = value
    sources[dotted] = source


def shown(value: object) -> str:
    """Return a setting's value for display; secrets hide themselves, and passwords in any URL."""
    several = value if isinstance(value, tuple) else (value,)
    return ", ".join(str(SecretUrl(one) if isinstance(one, str) else one) for one in several)


def secrets_of(home: Home, settings: Settings) -> list[str]:
    """Return every secret of an installation: those of its settings, and those in its files."""
    revealed = []
    for dotted, _ in fields():
        value = settings.value_of(dotted)
        several = value if isinstance(value, tuple) else (value,)
        revealed.append((dotted, [one.reveal() for one in several if isinstance(one, Secret)]))
    return [*secrets_in(revealed), *Secrets(home.secrets).values(), *_channel_urls(home)]


def _channel_urls(home: Home) -> list[str]:
    """Return the URLs of people's channels, also those of a file that is not valid otherwise."""
    found: list[str] = []
    for path in (home.oncall_file, home.last_roster):
        with suppress(OSError, ValueError):
            found += _urls_in(toml_files.parsed(toml_files.text_of(path)))
    return [part for url in found if "://" in url for part in _tokens(url)]


def _tokens(url: str) -> list[str]:
    """Return a URL and each part of it that may be a token rather than a word or a host."""
    host = url.partition("://")[2].rpartition("@")[2].partition("/")[0].partition(":")[0]
    parts = re.split(r"[/?&=@:]+", url)
    return [
        url,
        *(one for one in parts if len(one) >= _SHORTEST_TOKEN and (one != host or "." not in one)),
    ]


_SHORTEST_TOKEN = 8


def _urls_in(value: object, name: str = "") -> list[str]:
    if isinstance(value, dict):
        return [url for key, inner in value.items() for url in _urls_in(inner, key)]
    if isinstance(value, list):
        return [url for inner in value for url in _urls_in(inner, name)]
    return [value] if name == "url" and isinstance(value, str) else []


_SECRET_FIELDS = frozenset(
    dotted for dotted, field in fields() if field.type in (Secret, tuple[Secret, ...])
)
