"""The pages of the web site and their static files."""

from __future__ import annotations

from importlib import resources
from typing import Any

import jinja2
from litestar import Response

from chitlaq import __version__
from chitlaq.core.http import problems

MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}

# Nothing external and nothing inline: what members write never runs as a script.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
        " img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}

_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("chitlaq.web.site"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def html(template: str, **values: Any) -> Response[str]:
    """Render a template as a page."""
    text = _environment.get_template(template).render(version=__version__, **values)
    return Response(text, media_type="text/html", headers=SECURITY_HEADERS)


def static(name: str) -> Response[bytes]:
    """Return one of the static files.

    Raises:
        Problem: 404 if there is no such file.
    """
    media_type = MEDIA_TYPES.get(name.rpartition(".")[2])
    file = resources.files("chitlaq.web.site").joinpath("static", name)
    if media_type is None or "/" in name or not file.is_file():
        raise problems.not_found("file")
    return Response(
        file.read_bytes(), media_type=media_type, headers={"Cache-Control": "max-age=300"}
    )
