"""Pages from templates, and static files: how the members' site and the console make them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from litestar import Request, Response

from chitlaq import __version__
from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.core.languages import LANGUAGES, preferred
from chitlaq.core.visible import visible

MEDIA_TYPES = {
    "css": "text/css",
    "js": "text/javascript",
    "png": "image/png",
    "svg": "image/svg+xml",
}
THEME = "theme"
"""The cookie that keeps the chosen colours."""
PARAMETER = "lang"
"""Of a page's address, and the cookie that keeps the language that was chosen with it."""
THEMES = ("auto", "light", "dark", "contrast")
_LONGEST_NAME = 200
_STYLE = re.compile(r'<link rel="stylesheet" href="([^"]+)">')
_STATIC_NAME = re.compile(r"(?:[\w-]+/)*[\w-][\w.-]*", re.ASCII)


def policy(**sources: str) -> str:
    """Return a Content-Security-Policy: nothing external and nothing inline, but for these sources.

    What others write never runs as a script.
    """
    stated = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        **{name.replace("_", "-"): value for name, value in sources.items()},
    }
    return "; ".join(f"{name} {value}" for name, value in stated.items())


class Pages:
    """The templates and static files of one package, and the headers of its pages."""

    def __init__(self, package: str, headers: Mapping[str, str]) -> None:
        self._package = package
        self._headers = dict(headers)
        self.environment = jinja2.Environment(
            loader=jinja2.PackageLoader(package),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_shown,
        )

    def html(
        self,
        request: Request[Any, Any, Any],
        template: str,
        status: int = 200,
        *,
        refused: Problem | None = None,
        **values: Any,
    ) -> Response[str]:
        """Render a template as a page in the colours that its reader has chosen.

        Args:
            request: who asks.
            template: its name.
            status: unless something was refused.
            refused: why the form that was sent was not accepted: the template has it as `errors`, by field.
            values: what the template names.
        """
        headers, errors = {**self._headers, "Vary": "Cookie"}, dict[str, str]()
        if refused is not None:
            status, errors = refused.status, refused.errors or {"": refused.detail}
            headers |= refused.headers()
        named = {
            "version": __version__,
            "errors": errors,
            "theme": chosen_theme(request),
            **values,
        }
        text = self.environment.get_template(template).render(named)
        # Nothing is painted without them. Modules are named at the head of the page itself.
        if styles := _STYLE.findall(text.partition("</head>")[0]):
            headers["Link"] = ", ".join(f"<{one}>; rel=preload; as=style" for one in styles)
        return Response(text, status_code=status, media_type="text/html", headers=headers)

    @cached_property
    def static_version(self) -> str:
        """What stands for the static files as they are: another one once any of them changes."""
        folder = Path(str(resources.files(self._package).joinpath("static")))
        digest = hashlib.sha256()
        for file in sorted(one for one in folder.rglob("*") if one.is_file()):
            digest.update(f"{file.relative_to(folder)}\n{file.stat().st_size}\n".encode())
            digest.update(file.read_bytes())
        return digest.hexdigest()[:12]

    def static(self, name: str, version: str = "") -> Response[bytes]:
        """Return one of the static files, which is kept for ever if it is asked for by its version.

        A page of another version, as there is for a moment after an upgrade, gets what there is, and does
        not keep it.

        Raises:
            Problem: 404 if there is no such file.
        """
        media_type = MEDIA_TYPES.get(name.rpartition(".")[2])
        # A longer name than file systems have is a fault to them.
        if media_type is None or len(name) > _LONGEST_NAME or not _STATIC_NAME.fullmatch(name):
            raise problems.not_found("file")
        file = resources.files(self._package).joinpath("static", name)
        if not file.is_file():
            raise problems.not_found("file")
        kept = "max-age=300"
        if version:
            is_current = version == self.static_version
            kept = "public, max-age=31536000, immutable" if is_current else "no-store"
        return self.file(file.read_bytes(), media_type, kept)

    def file(self, content: bytes, media_type: str, kept: str = "no-cache") -> Response[bytes]:
        """Return content that is no page, and say how long it is kept."""
        headers = {**self._headers, "Cache-Control": kept}
        return Response(content, media_type=media_type, headers=headers)


def chosen_theme(request: Request[Any, Any, Any]) -> str:
    """Return the colours that were chosen in this browser, which each page has as its `data-theme`."""
    chosen = request.cookies.get(THEME, "")
    return chosen if chosen in THEMES else THEMES[0]


def spoken(request: Request[Any, Any, Any]) -> str:
    """Return the language that a page's address says, that was chosen before, or that the browser prefers."""
    chosen = request.query_params.get(PARAMETER) or request.cookies.get(PARAMETER)
    return chosen if chosen in LANGUAGES else preferred(request.headers.get("accept-language", ""))


def _shown(value: object) -> object:
    """What a template prints: text that others wrote hides nothing and reorders nothing."""
    return visible(value) if type(value) is str else value
