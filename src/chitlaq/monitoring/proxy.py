"""monitoring-proxy's configuration: reading is open on this machine, anything else needs the password.

The observers know no users. In front of them, this nginx passes without a password only requests that read,
each named here; any other, known or not, needs the user ``operator``. It refuses what a web page of another
site sent and what names a host that is not ours (DNS rebinding), and shares no answer with other origins.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from chitlaq import inventory
from chitlaq.core.host import files, templates
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import OPERATOR, OPERATOR_PASSWORD, Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.stack import commands
from chitlaq.stack.servers import observers

USERS = "users"

_FILES = "(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+"
_PROBES = "-/(?:healthy|ready)"
_QUERIES = "query|query_range|query_exemplars|format_query|parse_query|series|labels"

READS = {
    "prometheus": (
        ("GET|HEAD", f"(?:metrics|federate|version|{_PROBES})?"),
        ("GET|HEAD", f"api/v1/(?:{_QUERIES}|label/[A-Za-z_][A-Za-z0-9_]*/values|metadata)"),
        ("GET|HEAD", "api/v1/(?:targets|targets/metadata|scrape_pools|rules|alerts|alertmanagers)"),
        ("GET|HEAD", "api/v1/status/[a-z]+"),
        # A query may be longer than a URL.
        ("POST", f"api/v1/(?:{_QUERIES})"),
        # Its pages: the present ones, and those of its older user interface.
        ("GET|HEAD", f"(?:classic/)?(?:static|assets|consoles){_FILES}"),
        ("GET|HEAD", "(?:classic/)?(?:graph|query|alerts|targets|rules|config|flags|status)/?"),
        ("GET|HEAD", "(?:classic/)?(?:tsdb-status|service-discovery|starting)/?"),
        ("GET|HEAD", "favicon[.](?:ico|svg)|manifest[.]json"),
    ),
    "alertmanager": (
        ("GET|HEAD", f"(?:metrics|script[.]js|favicon[.]ico|{_PROBES})?"),
        ("GET|HEAD", f"(?:lib|assets){_FILES}"),
        ("GET|HEAD", "api/v[12]/(?:alerts|alerts/groups|silences|status|receivers)"),
        ("GET|HEAD", "api/v[12]/silence/[0-9a-f-]{36}"),
    ),
    "node-exporter": (("GET|HEAD", "(?:metrics)?"),),
}
"""What only reads: methods, and paths without the first slash, as regular expressions.

They are compared with the request as it was sent, and it is passed on as it was sent: nothing is decoded
in between that the server could understand differently.
"""


def render(home: Home, settings: Settings) -> str:
    """Return a complete ``nginx.conf``.

    Args:
        home: where its other files are.
        settings: ports, and the public URL, whose host name is one of ours.
    """
    text = templates.rendered(
        __package__,
        "proxy.conf.j2",
        home=home,
        folder=home.monitoring_proxy,
        key=observers.key_of(home, "monitoring-proxy"),
        users=home.monitoring_proxy / USERS,
        password=home.secrets / OPERATOR_PASSWORD,
        names=settings.host_names,
        address=inventory.OBSERVERS_ADDRESS,
        servers=[
            (row.name, row.name.replace("-", "_"), settings.port_of(row.name), READS[row.name])
            for row in inventory.OBSERVERS
            if settings.embeds(row.name)
        ],
    )
    return commands.in_text(text, home)


def write(home: Home, text: str) -> Path:
    """Write the configuration, the password's hash and the key where the proxy reads them."""
    home.monitoring_proxy.mkdir(parents=True, exist_ok=True)
    observers.give_key(home, "monitoring-proxy")
    password = _hashed(Secrets(home.secrets).operator_password)
    files.ensure(home.monitoring_proxy / USERS, f"{OPERATOR}:{password}\n", mode=0o600)
    return files.ensure(home.monitoring_proxy / "nginx.conf", text)


def _hashed(password: str) -> str:
    """A hash that nginx checks itself, the same at each start.

    The password is 192 random bits, so the hash need not be slow, nor its salt random.
    """
    salt = hashlib.sha256(password.encode()).digest()[:16]
    digest = hashlib.sha1(password.encode() + salt).digest()  # noqa: S324 - see above
    return "{SSHA}" + base64.b64encode(digest + salt).decode()
