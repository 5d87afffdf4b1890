"""What spellings of a name have in common: as search stores words, it also reads what is typed.

`search.folded`, `search.split`, `search.romanizations` and `search.sound` in PostgreSQL do the same where
members are stored, in the transaction that changes them; a test compares both over all of Unicode that both
know.
"""

from __future__ import annotations

import unicodedata

import regex

MAX_WORD = 40

_UNSEEN = regex.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u00ad\u034f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff"
    "'\u2018\u2019\u02bb\u02bc\u02b9\u0060\u00b4]"
)
_LETTERS = str.maketrans(
    {
        "\u00e6": "ae", "\u0153": "oe", "\u00fe": "th", "\u0131": "i", "\u00f8": "o", "\u0142": "l",
        "\u0111": "d", "\u00f0": "d", "\u0127": "h", "\u0167": "t", "\u014b": "n", "\u0259": "e",
    }
)  # fmt: skip
_SPACELESS = (
    r"\u0E00-\u0FFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF"
)
# What Unicode calls alphabetic is no sign, even where it is a symbol: squared letters.
_WORD = regex.compile(
    rf"[{_SPACELESS}]+|(?:[^\s\p{{P}}\p{{Cc}}\p{{S}}{_SPACELESS}]|[\U0001F150-\U0001F169\U0001F170-\U0001F189])+"
)
_NUMBERED = regex.compile(r"([^0-9]{2,})([0-9]+)")
_HYPHEN = regex.compile("[-\u2010-\u2015]")
_IS_SPACELESS = regex.compile(rf"[{_SPACELESS}]")
_GREEK_OR_CYRILLIC = regex.compile(r"[\u0370-\u03FF\u0400-\u052F]")

_ROMAN_PARTS = (
    ("щ", "shch"), ("ш", "sh"), ("ч", "ch"), ("ц", "ts"), ("ж", "zh"), ("х", "kh"), ("ю", "yu"), ("я", "ya"),
    ("є", "ye"), ("ђ", "dj"), ("љ", "lj"), ("њ", "nj"), ("џ", "dz"), ("ѕ", "dz"), ("җ", "zh"),
    ("ου", "ou"), ("αυ", "av"), ("ευ", "ev"), ("μπ", "b"),
    ("γγ", "ng"), ("γκ", "gk"), ("θ", "th"), ("χ", "ch"), ("ψ", "ps"), ("φ", "f"), ("ξ", "x"),
)  # fmt: skip
_ROMAN_LETTERS = str.maketrans(
    "абвгдезиклмнопрстуфыэіґјћўөүәңқғұһҷҳαβγδεζηικλμνοπρστυω",
    "abvgdeziklmnoprstufyeigjcuouankguhjhavgdeziiklmnoprstyo",
    "ъь",
)
_SOUTH_SLAVIC = str.maketrans(
    {"щ": "sc", "ю": "ju", "я": "ja", "ж": "z", "ч": "c", "ш": "s", "ц": "c", "х": "h", "ђ": "d"}
)
_UKRAINIAN = str.maketrans("ги", "hy")
_MAY_BE_UKRAINIAN = regex.compile("[гіґє]")
_NOT_UKRAINIAN = regex.compile("[ыэъђјљњћџ]")
_BULGARIAN = str.maketrans({"щ": "sht", "ъ": "a", "х": "h"})
_MAY_BE_BULGARIAN = regex.compile("[ъщ]")
_SOUND_PARTS = (
    ("shch", "S"), ("sch", "S"), ("sh", "S"), ("tch", "C"), ("ch", "C"), ("cz", "C"), ("ts", "T"),
    ("tz", "T"), ("zh", "Z"), ("ph", "f"), ("kh", "h"), ("th", "t"), ("dh", "d"), ("gh", "g"),
    ("ck", "k"), ("x", "ks"),
)  # fmt: skip
_SOUND_LETTERS = str.maketrans("qcwyjz", "kkviis")
_SOUND_VOWELS = (
    ("ou", "u"), ("oo", "u"), ("ue", "u"), ("oe", "o"), ("ae", "a"), ("ie", "i"), ("ee", "i"),
)  # fmt: skip
_SOFTENED = regex.compile("(?<=[dgk])j")
_REPEATED = regex.compile(r"(.)\1+")


def folded(text: str) -> str:
    """Return a text without case, accents and marks that show nothing, in plain letters if it has some."""
    cased = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())
    plain = _UNSEEN.sub("", unicodedata.normalize("NFKD", cased))
    return unicodedata.normalize("NFC", plain.translate(_LETTERS))


def split(folded_text: str) -> list[str]:
    """Return the words of a folded text, in their order.

    Scripts that set no spaces have one word for each run. The number at the end of a word is one of its own.
    """
    words: list[str] = []
    for found in _WORD.finditer(folded_text):
        numbered = _NUMBERED.fullmatch(found[0])
        words += numbered.groups() if numbered else (found[0],)
    return [word[:MAX_WORD] for word in words]


def stored(folded_text: str) -> list[str]:
    """Return the words as which a folded text is stored: also without hyphens, and the ends of runs."""
    words = split(folded_text)
    if _HYPHEN.search(folded_text):
        joined = _WORD.finditer(_HYPHEN.sub("", folded_text))
        words += [found[0][:MAX_WORD] for found in joined]
    ends = [word[at:] for word in words if is_spaceless(word) for at in range(1, len(word))]
    return words + ends


def is_spaceless(word: str) -> bool:
    """Whether a word is of a script that sets no spaces between words, so that each part of it is one."""
    return _IS_SPACELESS.match(word) is not None


def as_pattern(text: str) -> str:
    """Return a text as a LIKE pattern that matches nothing but itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def romanized(word: str) -> str:
    """Return a folded Greek or Cyrillic word in Latin letters, as passports write it; others as they are."""
    if _GREEK_OR_CYRILLIC.search(word) is None:
        return word
    for part, roman in _ROMAN_PARTS:
        word = word.replace(part, roman)
    return word.translate(_ROMAN_LETTERS)


def romanizations(word: str) -> list[str]:
    """Return a folded Greek or Cyrillic word in Latin letters, each spelling once; another one as it is.

    Passports' spelling comes first, then that of Serbian, Macedonian and scholars (Gaj's letters without
    their marks), of Ukrainian (the resolution of 2010), and of Bulgarian (the law of 2009).
    """
    if _GREEK_OR_CYRILLIC.search(word) is None:
        return [word]
    spellings = [word, word.translate(_SOUTH_SLAVIC)]
    if _MAY_BE_UKRAINIAN.search(word) and not _NOT_UKRAINIAN.search(word):
        spellings.append(word.translate(_UKRAINIAN))
    if _MAY_BE_BULGARIAN.search(word):
        spellings.append(word.translate(_BULGARIAN))
    return list(dict.fromkeys(map(romanized, spellings)))


def sounds(word: str) -> list[str]:
    """Return the sound of a Latin word; also without the j of dj, gj and kj, for đ, ǵ and ḱ."""
    found = [sound(word)]
    if _SOFTENED.search(word):
        found.append(sound(_SOFTENED.sub("", word)))
    return found


def sound(word: str) -> str:
    """Return what a folded Latin word has in common with those that sound alike: Müller and Mueller."""
    for part, one in _SOUND_PARTS:
        word = word.replace(part, one)
    word = word.translate(_SOUND_LETTERS)
    for part, one in _SOUND_VOWELS:
        word = word.replace(part, one)
    return str(_REPEATED.sub(r"\1", word))
