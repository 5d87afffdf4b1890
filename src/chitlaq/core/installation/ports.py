"""Free ports for short-lived servers: benchmarks, scratch databases, tests."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from itertools import islice

# Below Linux's range for outgoing connections (32768 and up), from which a port may be taken
# between finding it free and binding it.
FIRST, LAST = 10_240, 32_767


def free_ports(count: int, first: int = FIRST, last: int = LAST) -> list[int]:
    """Return distinct free ports from ``first`` to ``last``, in random order.

    Raises:
        OSError: there are fewer.
    """
    found = list(islice(_free(first, last), count))
    if len(found) < count:
        raise OSError(f"Fewer than {count} ports from {first} to {last} are free.")
    return found


def _free(first: int, last: int) -> Iterator[int]:
    for port in random.sample(range(first, last + 1), last + 1 - first):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        yield port
