"""The pages of the web site and their static files."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.datastructures import Cookie

from chitlaq.core.http.problems import Problem
from chitlaq.core.http.translations import in_language
from chitlaq.core.languages import LANGUAGES, preferred
from chitlaq.web.pages import Pages, policy
from chitlaq.web.words import PageWords, texts

PARAMETER = "lang"
"""Of a page's address, and the cookie that keeps what was chosen with it."""

_YEAR_SECONDS = 365 * 24 * 3600


class SitePages(Pages):
    """Pages that speak their reader's language."""

    def __init__(self) -> None:
        headers = {"Content-Security-Policy": policy(), "Referrer-Policy": "no-referrer"}
        super().__init__("chitlaq.web.site", headers)
        self._words = {one: PageWords(one, texts(__package__, "words", one)) for one in LANGUAGES}
        # For pages about the API, which is in English.
        self.environment.globals |= {
            "t": self._words[LANGUAGES[0]],
            "other_languages": (),
            "static": lambda name: f"/static/{self.static_version}/{name}",
        }

    def localized(
        self,
        request: Request[Any, Any, Any],
        template: str,
        status: int = 200,
        *,
        refused: Problem | None = None,
        **values: Any,
    ) -> Response[str]:
        """Render a template in the language of who asks, with a link to the same page in the others."""
        language = spoken(request)
        others = []
        # Elsewhere the address is that of a step, which cannot be taken again.
        if "is_site" in request.route_handler.opt:
            asked = {"token": values["token"]} if values.get("token") else {}
            others = [
                {
                    "language": one,
                    "name": self._words[one]("language"),
                    "address": f"?{urlencode({PARAMETER: one, **asked})}",
                }
                for one in LANGUAGES
                if one != language
            ]
        page = self.html(
            template,
            status,
            refused=refused and in_language(refused, language),
            t=self._words[language],
            other_languages=others,
            **values,
        )
        page.headers["Vary"] = "Accept-Language, Cookie"
        if request.query_params.get(PARAMETER) == language:
            page.cookies.append(
                Cookie(PARAMETER, value=language, max_age=_YEAR_SECONDS, samesite="lax")
            )
        return page


def spoken(request: Request[Any, Any, Any]) -> str:
    """Return what a page's address says, what was chosen before, or what the browser prefers."""
    chosen = request.query_params.get(PARAMETER) or request.cookies.get(PARAMETER)
    return chosen if chosen in LANGUAGES else preferred(request.headers.get("accept-language", ""))


SITE = SitePages()
