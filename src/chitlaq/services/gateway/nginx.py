"""nginx's configuration, generated from the declared routes."""

from __future__ import annotations

import grp
import pwd
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from chitlaq import inventory
from chitlaq.core.host import endpoints, files, templates
from chitlaq.core.http import cookies, edge, uploads
from chitlaq.core.http.routes import OWN_PATHS, UNMATCHED, Route
from chitlaq.core.installation import site_tls
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.languages import LANGUAGES
from chitlaq.logs import access
from chitlaq.services.gateway import apologies
from chitlaq.web.console.status import pages
from chitlaq.web.pages import THEME, THEMES

EDGE = "nginx"
GATEWAY = "api-gateway"
CONSOLE = "ops-service"
RETRY_AFTER_SECONDS = 2
UPLOADS_AT_ONCE = 8
"""Files that one account uploads at the same time."""
EDGE_STATUSES = (400, 413, 414, 429, 431, 503)
"""What nginx itself answers for a service's route: the problems of the template."""
OTHER_STATUSES = tuple(
    HTTPStatus(status) for status in (401, 402, *range(406, 413), 415, 416, 421, 500, 501, 505, 507)
)
"""What else nginx has a page for. All but 500, 501 and 505 take modules that are not used, or TLS."""
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""Of TLS 1.2, in Mozilla's intermediate profile (https://ssl-config.mozilla.org/guidelines/5.7.json). That
has three more for DHE, which nginx offers only with parameters of its own."""


@dataclass(frozen=True, slots=True)
class _Upstream:
    """A service as an nginx upstream: its workers' sockets, and the paths forwarded to them.

    Args:
        patterns: of its paths, by what precedes them at the edge.
        files: of those to which files are uploaded.
    """

    name: str
    servers: Sequence[str]
    patterns: Mapping[str, Sequence[str]]
    files: Mapping[str, Sequence[str]]
    sockets: Sequence[str]


@dataclass(frozen=True, slots=True)
class Tls:
    """The edge over TLS.

    Args:
        port: as members reach it.
        certificate: the file, with what is between it and its authority.
        key: the file of its key.
        is_stapled: whether nginx asks the authority if it was revoked, and hands on the answer (OCSP).
    """

    port: int
    certificate: Path
    key: Path
    is_stapled: bool = False


@dataclass(frozen=True, slots=True)
class _Listener:
    """A port of nginx, and the sockets to which its connections go: clients' own, and trusted proxies'."""

    name: str
    address: str
    direct: Path
    forwarded: Path
    tls: Tls | None = None

    @property
    def is_edge(self) -> bool:
        return self.name != "gateway"


@dataclass(frozen=True, slots=True)
class _FromNodes:
    """A service's port on the address that the other machines of a site reach, and its sockets."""

    name: str
    address: str
    servers: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """A service that other machines of a site run: its socket and port here, and where they have it."""

    name: str
    socket: Path
    address: str
    servers: Sequence[str]


