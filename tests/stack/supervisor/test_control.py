"""The supervisor's socket: invalid input does no harm, and each command gets a response."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Stack


def ask(stack: Stack, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(stack.home / "run" / "supervisor.sock"))
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while chunk := connection.recv(65_536):
            data += chunk
    return data


@pytest.mark.parametrize(
    "line",
    [b"nonsense\n", b"\n", b"{}\n", b'{"type":"explode"}\n', b"[" * 60_000 + b"\n", b"\xff\xfe\n",
     b'{"type":"restart"}\n', b'{"type":"restart","service":7}\n'],
)  # fmt: skip
def test_invalid_command_gets_an_error(stack: Stack, line: bytes) -> None:
    assert b"Not a command" in ask(stack, line)
    assert stack.is_healthy()


def test_endless_line_ends_its_own_connection_only(stack: Stack) -> None:
    with contextlib.suppress(OSError):
        ask(stack, b"x" * 300_000)
    assert stack.is_healthy()


@settings(max_examples=40)
@given(st.binary(max_size=100))
def test_supervisor_survives_any_bytes(stack: Stack, line: bytes) -> None:
    ask(stack, line.replace(b"\n", b"") + b"\n")
    answer = json.loads(ask(stack, b'{"type":"ps"}\n'))
    assert len(answer["components"]) == 10
