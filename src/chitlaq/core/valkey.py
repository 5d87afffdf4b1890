"""Valkey: where it is, and a client that says quickly when it is not there.

Everything in it can be lost at any time: each user of this module knows what to do without.
"""

from __future__ import annotations

from urllib.parse import quote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chitlaq.core.home import Home
from chitlaq.core.secrets import Secrets
from chitlaq.core.settings import Settings

COMMAND_SECONDS = 0.5
POOL_SIZE = 50

AWAY = (RedisError, OSError, TimeoutError)
"""What a command raises when Valkey is away or too slow."""


def url(settings: Settings, home: Home) -> str:
    if settings.redis_url:
        return settings.redis_url
    password = quote(Secrets(home.secrets).redis_password)
    return f"unix://:{password}@{home.redis_socket}"


def connect(settings: Settings, home: Home) -> Redis:
    """Return a client; nothing is sent before its first command.

    A command is tried once more on a connection that turned out dead, and never waits longer than
    `COMMAND_SECONDS`: the caller goes on without.
    """
    pool = BlockingConnectionPool.from_url(
        url(settings, home),
        max_connections=POOL_SIZE,
        timeout=COMMAND_SECONDS,
        socket_timeout=COMMAND_SECONDS,
        socket_connect_timeout=COMMAND_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis(connection_pool=pool)
