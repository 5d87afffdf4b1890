"""Compose texts of posts from phrases at random."""

from __future__ import annotations

import re
from random import Random
from typing import TypeAlias

from chitlaq.seed import names, phrases

# Fixed text alternating with slot names, fixed text first.
Template: TypeAlias = tuple[str, ...]

_SLOT = re.compile(r"\{(\w+)\}")
_TAG_OF_DEPARTMENT = tuple(name.lower().replace(" ", "") for name in names.DEPARTMENTS)


def _compiled(texts: tuple[str, ...]) -> tuple[Template, ...]:
    return tuple(tuple(_SLOT.split(text)) for text in texts)


class _Topic:
    __slots__ = ("continuations", "openings", "replies", "tags")

    def __init__(self, topic: phrases.Topic) -> None:
        self.openings = _compiled(topic.openings)
        self.continuations = _compiled(topic.continuations)
        self.replies = _compiled(topic.replies)
        self.tags = topic.tags


TOPICS = len(phrases.TOPICS)


class Writer:
    """Writes posts and replies; the same state of the generator gives the same text."""

    def __init__(self, rng: Random) -> None:
        self._random = rng.random
        self._topics = [_Topic(topic) for topic in phrases.TOPICS]
        self._remarks = _compiled(phrases.REMARKS)
        self._slots = [
            {**phrases.SLOTS, "course": courses} for courses in names.DEPARTMENTS.values()
        ]

    def post(self, topic: int, department: int) -> tuple[str, tuple[str, ...]]:
        """Return the text of a post and its hashtags."""
        random, about = self._random, self._topics[topic]
        text = self._filled(about.openings, department)
        for chance in (0.75, 0.25):
            if random() < chance:
                text = f"{text} {self._filled(about.continuations, department)}"
        dice = random()
        if dice > 0.5:
            return text, ()
        tag = about.tags[int(random() ** 1.5 * len(about.tags))]
        if dice > 0.15:
            return f"{text} #{tag}", (tag,)
        other = _TAG_OF_DEPARTMENT[department]
        return f"{text} #{tag} #{other}", (tag, other)

    def reply(self, topic: int, department: int, to_username: str) -> str:
        """Return the text of a reply to a post on that topic."""
        random = self._random
        text = self._filled(self._topics[topic].replies, department)
        dice = random()
        if dice < 0.7:
            text = f"{text} {self._filled(self._remarks, department)}"
        elif dice < 0.8:
            text = f"{text} {phrases.ENDINGS[int(random() * len(phrases.ENDINGS))]}"
        dice = random()
        if dice < 0.35:
            return f"{phrases.AGREEMENTS[int(random() * len(phrases.AGREEMENTS))]} {text}"
        return f"@{to_username} {text}" if dice < 0.6 else text

    def _filled(self, templates: tuple[Template, ...], department: int) -> str:
        random = self._random
        template = templates[int(random() * len(templates))]
        if len(template) == 1:
            return template[0]
        slots = self._slots[department]
        parts = list(template)
        for place in range(1, len(parts), 2):
            words = slots[parts[place]]
            parts[place] = words[int(random() * len(words))]
        text = "".join(parts)
        return text if template[0] else text[0].upper() + text[1:]