def render(
    home: Home,
    settings: Settings,
    routes: Mapping[str, Sequence[Route]],
    user: str | None,
    modules: Sequence[Path],
    tls: Tls | None = None,
    access_log: Path | None = None,
) -> str:
    """Return a complete ``nginx.conf``.

    Args:
        home: where the sockets, logs and temporary files are.
        settings: ports, limits, origins.
        routes: what each service declares for members, by its name; the gateway's own under
            ``api-gateway``.
        user: the system user of nginx's workers, if root starts it.
        modules: the dynamic modules that nginx must load.
        tls: the edge's port with TLS, if it has one.
        access_log: where the workers write what was asked; by default the home's log itself.
    """
    services = [
        _upstream(name, declared, home, settings)
        for name, declared in routes.items()
        if name != GATEWAY
    ]
    group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name if user else ""
    return templates.rendered(
        __package__,
        "nginx.conf.j2",
        home=home,
        settings=settings,
        access_log=access_log or home.access_log,
        services=services,
        console=CONSOLE if settings.operations.public else "",
        gateway=_upstream(GATEWAY, routes[GATEWAY], home, settings),
        listeners=_listeners(home, settings, tls),
        from_nodes=_from_nodes(home, settings),
        elsewhere=_elsewhere(home, settings),
        application=site_tls.APPLICATION,
        tls=tls,
        challenges=home.acme_challenges if _answers_challenges(settings) else None,
        hsts_name=_hsts_name(settings),
        capacity=edge.capacity(settings.limits, is_of_site=bool(settings.site.certificate)),
        modules=modules,
        for_members=sum(inventory.COMPONENTS[one.name].is_for_members for one in services),
        sockets=[path for one in services for path in one.sockets],
        apologies=apologies.pages(),
        apology_policy=apologies.POLICY,
        apology_theme=apologies.THEME,
        theme_cookie=THEME,
        themes=THEMES,
        languages=LANGUAGES,
        page=pages,
        page_policy=pages.POLICY,
        pictures=edge.PICTURES,
        pictures_folder=settings.media_folder(home),
        upload_bytes=settings.media.upload_bytes,
        uploads_at_once=UPLOADS_AT_ONCE,
        body_of_upload_bytes=settings.media.upload_bytes + uploads.OVERHEAD_BYTES,
        own_paths=[re.escape(path) for path in sorted(OWN_PATHS)],
        templates=_templates(routes),
        methods=_methods(routes),
        user=f"{user} {group}" if user else None,
        token_cookie=cookies.ACCESS,
        probe_agent=access.PROBE_AGENT,
        probe_addresses=access.PROBE_ADDRESSES,
        ciphers=CIPHERS,
        retry_after=RETRY_AFTER_SECONDS,
        other_statuses=OTHER_STATUSES,
    )


def write(home: Home, text: str, routes: Mapping[str, Sequence[Route]], edge_key: str) -> Path:
    """Write the configuration where nginx reads it, and create the folders that it writes to.

    Also write the key of tokens' seals, which no other user may read, and the expected requests, whose
    counters the gateway initializes to zero.
    """
    for folder in (home.nginx, home.logs):
        folder.mkdir(parents=True, exist_ok=True)
    files.ensure(home.expected_requests, msgspec.json.encode(_expected(routes)))
    key = f'map "" $edge_key {{\n    default "{edge_key}";\n}}\n'
    files.ensure(home.edge_key, key, mode=0o600)
    return files.ensure(home.nginx / "nginx.conf", text)


def _expected(routes: Mapping[str, Sequence[Route]]) -> list[tuple[str, str, int]]:
    """Every declared method and template, as in the access log, with its success status."""
    own = sorted((*OWN_PATHS, *pages.FILES))
    expected = [("GET", path, int(HTTPStatus.OK)) for path in own]
    expected.append(("GET", UNMATCHED, int(HTTPStatus.NOT_FOUND)))
    for name, declared in routes.items():
        for route in declared:
            template = _path(name, route.template, is_at_root=route.is_at_root)
            methods = sorted(route.methods) or ["GET"]
            expected += [(method, template, route.status) for method in methods]
    return expected


def _path(service: str, template: str, *, is_at_root: bool) -> str:
    """A service's template as members request it."""
    return template if is_at_root else f"{_prefix(service)}{template}"


def _methods(routes: Mapping[str, Sequence[Route]]) -> dict[str, str]:
    """The methods of each template, as ``Allow`` lists them."""
    methods: defaultdict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for path in (*OWN_PATHS, *pages.FILES):
        methods[path] |= {"GET", "HEAD"}
    for name, declared in routes.items():
        for route in declared:
            own = set(route.methods) or {"GET"}
            template = _path(name, route.template, is_at_root=route.is_at_root)
            methods[template] |= own | ({"HEAD"} if "GET" in own else set())
    return {template: ", ".join(sorted(allowed)) for template, allowed in methods.items()}


