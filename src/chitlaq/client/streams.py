"""What one device has received of each conversation: in order, and once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chitlaq.client.shapes import Message

Deliver = Callable[[Message], None]


class Stream:
    """One conversation on one device.

    What follows the number that was delivered last is delivered; what is older is dropped. Anything else is
    kept until it is known what lies between: the rest of a replay, or what HTTP says.
    """

    __slots__ = ("_deliver", "_kept", "seen", "target")

    def __init__(self, seen: int, deliver: Deliver) -> None:
        self.seen = seen
        self.target = seen
        """There are messages up to this number."""
        self._kept: dict[int, Message] = {}
        self._deliver = deliver

    @property
    def has_hole(self) -> bool:
        return self.target > self.seen

    def receive(self, message: Message) -> None:
        """Take a message from the socket."""
        if message.seq > self.seen:
            self._kept[message.seq] = message
            self.target = max(self.target, message.seq)
            self._advance()

    def set_back(self, seq: int) -> None:
        """There is nothing after this number any more: what comes after it is new."""
        self.seen = self.target = seq
        self._kept.clear()

    def fill(self, messages: Iterable[Message], until: int | None) -> None:
        """Take what HTTP says to come after `seen`: what it leaves out may not be read.

        Args:
            until: the `target` before HTTP was asked, if its answer reaches there.
        """
        for message in messages:
            if message.seq > self.seen:
                self._pass(message)
        if until is not None and until > self.seen:
            for seq in sorted(seq for seq in self._kept if self.seen < seq <= until):
                self._pass(self._kept[seq])
            self.seen = until
        self._kept = {seq: one for seq, one in self._kept.items() if seq > self.seen}
        self._advance()

    def _advance(self) -> None:
        while (message := self._kept.pop(self.seen + 1, None)) is not None:
            self._pass(message)

    def _pass(self, message: Message) -> None:
        # Delivered first: what an application fails to take comes again.
        self._deliver(message)
        self.seen = message.seq
        self.target = max(self.target, self.seen)
