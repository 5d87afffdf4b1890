"""Mails about accounts: in each language the same kinds, values and links, and no mark-up of strangers."""

from __future__ import annotations

import string
from html.parser import HTMLParser

import pytest

from chitlaq.core.data.mail import Mail
from chitlaq.core.languages import LANGUAGES
from chitlaq.core.visible import is_one_line
from chitlaq.services.auth import mails
from chitlaq.services.auth.mails import Recipient
from tests.hostile_texts import TEXTS

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


class Seen(HTMLParser):
    """The elements of a mail with their attributes, and its text."""

    def __init__(self, mail: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text = ""
        self.feed(mail)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag != "br":
            self.elements.append((tag, tuple(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_stays_text_in_every_mail(kind: str) -> None:
    given = named(kind, "tr")
    link = LINK if "link" in given else ""

    def composed(text: str, name: str) -> Mail:
        to = Recipient("ada@example.edu", name, "tr")
        return mails.composed(to, kind, link, **dict.fromkeys(given - {"link"}, text))

    elements = Seen(composed("x", "Ada").html).elements
    for text in TEXTS:
        if "{" in mails.kinds("tr")[kind].subject and not is_one_line(text):
            # What could add a header is refused.
            with pytest.raises(ValueError, match="one line"):
                composed(text, text)
            continue
        mail = composed(text, text)
        assert Seen(mail.html).elements == elements, text
        assert mail.links == ([link] if link else [])
        # A name is in the greeting, where it must not look like more than a name.
        assert "://" not in mail.text.partition("\n")[0]
