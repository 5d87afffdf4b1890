"""Conversations of the demo: pairs, a group of the demo accounts, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from uuid import UUID

from chitlaq.seed import names, phrases
from chitlaq.seed.clock import DAY, rhythm, time_of, uuid7
from chitlaq.seed.copying import Connection
from chitlaq.seed.people import People
from chitlaq.seed.writing import Writer

MAX_PAIRS = 2000
MEMBERS_PER_PAIR = 4
MESSAGES = (3, 15)
DAYS = 20
GROUP = "Maths, machines and biscuits"

Row = tuple[object, ...]


class Conversations:
    """Made as a whole: there are few."""

    def __init__(self, who: People, until: int, rng: Random) -> None:
        self._who = who
        self._rng = rng
        self._writer = Writer(rng)
        self.conversations: list[Row] = []
        self.participants: list[Row] = []
        self.messages: list[Row] = []
        accounts = range(len(names.DEMO))
        self._add(accounts, GROUP, until)
        for members in self._pairs():
            self._add(members, None, until)

    async def write(self, connection: Connection) -> None:
        """Write them; accounts must be there."""
        for table, columns, rows in (
            (
                "conversations",
                ("id", "kind", "name", "lower_id", "upper_id", "created_by", "created_at",
                 "last_seq", "last_at", "changed_at"),
                self.conversations,
            ),
            (
                "participants",
                ("conversation_id", "account_id", "role", "state", "since", "read_seq"),
                self.participants,
            ),
            (
                "messages",
                ("conversation_id", "seq", "id", "sender_id", "client_id", "text", "sent_at"),
                self.messages,
            ),
        ):  # fmt: skip
            await connection.copy_records_to_table(
                table, schema_name="websocket", columns=columns, records=rows
            )

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """The first demo account with all others, and some other members with each other."""
        for other in range(1, len(names.DEMO)):
            yield 0, other
        taken: set[tuple[int, int]] = set()
        others = range(len(names.DEMO), len(self._who))
        for _ in range(min(len(others) // MEMBERS_PER_PAIR, MAX_PAIRS)):
            one, other = sorted(self._rng.sample(others, 2))
            if (one, other) not in taken:
                taken.add((one, other))
                yield one, other

    def _add(self, members: range | tuple[int, int], name: str | None, until: int) -> None:
        rng, who = self._rng, self._who
        ids = [UUID(bytes=who.ids[member]) for member in members]
        moments = list(rhythm(rng.randint(*MESSAGES), until, DAYS, rng))
        began = moments[0] - DAY
        own = UUID(bytes=uuid7(began, rng))
        pair = sorted(ids) if name is None else (None, None)
        last = time_of(moments[-1])
        self.conversations.append(
            (own, "group" if name else "direct", name, *pair, ids[0], time_of(began),
             len(moments), last, time_of(began))
        )  # fmt: skip
        for place, account in enumerate(ids):
            role = "owner" if name and not place else "member"
            read = len(moments) - rng.randint(0, 2)
            self.participants.append((own, account, role, "joined", time_of(began), read))
        topic = rng.randrange(len(phrases.TOPICS))
        for seq, at in enumerate(moments, start=1):
            place = rng.randrange(len(ids))
            text, _ = self._writer.post(topic, who.departments[members[place]])
            message = UUID(bytes=uuid7(at, rng))
            self.messages.append((own, seq, message, ids[place], str(message), text, time_of(at)))
