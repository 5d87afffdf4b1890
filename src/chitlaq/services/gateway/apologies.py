"""The pages that nginx itself answers to browsers: nothing behind it has to work.

They have no script and no style but what browsers have of their own, light or dark, and each fits into a
parameter of nginx (4,096 bytes). They do not reload themselves, which would interrupt readers (WCAG 2.2.1).
"""

from __future__ import annotations

from typing import NamedTuple

from chitlaq.core.host import templates
from chitlaq.core.languages import LANGUAGES

POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


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
            "Uzun sürmez. Daha önce gönderdiğin hiçbir şey kaybolmadı.",
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
            "Hesabından ya da ağından çok fazla sayfa istendi. Biraz bekle.",
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
    page = templates.rendered(__package__, "apology.html.j2", language=language, words=words)
    return page.replace("\n", "")