def _upstream(name: str, routes: Sequence[Route], home: Home, settings: Settings) -> _Upstream:
    servers = _sockets(name, home, settings)
    prefix = _prefix(name)
    patterns: defaultdict[str, set[str]] = defaultdict(set)
    files: defaultdict[str, set[str]] = defaultdict(set)
    for route in routes:
        place = "" if route.is_at_root else prefix
        if route.takes_file:
            files[place].add(route.pattern)
        elif route.methods:
            patterns[place].add(route.pattern)
    # Of a path that also takes a file, the larger limit holds.
    for place in files:
        patterns[place] -= files[place]
    sockets = sorted(route.template for route in routes if not route.methods)
    places, for_files = (
        {place: sorted(found) for place, found in sorted(kind.items()) if found}
        for kind in (patterns, files)
    )
    return _Upstream(name, servers, places, for_files, sockets)


def _sockets(service: str, home: Home, settings: Settings) -> Sequence[str]:
    return [
        f"unix:{home.service_socket(service, worker)}"
        for worker in range(settings.workers_of(service))
    ]


def _prefix(service: str) -> str:
    """Return what precedes a service's paths at the edge: those of the API are below ``/api``."""
    row = inventory.COMPONENTS[service]
    return "" if row.is_gateway or not row.is_for_members else "/api"


def _listeners(home: Home, settings: Settings, tls: Tls | None) -> list[_Listener]:
    found = [
        (inventory.COMPONENTS[one].setting, settings.address_of(one), settings.port_of(one), None)
        for one in (EDGE, GATEWAY)
    ]
    return [
        _Listener(
            name,
            endpoints.written(address, port),
            home.nginx_socket(name),
            home.nginx_sockets / f"{name}-forwarded.sock",
            own_tls,
        )
        for name, address, port, own_tls in (
            *found,
            *([("edge_tls", settings.host, tls.port, tls)] if tls else []),
        )
    ]


def _from_nodes(home: Home, settings: Settings) -> Sequence[_FromNodes]:
    """Where the services are reached from other machines of a site; nowhere on a single one."""
    if not settings.site.certificate:
        return ()
    return [
        _FromNodes(
            row.name,
            endpoints.written(settings.host, settings.port_of(row.name)),
            _sockets(row.name, home, settings),
        )
        for row in inventory.FORWARDED
        if settings.embeds(row.name)
    ]


def _elsewhere(home: Home, settings: Settings) -> Sequence[_Elsewhere]:
    """Where services are that this machine of a site does not run."""
    return [
        _Elsewhere(
            row.name,
            home.nginx_socket(row.name),
            endpoints.written(settings.address_of(row.name), settings.port_of(row.name)),
            servers,
        )
        for row in inventory.FORWARDED
        if (servers := settings.elsewhere(row.name))
    ]


def _answers_challenges(settings: Settings) -> bool:
    """Whether an authority asks nginx for what shows that its names are ours (RFC 8555, 8.3)."""
    return bool(settings.acme.directory) and not settings.acme.dns_hook


def _hsts_name(settings: Settings) -> str:
    """The name that browsers shall reach over TLS alone, since members type it so; never localhost."""
    public = urlsplit(settings.public_url)
    names = set(settings.host_names) - {"localhost", "127.0.0.1", "[::1]"}
    return public.hostname if public.scheme == "https" and public.hostname in names else ""


def _templates(routes: Mapping[str, Sequence[Route]]) -> list[tuple[str, str]]:
    """Pairs for nginx's map from a path to its template; exact paths first, as nginx requires."""
    exact = [(path, path) for path in sorted((*OWN_PATHS, *pages.FILES))]
    patterns: list[tuple[str, str]] = []
    for name, declared in routes.items():
        places = sorted({(one.template, one.pattern, one.is_at_root) for one in declared})
        for template, pattern, is_at_root in places:
            path = _path(name, template, is_at_root=is_at_root)
            if "{" in path:
                whole = _path(name, pattern, is_at_root=is_at_root)
                patterns.append((f"~^{whole}\\z", path))
            else:
                exact.append((path, path))
    return exact + patterns
