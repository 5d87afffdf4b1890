"""What makes the site an application of its own: the service worker's script, and the manifest."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from chitlaq.core.languages import LANGUAGES
from chitlaq.web.site.pages import SITE, shared_words

MANIFEST_TYPE = "application/manifest+json"
_COLOURS = {"theme_color": "#faf8f4", "background_color": "#faf8f4"}
_ALONE = {"sw.js", "page.css", "passkey.js", "login.js"}
"""What the application does not need: pages of forms work with a connection only."""


def script() -> bytes:
    """Return the service worker of the static files as they are: another one once any of them changes."""
    version = SITE.static_version
    build = {
        "version": version,
        "files": [f"/static/{version}/{name}" for name in kept_files()],
        "words": {one: shared_words(one)["push.told"] for one in LANGUAGES},
    }
    own = resources.files(__package__).joinpath("static", "sw.js").read_bytes()
    return b"self.build = %s;\n%s" % (msgspec.json.encode(build), own)


def kept_files() -> list[str]:
    """Return the static files that a browser keeps, to work without a connection."""
    folder = Path(str(resources.files(__package__).joinpath("static")))
    found = (one.relative_to(folder).as_posix() for one in folder.rglob("*"))
    return sorted(
        one for one in found if one.endswith((".js", ".css", "icons.svg")) and one not in _ALONE
    )


def manifest() -> dict[str, Any]:
    """Return what a device needs to know to install the site (W3C Web Application Manifest)."""
    icons = f"/static/{SITE.static_version}/icons"
    return {
        "id": "/",
        "name": "ChitLaq",
        "short_name": "ChitLaq",
        "start_url": "/home",
        "scope": "/",
        "display": "standalone",
        **_COLOURS,
        "icons": [
            {"src": f"{icons}/app-192.png", "sizes": "192x192", "type": "image/png"},
            {"src": f"{icons}/app-512.png", "sizes": "512x512", "type": "image/png"},
            {
                "src": f"{icons}/maskable-512.png",
                "sizes": "512x512",
                "type": "image/png",
                "purpose": "maskable",
            },
        ],
    }
