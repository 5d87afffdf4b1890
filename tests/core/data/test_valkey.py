"""The URLs of Valkey that an installation accepts."""

from __future__ import annotations

import pytest

from chitlaq.core.data.valkey import Address, parse_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", Address(None, "cache", 6379, None, None, 0, is_tls=False)),
        ("valkey://:a%2Fb@cache:1/2", Address(None, "cache", 1, None, "a/b", 2, is_tls=False)),
        ("rediss://me:x@cache", Address(None, "cache", 6379, "me", "x", 0, is_tls=True)),
        ("valkeys://cache", Address(None, "cache", 6379, None, None, 0, is_tls=True)),
        (
            "unix://:x@/run/redis.sock",
            Address("/run/redis.sock", "", 0, None, "x", 0, is_tls=False),
        ),
    ],
)
def test_url_says_where_the_server_is_and_whether_by_tls(url: str, address: Address) -> None:
    assert parse_url(url) == address


def test_url_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="not the URL of a Valkey or Redis server: http"):
        parse_url("http://cache")
