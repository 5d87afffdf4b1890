"""Ports for servers that live a short while: benchmarks, scratch databases, tests."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from itertools import islice

# Below the range from which Linux gives ports to outgoing connections (32768 and up): a port
# from there may be taken between the moment it is found free and the moment it is bound.
FIRST, LAST = 10_240, 32_767


def free_ports(count: int, first: int = FIRST, last: int = LAST) -> list[int]:
    """Different ports of ``first`` to ``last`` on which nobody listens, in random order.

    Raises OSError when there are not as many.
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
