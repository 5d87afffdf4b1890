"""What is wrong with settings whose types are right: each rule yields what it finds."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from chitlaq import inventory
from chitlaq.core import addresses
from chitlaq.core.host import endpoints
from chitlaq.core.installation import settings_forms
from chitlaq.core.installation.settings import Settings

_HTTP = ("http", "https")
# Settings whose variables keep their well-known names, with the schemes that each may have.
URL_FIELDS: Mapping[str, Sequence[str]] = {
    "database_url": ("postgresql", "postgres"),
    "redis_url": (
        *("redis", "rediss", "valkey", "valkeys", "unix"),
        *("redis-cluster", "rediss-cluster", "valkey-cluster", "valkeys-cluster"),
        *("redis-sentinel", "rediss-sentinel", "valkey-sentinel", "valkeys-sentinel"),
    ),
    "prometheus_url": _HTTP,
    "alertmanager_url": _HTTP,
    "otel_exporter_otlp_endpoint": _HTTP,
}
# Settings that list addresses and networks.
NETWORK_FIELDS = ("trusted_proxies", "limits.unlimited_addresses")


_OWN = frozenset({"127.0.0.1", "::1", "localhost", "0.0.0.0", "::"})  # noqa: S104
"""Where the services listen to this machine itself."""


class Fault(NamedTuple):
    """One thing that is wrong.

    Args:
        setting: its dotted name.
        what: what is wrong with it.
        remedy: what to do, as a sentence without its full stop.
        others: settings that it does not go together with.
    """

    setting: str
    what: str
    remedy: str
    others: tuple[str, ...] = ()

    def said_of(self, source: str) -> str:
        """The whole sentence, for a setting that comes from somewhere."""
        if self.others:
            both = " and ".join((*self.others, self.setting))
            return f"The settings {both} {self.what} ({source}): {self.remedy}."
        return f"The setting {self.setting} from {source} is invalid: {self.what}: {self.remedy}."


def found(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    """Yield everything that is wrong.

    Args:
        settings: what is judged.
        given: the settings that somebody has set; the others have their defaults.
    """
    yield from _numbers(settings, given)
    yield from _ports(settings, given)
    yield from _networks(settings)
    yield from _urls(settings)
    yield from _forms(settings, given)
    yield from _hosts(settings)
    yield from _credentials(settings, given)
    yield from _addresses(settings)
    yield from _media(settings)
    yield from _elsewhere(settings)
    yield from _acme(settings)
    yield from _pairs(settings)


def _numbers(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    """Not NaN, with which every comparison is false, and not infinity: no check could ever warn."""
    for dotted in given:
        value = settings.value_of(dotted)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                yield Fault(dotted, f"{number} is not a finite number", "write one")


def _ports(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    """Not one port for two components that this stack runs: the second could not listen."""
    taken: dict[int, str] = {}
    for port in inventory.PORTS:
        dotted = f"ports.{port.setting}"
        number = settings.value_of(dotted)
        if not settings.embeds(port.component.name):
            continue
        if (other := taken.setdefault(number, dotted)) != dotted:
            first, second = (dotted, other) if dotted not in given else (other, dotted)
            yield Fault(
                second,
                f"are both {number}",
                "give each component a port of its own",
                (first,),
            )


def _networks(settings: Settings) -> Iterator[Fault]:
    """Only addresses and networks: nginx would not start with anything else."""
    for dotted in NETWORK_FIELDS:
        for text in settings.value_of(dotted):
            if not _is_network(text):
                yield Fault(
                    dotted,
                    f"{text!r} is no address and no network",
                    "write them as 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32",
                )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "%" not in text


def _urls(settings: Settings) -> Iterator[Fault]:
    """URLs with a scheme that is understood. What is found is not shown: it may hold a password."""
    for dotted, schemes in {**URL_FIELDS, "operations.heartbeat_url": _HTTP}.items():
        url = settings.value_of(dotted).reveal()
        if url and not _is_url(url, schemes):
            listed = " or ".join(f"{scheme}://" for scheme in schemes)
            yield Fault(
                dotted,
                f"expected a URL with {listed}",
                "percent-encode its password, if it has one",
            )


def _forms(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    """Text in its form. What is found is not shown: it may hold a password."""
    for dotted, form in settings_forms.FORMS.items():
        value = settings.value_of(dotted) if dotted in given else ""
        several = value if isinstance(value, tuple) else (value,)
        if any(text and not form.fits(text) for text in several):
            yield Fault(dotted, "it is written in another form", form.remedy)


def _hosts(settings: Settings) -> Iterator[Fault]:
    """Of several PostgreSQL servers, the one that takes writes: the first might be a standby."""
    url = settings.database_url.reveal()
    with suppress(ValueError):
        parts = urlsplit(url)
        wanted = dict(parse_qsl(parts.query)).get("target_session_attrs")
        if "," in parts.netloc.rpartition("@")[2] and wanted not in {"read-write", "primary"}:
            yield Fault(
                "database_url",
                "it names several hosts, and not which of them takes writes",
                "add ?target_session_attrs=read-write",
            )


def _is_url(text: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(text)
        is_http = parts.scheme in _HTTP
        # PostgreSQL's may name several hosts, each with its port.
        *others, last = parts.netloc.rpartition("@")[2].split(",")
        ports = [urlsplit(f"//{host}").port for host in (*others, last)]
        # An unencoded / in a password ends the host there, and leaves the @ to the path.
        return (
            parts.scheme in schemes
            and 0 not in ports
            and (not others or parts.scheme.startswith("postgres"))
            and "@" not in parts.path
            and (not is_http or bool(parts.hostname))
        )
    except ValueError:
        return False


def _credentials(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    """No credentials in a setting that messages, pages and records show as it is."""
    for dotted in given:
        value = settings.value_of(dotted)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and has_credentials(text):
                yield Fault(
                    dotted,
                    "its URL has a user or a password, and messages show it",
                    "remove them; S3 keys are settings of their own",
                )


def has_credentials(text: str) -> bool:
    """Whether a text is a URL with a user or a password, or with what may be one."""
    try:
        return "://" in text and (urlsplit(text).username is not None or bool(passwords(text)))
    except ValueError:
        return True


def passwords(url: str) -> list[str]:
    """Return the passwords in a URL, as written and decoded."""
    try:
        parts = urlsplit(url)
        given = [parts.password] if parts.password else []
        given += [value for name, value in parse_qsl(parts.query) if "password" in name.lower()]
    except ValueError:
        return [url]
    return [*given, *map(unquote, given)]


def _addresses(settings: Settings) -> Iterator[Fault]:
    """Addresses that mails can be written from and to."""
    for dotted, value in (
        ("smtp.sender", settings.smtp.sender),
        *(("operations.report_to", address) for address in settings.operations.report_to),
        *([("statuspage.contact", contact)] if (contact := settings.statuspage.contact) else []),
        *([("acme.contact", contact)] if (contact := settings.acme.contact) else []),
    ):
        try:
            if dotted == "smtp.sender":
                addresses.split_name(value)
            else:
                addresses.checked(value)
        except ValueError as error:
            yield Fault(dotted, f"{value!r} {error}", "write name@example.edu")


def _media(settings: Settings) -> Iterator[Fault]:
    """A place for pictures that is a bucket or the full path of a folder."""
    url = settings.media.url
    is_folder = re.fullmatch(r"[/~][^\x00-\x1f\"'\\$;{}]*", url)
    if url and not url.startswith("s3://") and not is_folder:
        yield Fault(
            "media.url", "it is no place for pictures", "write /a/folder or s3://bucket/prefix"
        )


def _elsewhere(settings: Settings) -> Iterator[Fault]:
    """Services of members, and where another machine has them. nginx is nowhere without its gateway."""
    known = [row.name for row in inventory.FORWARDED if not row.is_gateway]
    for one in settings.site.elsewhere:
        name, _, endpoint = one.partition("@")
        try:
            endpoints.parsed(endpoint)
        except ValueError as error:
            yield Fault("site.elsewhere", str(error), "write SERVICE@HOST:PORT")
            continue
        if name not in known:
            yield Fault(
                "site.elsewhere", f"{name!r} cannot be elsewhere", f"choose of {', '.join(known)}"
            )


def _acme(settings: Settings) -> Iterator[Fault]:
    """Directories that can be trusted, and names that an authority can vouch for."""
    acme = settings.acme
    for dotted, url in (("acme.directory", acme.directory), ("acme.staging", acme.staging)):
        if url and not _is_url(url, ("https",)):
            yield Fault(
                dotted, "expected a URL with https://", "copy it from the authority's pages"
            )
    if not acme.directory:
        return
    if settings.tls.certificate:
        yield Fault(
            "acme.directory",
            "both say what nginx's certificate is",
            "remove tls.certificate and tls.key, or acme.directory",
            ("tls.certificate",),
        )
    if not settings.acme_names:
        yield Fault(
            "acme.directory", "there is no name to vouch for", "set public_url, or acme.names"
        )
    for name in settings.acme_names:
        if not re.fullmatch(r"(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*", name):
            yield Fault(
                "acme.names" if acme.names else "public_url",
                f"no authority vouches for {name!r}",
                "write a full name in ASCII, such as chat.example.edu",
            )
        elif name.startswith("*.") and not acme.dns_hook:
            yield Fault(
                "acme.names", f"{name} takes DNS-01", "set acme.dns_hook, or list every name"
            )


def _pairs(settings: Settings) -> Iterator[Fault]:
    """What only works together."""
    if bool(settings.tls.certificate) != bool(settings.tls.key):
        here, there = ("certificate", "key") if settings.tls.certificate else ("key", "certificate")
        yield Fault(f"tls.{here}", f"there is no tls.{there}", "name the files of both")
    if bool(settings.site.authority) != bool(settings.site.certificate):
        here, there = (
            ("authority", "certificate")
            if settings.site.authority
            else ("certificate", "authority")
        )
        yield Fault(f"site.{here}", f"there is no site.{there}", "name the files of both")
    if settings.site.certificate and settings.host in _OWN:
        yield Fault(
            "host",
            "other machines of the site cannot reach it",
            "write this machine's address in the network of the nodes",
            ("site.certificate",),
        )
    if settings.site.elsewhere and not settings.site.certificate:
        yield Fault("site.elsewhere", "there is no site.certificate", "name its file, too")
    if settings.acme.account_key_id and not settings.acme.account_hmac_key:
        yield Fault(
            "acme.account_key_id", "there is no acme.account_hmac_key", "set both, or neither"
        )
    if settings.smtp.username and not settings.smtp.password:
        yield Fault("smtp.username", "there is no smtp.password", "set both, or neither")
