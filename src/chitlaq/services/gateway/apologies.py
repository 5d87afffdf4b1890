"""The pages that nginx itself answers to browsers: nothing behind it has to work.

They have no script and one style, in the page itself, and each fits into a parameter of nginx (4,096 bytes).
They do not reload themselves, which would interrupt readers (WCAG 2.2.1).
"""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

from chitlaq.core.host import templates
from chitlaq.core.languages import LANGUAGES

THEME = "THEME"
"""Stands in a page for the colours that its reader has chosen, which nginx knows."""
# The colours are those of tokens.css.
STYLE = (
    ":root{color-scheme:light dark}[data-theme=light]{color-scheme:light}[data-theme=dark]{color-scheme:dark}"
    "body{margin:0;background:light-dark(#faf8f4,#14171a);color:light-dark(#1e1f22,#e9e8e4);"
    "font:1rem/1.5 system-ui,sans-serif}"
    "main{max-inline-size:32rem;margin:18vh auto;padding:0 1.25rem}"
    "h1{font-size:1.5rem;line-height:1.25}"
    "a{display:inline-block;padding-block:.6rem;color:light-dark(#0b675c,#63cdb9)}"
    "[data-theme=contrast]{color-scheme:dark}[data-theme=contrast] body{background:#000;color:#fff}"
    "[data-theme=contrast] a{color:#ffe14d}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Words(NamedTuple):
    title: str
    text: str
    again: str = "Try again"
    status: str = "How ChitLaq is doing"


WORDS = {
    "away": {
        "en": Words(
            "ChitLaq does not answer at the moment",
            "This should not take long. Nothing that you have sent before is lost.",
        ),
        "tr": Words(
            "ChitLaq şu anda yanıt vermiyor",
            "Uzun sürmez. Daha önce gönderdiğiniz hiçbir şey kaybolmadı.",
            "Yeniden dene",
            "ChitLaq ne durumda",
        ),
    },
    "too_many": {
        "en": Words(
            "Too much at once",
            "Your account or your network has asked for too many pages. Wait a moment.",
        ),
        "tr": Words(
            "Bir anda çok fazla istek",
            "Hesabınızdan ya da ağınızdan çok fazla sayfa istendi. Biraz bekleyin.",
            "Yeniden dene",
            "ChitLaq ne durumda",
        ),
    },
}
"""By page and language."""


def pages() -> dict[str, dict[str, str]]:
    """Return each page in each language, as one line."""
    return {
        page: {language: _page(language, words[language]) for language in LANGUAGES}
        for page, words in WORDS.items()
    }


def _page(language: str, words: Words) -> str:
    page = templates.rendered(
        __package__, "apology.html.j2", language=language, words=words, style=STYLE, theme=THEME
    )
    return page.replace("\n", "")
