"""The WAL receiver: wait for what it receives, as long as it receives anything."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import psycopg

from chitlaq.backups import waiting
from chitlaq.backups.context import BackupContext
from chitlaq.backups.wal import archive
from chitlaq.backups.wal.archive import Segment
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.secrets import BACKUP
from chitlaq.stack.servers.postgres import RECEIVER

# How long nothing may be received before a wait ends.
RECEIVE_SECONDS = 60
POLL_SECONDS = 0.1


def switch_segment(context: BackupContext, mark: str = "") -> float:
    """Make the server start a new WAL segment, and wait until the previous one was received.

    Args:
        mark: name of a restore point to write first; without one, nothing happens if nothing was written.

    Returns the seconds that it took.

    Raises:
        OperatorError: the server is down, or the segment does not arrive.
    """
    url = postgres.dsn(context.settings, context.home, BACKUP, "postgres")
    try:
        with waiting.connect(url, autocommit=True) as connection:
            if mark:
                connection.execute("SELECT pg_create_restore_point(%s)", [mark])
            begun = monotonic()
            # Without new WAL this returns the start of the next segment: the segment before that LSN is the
            # one that arrives.
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal() - 1)").fetchone()
    except psycopg.Error as error:
        raise OperatorError(f"PostgreSQL: {str(error).strip()}") from None
    assert row is not None
    wait_for_segment(context, row[0])
    return monotonic() - begun


def wait_for_segment(context: BackupContext, name: str) -> None:
    """Wait until a WAL segment was received completely.

    Raises:
        OperatorError: it does not arrive.
    """
    folder = context.barman_folder
    end = Segment.from_name(name).start_lsn + archive.SEGMENT_BYTES

    def has_arrived(_: ReceiverState) -> bool:
        return (folder / "streaming" / name).exists() or any(folder.glob(f"wals/*/{name}"))

    _wait_for_receiver(context, has_arrived, f"segment {name} did not arrive", end)


def wait_for_connection(context: BackupContext) -> None:
    """Wait for the WAL receiver, which connects some seconds after the server was started.

    Raises:
        OperatorError: it does not connect.
    """
    _wait_for_receiver(context, lambda now: now.is_streaming, "the receiver did not connect")


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """Whether the WAL receiver has caught up with the server, and up to where it has written."""

    is_streaming: bool
    position: int


def _wait_for_receiver(
    context: BackupContext,
    is_done: Callable[[ReceiverState], bool],
    failure: str,
    end: int = sys.maxsize,
) -> None:
    """Wait as long as more WAL is received, up to an LSN.

    Raises:
        OperatorError: none was received for a while, or the server is down.
    """
    url = postgres.dsn(context.settings, context.home, BACKUP, "postgres")
    seen, since = -1, monotonic()
    try:
        with waiting.connect(url, autocommit=True) as connection:
            while not is_done(now := _receiver_state(connection)):
                if min(now.position, end) > seen:
                    seen, since = min(now.position, end), monotonic()
                elif monotonic() - since > RECEIVE_SECONDS:
                    raise OperatorError(
                        f"WAL is not being received: {failure}, and nothing else for {RECEIVE_SECONDS} s."
                        " See `chitlaq ps` and `chitlaq logs wal-archive`."
                    )
                time.sleep(POLL_SECONDS)
    except psycopg.Error as error:
        raise OperatorError(f"PostgreSQL: {str(error).strip()}") from None


def _receiver_state(connection: psycopg.Connection) -> ReceiverState:
    row = connection.execute(
        "SELECT state = 'streaming', (coalesce(write_lsn, sent_lsn, '0/0') - '0/0')::bigint"
        " FROM pg_stat_replication WHERE application_name = %s",
        [RECEIVER],
    ).fetchone()
    return ReceiverState(*row) if row else ReceiverState(is_streaming=False, position=0)
