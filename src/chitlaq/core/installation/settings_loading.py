"""Settings: defaults here, then the TOML file, then the environment; the last wins.

The setting ``edge`` in ``[ports]`` is ``CHITLAQ_PORTS_EDGE`` in the environment. Variables with a
well-known name keep it: ``DATABASE_URL``, ``REDIS_URL``, ``PROMETHEUS_URL``,
``ALERTMANAGER_URL``, ``OTEL_EXPORTER_OTLP_ENDPOINT``.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from chitlaq import inventory
from chitlaq.core import addresses
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import toml_files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import Secret, SecretUrl, from_text
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings

_HTTP = ("http", "https")
# Settings whose variables keep their well-known names, with the schemes that each may have.
URL_FIELDS: Mapping[str, Sequence[str]] = {
    "database_url": ("postgresql", "postgres"),
    "redis_url": (
        *("redis", "rediss", "valkey", "valkeys", "unix"),
        *("redis-cluster", "rediss-cluster", "valkey-cluster", "valkeys-cluster"),
    ),
    "prometheus_url": _HTTP,
    "alertmanager_url": _HTTP,
    "otel_exporter_otlp_endpoint": _HTTP,
}
# Settings that list addresses and networks.
NETWORK_FIELDS = ("trusted_proxies", "limits.unlimited_addresses")


def load(home: Home, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this installation.

    Args:
        home: the installation; its ``chitlaq.toml`` is read when it exists.
        environment: variables to read; those of the process by default.

    Raises:
        OperatorError: an unknown or invalid setting; names where it was set.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for dotted, value in from_file(home.settings_file):
        _place(values, sources, dotted, value, f"{home.settings_file}")
    for variable, dotted, value in _from_environment(environment or os.environ):
        _place(values, sources, dotted, value, f"the environment ({variable})")
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=from_text)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        dotted = path.rstrip("`").split("[")[0]
        source = sources.get(dotted, str(home.settings_file))
        raise OperatorError(
            f"The setting {dotted or '?'} from {source} is invalid: {text}. "
            "`chitlaq config show` lists all settings with their values."
        ) from None
    _check_numbers(settings, sources)
    _check_ports(settings, sources, home)
    _check_networks(settings, sources)
    for dotted, schemes in URL_FIELDS.items():
        url = getattr(settings, dotted).reveal()
        if url and not _is_url(url, schemes):
            # Without the URL, which may hold a password.
            raise OperatorError(
                f"The setting {dotted} from {sources[dotted]} is invalid: expected a URL with"
                f" {' or '.join(f'{scheme}://' for scheme in schemes)}, its password percent-encoded."
            )
    heartbeat = settings.operations.heartbeat_url.reveal()
    if heartbeat and not _is_url(heartbeat, _HTTP):
        raise OperatorError(
            f"The setting operations.heartbeat_url from {sources['operations.heartbeat_url']} is invalid:"
            " expected a URL with http:// or https://."
        )
    _refuse_credentials(settings, sources)
    _require_addresses(settings, sources)
    _check_media(settings, sources)
    return settings


def _check_numbers(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuse NaN, with which every comparison is false, and infinity: no check could ever warn.

    Raises:
        OperatorError: a setting is, or has, such a number.
    """
    for dotted in sources:
        value = settings.value_of(dotted)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise OperatorError(
                    f"The setting {dotted} from {sources[dotted]} is invalid: {number} is not a finite"
                    " number."
                )


