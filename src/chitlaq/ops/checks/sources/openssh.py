"""Read the log of an OpenSSH server, versions 7 to 10: who was let in, and who failed.

The user name in a message is whatever a stranger typed, so a message is read by its fixed parts, from
both ends: what comes last, ``from ADDRESS port N ssh2``, the server wrote. Sources: ``auth_log`` in
auth.c, ``input_userauth_request`` in auth2.c and ``sshpkt_fatal`` in packet.c of OpenSSH.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

# `2026-11-26T19:00:00+00:00 vm sshd-session[7]: …` or `Nov 26 19:00:00 vm sshd[7]: …`
_HEADER = re.compile(
    r"(?:\S+|\w{3} [ \d]\d \S+) \S+ sshd(?:-session|-auth)?(?:\[(?P<process>\d+)\])?: (?P<message>.*)",
    re.DOTALL,
)
_REPEATED = re.compile(r"message repeated (\d+) times: \[ (.*)\]", re.DOTALL)
# A user who is let in exists, so their name has no space; what follows may have been chosen by others.
_ACCEPTED = re.compile(
    r"Accepted (?P<method>\S+) for (?P<user>\S+) from (?P<address>\S+) port \d+\b"
)
_ORIGIN = r"(?:invalid user )?(?P<user>.*) from (?P<address>\S+) port \d+"
_REFUSED = re.compile(
    rf"Failed (?P<method>\S+) for {_ORIGIN}(?: ssh2(?:: \S+ \S+)?)?(?: \[preauth\])?", re.DOTALL
)
_LEFT = (
    r"(?:Connection (?:closed|reset) by|Disconnected from|Disconnecting) (?:invalid|authenticating)"
    r" user (?P<user>.*) (?P<address>\S+) port \d+(?:: Too many authentication failures)?(?: \[preauth\])?"
)
_THROWN_OUT = (
    r"(?:error: )?maximum authentication attempts exceeded for "
    rf"{_ORIGIN}(?: ssh2)?(?: \[preauth\])?"
)
# Each says that somebody did not get in, but not how often they tried.
_GIVEN_UP = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        _LEFT,
        _THROWN_OUT,
        r"Invalid user (?P<user>.*) from (?P<address>\S+)(?: port \d+)?",
        r"User (?P<user>.*) from (?P<address>\S+) not allowed because .*",
        r"(?P<user>ROOT) LOGIN REFUSED FROM (?P<address>\S+)(?: port \d+)?(?: \[preauth\])?",
    )
)
# A client offers each of its keys, and asks first which methods there are: that is one attempt.
_OFFERED = frozenset({"publickey", "hostbased", "none"})


class Login(msgspec.Struct, frozen=True):
    """Somebody who was let in."""

    method: str
    address: str
    line: str


class Failure(msgspec.Struct):
    """A connection on which somebody was not let in as this user, or not at once."""

    address: str
    attempts: int
    line: str


def logins(lines: Iterable[str]) -> list[Login]:
    """Everybody who was let in, in the order of the log."""
    return [
        Login(found["method"], found["address"], line)
        for line, _, message, _ in _messages(lines)
        if (found := _ACCEPTED.match(message))
    ]


def failures(lines: Iterable[str]) -> list[Failure]:
    """Every connection with a failed attempt, in the order of its first line.

    Each refused password is an attempt. Of keys that were offered, and of a client that went away, only
    the connection counts, unless it was let in.
    """
    connections: dict[tuple[str, str, str], Failure] = {}
    let_in: set[tuple[str, str, str]] = set()
    passwords: set[tuple[str, str, str]] = set()
    for line, process, message, times in _messages(lines):
        if found := _ACCEPTED.match(message):
            let_in.add((process, found["address"], found["user"]))
            continue
        refused = _REFUSED.fullmatch(message)
        found = refused or next(
            (found for pattern in _GIVEN_UP if (found := pattern.fullmatch(message))), None
        )
        if found is None:
            continue
        key = (process, found["address"], found["user"])
        failure = connections.setdefault(key, Failure(found["address"], 0, line))
        if refused and refused["method"].partition("/")[0] not in _OFFERED:
            if key not in passwords:
                failure.line = line
            passwords.add(key)
            failure.attempts += times
    for key, failure in connections.items():
        if key not in passwords and key not in let_in:
            failure.attempts = 1
    return [failure for failure in connections.values() if failure.attempts]


def _messages(lines: Iterable[str]) -> Iterator[tuple[str, str, str, int]]:
    """Yield each line of the server with its process, its message, and how often it was said."""
    for line in lines:
        found = _HEADER.match(line)
        if found is None:
            continue
        message, times = found["message"], 1
        if repeated := _REPEATED.fullmatch(message):
            times, message = int(repeated[1]), repeated[2]
        yield line, found["process"] or "", message, times
