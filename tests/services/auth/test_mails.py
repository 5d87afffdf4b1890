"""Mails about accounts: in each language the same kinds, values and links, and no mark-up of strangers."""

from __future__ import annotations

import string

import pytest

from chitlaq.core.languages import LANGUAGES
from chitlaq.services.auth import mails
from chitlaq.services.auth.mails import Recipient

KINDS = sorted(mails.kinds(LANGUAGES[0]))
LINK = "https://chitlaq.example.edu/x?token=secret&more=1"


def named(kind: str, language: str) -> set[str]:
    words = mails.kinds(language)[kind]
    texts = (words.subject, *words.paragraphs)
    return {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}


def test_each_language_has_the_same_kinds_with_the_same_values() -> None:
    first, *others = LANGUAGES
    for language in others:
        assert sorted(mails.kinds(language)) == KINDS
        for kind in KINDS:
            assert named(kind, language) == named(kind, first), (language, kind)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_mail_shows_its_link_and_values_and_escapes_them(kind: str, language: str) -> None:
    values = dict.fromkeys(named(kind, language) - {"link"}, "<b>&")
    words = mails.kinds(language)[kind]
    has_link = "link" in named(kind, language)
    to = Recipient("ada@example.edu", "Ada", language)
    mail = mails.composed(to, kind, LINK if has_link else "", **values)
    assert "Ada" in mail.text.partition("\n")[0]
    assert mail.links == ([LINK] if has_link else [])
    assert (LINK in mail.text) == has_link == bool(words.action)
    assert "<b>" not in mail.html
    assert mail.text.isascii() or language != "en"


@pytest.mark.parametrize("name", ["http://evil.example", "Call 555 0100", "<b>Ada</b>"])
def test_name_that_is_no_name_is_left_out(name: str) -> None:
    mail = mails.composed(Recipient("ada@example.edu", name), "verification", LINK, hours=1)
    assert mail.text.startswith("Hello,\n")
    assert name not in mail.text