def _check_networks(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuse what is no address and no network: nginx would not start with it.

    Raises:
        OperatorError: names the setting and the word.
    """
    for dotted in NETWORK_FIELDS:
        for text in settings.value_of(dotted):
            if not _is_network(text):
                raise OperatorError(
                    f"The setting {dotted} from {sources[dotted]} is invalid: {text!r} is no address"
                    " (10.0.0.1) and no network (10.0.0.0/8, 2001:db8::/32)."
                )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "%" not in text


def _check_ports(settings: Settings, sources: Mapping[str, str], home: Home) -> None:
    """Refuse one port for two components that this stack runs: the second could not listen.

    Raises:
        OperatorError: names both, and where they are set.
    """
    taken: dict[int, str] = {}
    for port in inventory.PORTS:
        dotted = f"ports.{port.setting}"
        number = settings.value_of(dotted)
        if not settings.embeds(port.component.name):
            continue
        if (other := taken.setdefault(number, dotted)) != dotted:
            source = sources.get(dotted) or sources.get(other) or home.settings_file
            raise OperatorError(
                f"The settings {other} and {dotted} are both {number} ({source}): give each component a"
                " port of its own."
            )


def _require_addresses(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuse addresses that mails are written from or to, unless they can be.

    Raises:
        OperatorError: names the setting.
    """
    for dotted, value in (
        ("smtp.sender", settings.smtp.sender),
        *(("operations.report_to", address) for address in settings.operations.report_to),
        *([("statuspage.contact", contact)] if (contact := settings.statuspage.contact) else []),
    ):
        try:
            if dotted == "smtp.sender":
                addresses.split_name(value)
            else:
                addresses.checked(value)
        except ValueError as error:
            raise OperatorError(
                f"The setting {dotted} from {sources[dotted]} is invalid: {value!r} {error}."
            ) from None


def _check_media(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuse a place for pictures that is neither a bucket nor the full path of a folder.

    Raises:
        OperatorError: says what it may be.
    """
    url = settings.media.url
    is_folder = re.fullmatch(r"[/~][^\x00-\x1f\"'\\$;{}]*", url)
    if url and not url.startswith("s3://") and not is_folder:
        raise OperatorError(
            f"The setting media.url from {sources['media.url']} is invalid: write /a/folder or"
            " s3://bucket/prefix."
        )


def _refuse_credentials(settings: Settings, sources: Mapping[str, str]) -> None:
    """Refuse credentials in a setting that messages, pages and records show as it is.

    Raises:
        OperatorError: names the setting.
    """
    for dotted in sources:
        value = settings.value_of(dotted)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and has_credentials(text):
                raise OperatorError(
                    f"The setting {dotted} from {sources[dotted]} is invalid: its URL has a user or a"
                    " password, and messages show it. Remove them; S3 keys are settings of their own."
                )


def has_credentials(text: str) -> bool:
    """Whether a text is a URL with a user or a password, or with what may be one."""
    try:
        return "://" in text and (urlsplit(text).username is not None or bool(_passwords(text)))
    except ValueError:
        return True


def _is_url(text: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(text)
        is_http = parts.scheme in _HTTP
        # An unencoded / in a password ends the host there, and leaves the @ to the path.
        return (
            parts.scheme in schemes
            and parts.port != 0
            and "@" not in parts.path
            and (not is_http or bool(parts.hostname))
        )
    except ValueError:
        return False


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
    if dotted in URL_FIELDS:
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
                found += _passwords(text)
    return found


def _passwords(url: str) -> list[str]:
    """Return the passwords in a URL, as written and decoded."""
    try:
        parts = urlsplit(url)
        given = [parts.password] if parts.password else []
        given += [value for name, value in parse_qsl(parts.query) if "password" in name.lower()]
    except ValueError:
        return [url]
    return [*given, *map(unquote, given)]


def from_file(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield every setting of a file as (dotted name, value); nothing if there is no file.

    Raises:
        OperatorError: it cannot be read, or has an unknown setting.
    """
    try:
        document = toml_files.parsed(toml_files.text_of(path))
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        raise OperatorError(
            f"{path} cannot be read by this user: check its owner and mode."
        ) from None
    except ValueError as error:
        raise OperatorError(f"{path} is not valid TOML: {error}.") from None
    known = dict(fields())
    for key, value in document.items():
        flat = (
            {f"{key}.{name}": item for name, item in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
        for dotted, item in flat.items():
            if dotted not in known:
                near = difflib.get_close_matches(dotted, known, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise OperatorError(f"{path} has an unknown setting {dotted}.{hint}")
            yield dotted, item


# Variables of the CHITLAQ_ prefix that are not settings.
_OTHER_VARIABLES = frozenset({"CHITLAQ_HOME"})


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
