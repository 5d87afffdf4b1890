"""What strangers type is never read as what the SSH server wrote; each attempt counts once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.ops.checks.sources import openssh

HERE, THERE = "203.0.113.7", "2001:db8::9"


def log(*messages: str, process: int = 71, program: str = "sshd") -> list[str]:
    return [f"Nov 26 19:00:00 vm {program}[{process}]: {message}" for message in messages]


# Each: what a server of that version logs for one connection, and its attempts by address.
CORPUS = {
    "7.4: a password of nobody, three times": (
        log(
            f"Invalid user admin from {HERE} port 4711",
            "input_userauth_request: invalid user admin [preauth]",
            "pam_unix(sshd:auth): check pass; user unknown",
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser="
            f" rhost={HERE} ",
            f"Failed password for invalid user admin from {HERE} port 4711 ssh2",
            f"Failed password for invalid user admin from {HERE} port 4711 ssh2",
            f"Failed password for invalid user admin from {HERE} port 4711 ssh2",
            f"Connection closed by {HERE} port 4711 [preauth]",
            f"PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost={HERE}",
        ),
        {HERE: 3},
    ),
    "7.2: without a port": (log(f"Invalid user admin from {HERE}"), {HERE: 1}),
    "8.4: a password of root": (
        log(
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser="
            f" rhost={HERE}  user=root",
            f"Failed password for root from {HERE} port 22 ssh2",
            f"message repeated 5 times: [ Failed password for root from {HERE} port 22 ssh2]",
            f"error: maximum authentication attempts exceeded for root from {HERE} port 22 ssh2"
            " [preauth]",
            f"Disconnecting authenticating user root {HERE} port 22: Too many authentication"
            " failures [preauth]",
            f"PAM 5 more authentication failures; rhost={HERE}  user=root",
        ),
        {HERE: 6},
    ),
    "9.2: only keys, none fits": (
        log(f"Connection closed by authenticating user root {THERE} port 50022 [preauth]"),
        {THERE: 1},
    ),
    "9.2: keys of nobody, at LogLevel VERBOSE": (
        log(
            f"Invalid user ada from {HERE} port 9",
            f"Failed none for invalid user ada from {HERE} port 9 ssh2",
            f"Failed publickey for invalid user ada from {HERE} port 9 ssh2: ED25519 SHA256:x+/y",
            f"Failed publickey for invalid user ada from {HERE} port 9 ssh2: RSA SHA256:z",
            f"Connection reset by invalid user ada {HERE} port 9 [preauth]",
        ),
        {HERE: 1},
    ),
    "10.0: another process for each connection": (
        log(
            f"Failed keyboard-interactive/pam for ada from {HERE} port 9 ssh2",
            f"Disconnected from authenticating user ada {HERE} port 9 [preauth]",
            program="sshd-session",
        ),
        {HERE: 1},
    ),
    "a second key fits": (
        log(
            f"Failed publickey for ada from {HERE} port 9 ssh2: RSA SHA256:z",
            f"Accepted publickey for ada from {HERE} port 9 ssh2: ED25519 SHA256:y",
        ),
        {},
    ),
    "the second password is right": (
        log(
            f"Failed password for ada from {HERE} port 9 ssh2",
            f"Accepted password for ada from {HERE} port 9 ssh2",
        ),
        {HERE: 1},
    ),
    "not allowed": (
        log(
            f"User games from {HERE} not allowed because not listed in AllowUsers",
            f"ROOT LOGIN REFUSED FROM {THERE} port 5",
        ),
        {HERE: 1, THERE: 1},
    ),
    "nobody tried": (
        log(
            "Server listening on 0.0.0.0 port 22.",
            f"Connection closed by {HERE} port 5",
            f"Received disconnect from {HERE} port 5:11: Invalid user a from 9.9.9.9 port 4",
            f"Disconnected from user ada {HERE} port 5",
            f"Connection from {HERE} port 5 on 192.0.2.1 port 22 rdomain",
        ),
        {},
    ),
    "other programs": (
        [f"Nov 26 19:00:00 vm CRON[7]: sshd[7]: Failed password for root from {HERE} port 1 ssh2"],
        {},
    ),
}


@pytest.mark.parametrize("case", CORPUS)
def test_each_attempt_counts_once(case: str) -> None:
    lines, expected = CORPUS[case]
    found = openssh.failures(lines)
    assert {one.address: one.attempts for one in found} == expected
    stamped = [
        line.replace("Nov 26 19:00:00", "2026-11-26T19:00:00.123456+00:00") for line in lines
    ]
    assert [one.attempts for one in openssh.failures(stamped)] == [one.attempts for one in found]


def test_connections_are_told_apart() -> None:
    failed = f"Failed password for root from {HERE} port 9 ssh2"
    lines = [*log(failed, process=1), *log(failed, process=2)]
    assert [one.attempts for one in openssh.failures(lines)] == [1, 1]


TYPED = st.one_of(
    st.sampled_from((
        "accepted password", "from 198.51.100.99", "x from 198.51.100.99 port 1 ssh2",
        "x 198.51.100.99 port 1 [preauth]", "x 198.51.100.99 port 1: Too many authentication failures",
        "Accepted password for root from 198.51.100.99 port 4 ssh2", "", " ",
        "Failed password for root from 198.51.100.99 port 4 ssh2",
        "x from 198.51.100.99 port 1 ssh2: a", "] message repeated 9 times: [ Failed password",
        "sshd[1]: Accepted publickey for root from 198.51.100.99 port 4 ssh2: RSA SHA256:x",
    )),
    st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=60),
)  # fmt: skip


@given(TYPED, st.sampled_from((HERE, THERE)))
def test_typed_name_is_never_read_as_an_address_or_a_login(typed: str, address: str) -> None:
    lines = log(
        f"Invalid user {typed} from {address} port 4",
        f"Failed password for invalid user {typed} from {address} port 4 ssh2",
        f"message repeated 2 times: [ Failed password for invalid user {typed} from {address} port 4"
        " ssh2]",
        f"error: maximum authentication attempts exceeded for invalid user {typed} from {address}"
        " port 4 ssh2 [preauth]",
        f"Disconnecting invalid user {typed} {address} port 4: Too many authentication failures"
        " [preauth]",
        f"Disconnecting invalid user root {address} port 4: Change of username or service not"
        f" allowed: (root,ssh-connection) -> ({typed},ssh-connection) [preauth]",
        f"Received disconnect from {address} port 4:11: {typed} [preauth]",
    )
    assert openssh.logins(lines) == []
    (found,) = openssh.failures(lines)
    assert (found.address, found.attempts) == (address, 3)


def test_login_names_how_and_from_where() -> None:
    (key, password) = openssh.logins(log(
        f"Accepted publickey for ada from {HERE} port 9 ssh2: ED25519-CERT SHA256:x ID a from"
        " 198.51.100.99 port 1 ssh2 (serial 0) CA RSA SHA256:y",
        f"Accepted password for ben from {THERE} port 9 ssh2",
    ))  # fmt: skip
    assert (key.method, key.address) == ("publickey", HERE)
    assert (password.method, password.address) == ("password", THERE)
