"""The pages of the web site and their static files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from typing import Any
from urllib.parse import urlencode

import msgspec
from jinja2.ext import Extension
from litestar import Request, Response
from litestar.datastructures import Cookie
from markupsafe import Markup

from chitlaq.core.http.problems import Problem
from chitlaq.core.http.translations import in_language
from chitlaq.core.languages import LANGUAGES
from chitlaq.web.pages import PARAMETER, THEMES, Pages, policy, spoken
from chitlaq.web.site import modules, posts
from chitlaq.web.words import PageWords, Words, texts

YEAR_SECONDS = 365 * 24 * 3600
KEYS = "keys"
"""The cookie that keeps whether single keys act."""
SCROLLING = "scrolling"
"""The cookie that keeps whether a list of posts goes on by itself at its end."""
SWITCH = ("on", "off")
OWN_WORDS = ("words", "settings")
"""The files with what the server alone says."""
_POLICY = policy(
    img_src="'self' blob: data:",
    manifest_src="'self'",
    worker_src="'self'",
    require_trusted_types_for="'script'",
    trusted_types="chitlaq-sw",
)
_INDEX = re.compile(r"\[[^\]]*\]")
_CLOSE_TO_MARKUP = re.compile(r"(?<=[>}])\s*\n\s*|\s*\n\s*(?=[<{])")


class _Tight(Extension):
    """Takes the line breaks beside markup out of the application's templates, as htm does with its own."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return _CLOSE_TO_MARKUP.sub("", source) if name and name.startswith("app/") else source


class SitePages(Pages):
    """Pages that speak their reader's language."""

    def __init__(self) -> None:
        headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
        super().__init__("chitlaq.web.site", headers)
        self.environment.add_extension(_Tight)
        self._shared = {one: shared_words(one) for one in LANGUAGES}
        self._words = {one: PageWords(one, own_words(one) | self._shared[one]) for one in LANGUAGES}
        # For pages about the API, which is in English.
        self.environment.filters |= {
            "written": posts.written,
            "plain": posts.plain,
            "encoded": posts.encoded,
            "hue": posts.hue,
        }
        self.environment.tests["long"] = posts.is_long
        self.environment.globals |= {
            "t": self._words[LANGUAGES[0]],
            "other_languages": (),
            "keys": "on",
            "scrolling": "on",
            "themes": THEMES,
            "languages": LANGUAGES,
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
        # Without what it was asked for, which may be the token of a mail.
        base_url = request.app.state.context.settings.base_url
        values.setdefault("address", f"{base_url}{request.url.path}")
        others = []
        # Elsewhere the address is that of a step, which cannot be taken again.
        if "is_site" in request.route_handler.opt:
            # What a page was asked for; what it does not know is not repeated.
            known = values.get("parameters", {})
            asked = {name: one for name, one in known.items() if name in request.query_params}
            asked |= {"token": values["token"]} if values.get("token") else {}
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
            request,
            template,
            status,
            refused=refused and self._told(in_language(refused, language), language),
            t=self._words[language],
            keys="off" if request.cookies.get(KEYS) == "off" else "on",
            scrolling="off" if request.cookies.get(SCROLLING) == "off" else "on",
            other_languages=others,
            **values,
        )
        page.headers["Vary"] = "Accept-Language, Cookie"
        if request.query_params.get(PARAMETER) == language:
            page.cookies.append(
                Cookie(PARAMETER, value=language, max_age=YEAR_SECONDS, samesite="lax")
            )
        return page

    def _told(self, refused: Problem, language: str) -> Problem:
        """Return a refusal whose errors are sentences for a member, who does not know the fields' names."""
        words = self._words[language]
        errors = {name: said_of(name, why, words) for name, why in (refused.errors or {}).items()}
        return refused.said(refused.detail, errors)

    def screen(
        self,
        request: Request[Any, Any, Any],
        template: str,
        status: int = 200,
        *,
        is_member: bool,
        is_stale: bool = False,
        me: Mapping[str, Any] | None,
        unread: int,
        chats: int,
        banners: Sequence[Mapping[str, Any]],
        view: str,
        parameters: Mapping[str, str],
        data: Mapping[str, Any],
        now: datetime,
        address: str,
    ) -> Response[str]:
        """Render a screen of the application: as HTML for everybody, and as data for a member's browser.

        Args:
            request: who asks, for their language and colours.
            template: of the screen.
            status: of the page.
            is_member: whether scripts shall take over.
            is_stale: whether they shall only renew the session, and ask again.
            me: the member's own profile, as far as it is known.
            unread: how many notifications are.
            chats: in how many conversations something is unread, or asked.
            banners: the announcements above the screen.
            view: the module that takes over.
            parameters: of the page's address.
            data: the screen's parts by name; None for those that the browser must ask for.
            now: what "3 min" is counted from.
            address: the page's own, for what links to it.
        """
        language = spoken(request)
        words = self._words[language]
        first = {
            "stale": is_stale,
            "view": view,
            "parameters": parameters,
            "data": data,
            "me": me,
            "unread": unread,
            "chats": chats,
            "upload_bytes": request.app.state.context.settings.media.upload_bytes,
            "now": now,
            "words": self._shared[language],
        }
        page = self.localized(
            request,
            template,
            status,
            is_member=is_member,
            me=me,
            unread=unread,
            chats=chats,
            banners=banners,
            view=view,
            parameters=parameters,
            data=data,
            **data,
            address=address,
            when=lambda moment: posts.when(moment, now, words),
            left=lambda moment: posts.left(moment, now, words),
            first=_embedded(first) if is_member else "",
            modules=modules.of_view(view) if is_member else (),
        )
        page.headers["Cache-Control"] = "no-store" if is_member else "no-cache"
        return page


def said_of(name: str, why: str, words: Words) -> str:
    """Return what the API says of a field as a sentence; ``sentence`` of ``api.js`` says the same."""
    if why.endswith("."):
        return why
    key = f"refused.{_INDEX.sub('', name).rpartition('.')[2]}"
    return words(key if key in words.keys else "refused.other", why=why)


def own_words(language: str) -> dict[str, str]:
    """Return the words that templates alone say."""
    return {
        key: text for name in OWN_WORDS for key, text in texts(__package__, name, language).items()
    }


def shared_words(language: str) -> dict[str, str]:
    """Return the words that templates and scripts say: a file for each area of the application.

    Raises:
        ValueError: two areas have words under the same key.
    """
    folder = resources.files(__package__).joinpath("words")
    areas = sorted({one.name.split(".")[0] for one in folder.iterdir()})
    words: dict[str, str] = {}
    for area in areas:
        own = texts(__package__, f"words/{area}", language)
        if own.keys() & words.keys():
            raise ValueError(f"words of two areas: {sorted(own.keys() & words.keys())}")
        words |= own
    return words


def _embedded(value: object) -> Markup:
    """Return JSON that may stand in a script element: nothing in it can end the element."""
    text = msgspec.json.encode(value).decode()
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - JSON, in which no markup is left


SITE = SitePages()
