"""The demo's posts, conversations, hashtags and likes."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random
from struct import Struct

from chitlaq.seed import names
from chitlaq.seed.clock import HOUR, chance, rhythm, uuid7
from chitlaq.seed.graph import Graph
from chitlaq.seed.people import People
from chitlaq.seed.writing import TOPICS, Writer

BATCH = 2000
NOBODY = -1
REPLY_SHARE = 0.36
RECENT = 400
"""How many of the latest posts may get a reply."""
TRIES = 4
"""How many of them a member considers before starting a new conversation."""

VISIBILITIES = ("public", "university", "followers", "self")
_PUBLIC, _UNIVERSITY, _FOLLOWERS, _SELF = range(4)
_SHARES = tuple(accumulate((0.88, 0.07, 0.04, 0.01)))

_LIKE = Struct(">hi16si16siq")
_POST_HEAD = Struct(">hi16si16si")
_REPLY_TO = Struct(">i16s")
_NO_REPLY_TO = Struct(">i").pack(-1)
_RESTRICTED = (Struct(">i?").pack(1, False), Struct(">i?").pack(1, True))
_POST_TAIL = Struct(">iiiiiiiq")
_LENGTH = Struct(">i")
_VISIBILITY = tuple(_LENGTH.pack(len(name)) + name.encode() for name in VISIBILITIES)

POST_COLUMNS = (
    "id", "author_id", "text", "visibility", "reply_to", "root_id", "is_restricted", "likes_count",
    "replies_count", "restricted_replies_count", "created_at",
)  # fmt: skip


class Posts:
    """All posts as columns; a post is an index, in the order of ids and of time.

    Replies are decided first, then likes, then texts, so that each row is sent once with correct
    counters, and no text is kept in memory.
    """

    def __init__(
        self, people: People, graph: Graph, count: int, until: int, days: int, seed: int
    ) -> None:
        self._people, self._graph, self._until = people, graph, until
        self._likes_rng, self._text_rng = chance(seed, "likes"), chance(seed, "texts")
        self.count = count
        self.ids = bytearray()
        self.authors = array("I")
        self.moments = array("q")
        self.parents = array("i")
        self.topics = bytearray()
        self.visibilities = bytearray()
        self.likes_counts = array("I", bytes(4 * count))
        self.replies = 0
        self.roots = array("i")
        # Replies that everybody may read who may read the parent, and others.
        self.replies_counts = array("I", bytes(4 * count))
        self.restricted_counts = array("I", bytes(4 * count))
        self.counts_by_author = array("I", bytes(4 * len(people)))
        self.tagged: dict[str, array[int]] = {}
        self._plan(days, chance(seed, "posts"))

    def is_restricted(self, post: int) -> bool:
        """Whether not everybody may read it who may read its parent."""
        return self.visibilities[post] != _PUBLIC or bool(self._people.private[self.authors[post]])

    def _plan(self, days: int, rng: Random) -> None:
        """Decide each post's author, time, topic, visibility and parent."""
        people, random = self._people, rng.random
        weights = list(accumulate(people.talkativeness))
        everybody = range(len(people))
        demo = len(names.DEMO)
        recent = [NOBODY] * RECENT
        turn = 0
        authors: list[int] = []
        for number, written in enumerate(rhythm(self.count, self._until, days, rng)):
            if number % BATCH == 0:
                authors = rng.choices(everybody, cum_weights=weights, k=BATCH)
                if number == 0:
                    authors[:demo] = range(demo)
            author = authors[number % BATCH]
            parent, topic, visibility = NOBODY, int(random() * TOPICS), _PUBLIC
            if random() < REPLY_SHARE:
                parent = self._conversation(author, recent, rng)
            if parent == NOBODY:
                dice = random()
                while dice >= _SHARES[visibility] and visibility < _SELF:
                    visibility += 1
            else:
                topic, visibility = self.topics[parent], self.visibilities[parent]
                self.replies += 1
                is_restricted = visibility != _PUBLIC or people.private[author]
                (self.restricted_counts if is_restricted else self.replies_counts)[parent] += 1
                recent[turn % RECENT] = parent
                turn += 1
            self.ids += uuid7(written, rng)
            self.authors.append(author)
            self.moments.append(written)
            self.parents.append(parent)
            self.roots.append(
                self.roots[parent] if parent != NOBODY and self.roots[parent] != NOBODY else parent
            )
            self.topics.append(topic)
            self.visibilities.append(visibility)
            self.counts_by_author[author] += visibility == _PUBLIC
            if visibility <= _UNIVERSITY and not people.private[author]:
                recent[turn % RECENT] = number
                turn += 1

    def _conversation(self, author: int, recent: list[int], rng: Random) -> int:
        """Return a recent post that the author may read and did not write."""
        for _ in range(TRIES):
            candidate = recent[int(rng.random() * RECENT)]
            if candidate == NOBODY or self.authors[candidate] == author:
                continue
            if self.visibilities[candidate] == _PUBLIC or self._same_university(author, candidate):
                return candidate
        return NOBODY

    def _same_university(self, member: int, post: int) -> bool:
        universities = self._people.universities
        return universities[member] == universities[self.authors[post]]

    def like_rows(self) -> Iterator[bytes]:
        """Yield each post's rows of feed.likes (post, member, since) in binary."""
        member_ids, until, pack = self._people.ids, self._until, _LIKE.pack
        random = self._likes_rng.random
        neighbours: list[array[int]] = [array("I") for _ in names.UNIVERSITIES]
        for member, university in enumerate(self._people.universities):
            neighbours[university].append(member)
        for post in range(self.count):
            likers = self._likers(post, neighbours, random)
            self.likes_counts[post] = len(likers)
            liked, time = self.ids[16 * post : 16 * post + 16], self.moments[post]
            yield b"".join(
                [
                    pack(
                        3, 16, liked, 16, member_ids[member], 8,
                        min(time + int(HOUR / (0.001 + random())), until),
                    )
                    for member in sorted(likers)
                ]
            )  # fmt: skip

    def _likers(
        self, post: int, neighbours: list[array[int]], random: Callable[[], float]
    ) -> set[int]:
        """Choose who likes a post, among those who may read it: usually few, many for popular authors.

        Followers may read all but ``self``; the university also what is not for followers only.
        """
        author, visibility = self.authors[post], self.visibilities[post]
        pool = self._graph.followers[author]
        reach = 0.02 * len(pool) if self.parents[post] == NOBODY else 0.3
        # random.paretovariate(), inlined: a million calls.
        wanted = int(reach * random() + (1.0 - random()) ** -0.8 - 0.7)
        if visibility == _SELF or not wanted:
            return set()
        is_open = visibility <= _UNIVERSITY and not self._people.private[author]
        if is_open and (visibility == _UNIVERSITY or wanted > len(pool) // 2):
            pool = neighbours[self._people.universities[author]]
        elif visibility == _UNIVERSITY:
            return set()
        number = len(pool)
        likers = {pool[int(random() * number)] for _ in range(min(wanted, number // 2))}
        likers.discard(author)
        return likers

    def rows(self) -> Iterator[bytes]:
        """Yield each post's row of feed.posts (`POST_COLUMNS`) in binary; collect its tags."""
        people, ids, member_ids = self._people, self.ids, self._people.ids
        writer = Writer(self._text_rng)
        for post in range(self.count):
            author, parent = self.authors[post], self.parents[post]
            department, topic = people.departments[author], self.topics[post]
            if parent == NOBODY:
                text, tags = writer.post(topic, department)
                for tag in tags:
                    self.tagged.setdefault(tag, array("I")).append(post)
                reply_to = root = _NO_REPLY_TO
            else:
                text = writer.reply(topic, department, people.usernames[self.authors[parent]])
                first = self.roots[post]
                reply_to = _REPLY_TO.pack(16, ids[16 * parent : 16 * parent + 16])
                root = _REPLY_TO.pack(16, ids[16 * first : 16 * first + 16])
            encoded = text.encode()
            own = ids[16 * post : 16 * post + 16]
            yield b"".join(
                (
                    _POST_HEAD.pack(len(POST_COLUMNS), 16, own, 16, member_ids[author], len(encoded)),
                    encoded,
                    _VISIBILITY[self.visibilities[post]],
                    reply_to,
                    root,
                    _RESTRICTED[self.is_restricted(post)],
                    _POST_TAIL.pack(
                        4, self.likes_counts[post], 4, self.replies_counts[post], 4,
                        self.restricted_counts[post], 8, self.moments[post],
                    ),
                )
            )  # fmt: skip

    def tag_rows(self) -> Iterator[bytes]:
        """Yield each tag's rows of feed.post_tags (tag, post, spelling) in binary, sorted by tag."""
        for tag, posts in sorted(self.tagged.items()):
            encoded = _LENGTH.pack(len(tag)) + tag.encode()
            head = b"\x00\x03" + encoded + _LENGTH.pack(16)
            yield b"".join(head + self.ids[16 * post : 16 * post + 16] + encoded for post in posts)
