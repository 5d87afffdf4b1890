"""Tablespaces: folders outside the data directory, which base backups do not support.

Their files would be neither in the data directory of a base backup, nor in its copies, nor in a restore. WAL
that creates one can be replayed: `wal.in_place` keeps it inside the data directory.
"""

from __future__ import annotations

from pathlib import Path

import psycopg

from chitlaq.backups import waiting
from chitlaq.backups.context import BackupContext
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.secrets import BACKUP


def refuse(context: BackupContext) -> None:
    """Refuse a base backup of a server with files outside its data directory, before it is taken.

    Raises:
        OperatorError: there is a tablespace, or the server is down.
    """
    if names := named(context):
        raise OperatorError(
            f"The tablespace {names[0]} is outside the data directory, so a base backup would be incomplete."
            f" Move its tables back: in each database `ALTER TABLE ALL IN TABLESPACE {names[0]}"
            " SET TABLESPACE pg_default`, the same with INDEX and MATERIALIZED VIEW, then"
            f" `DROP TABLESPACE {names[0]}`."
            " Until then, dumps and earlier base backups with the archived WAL restore these tables, too."
        )


def named(context: BackupContext) -> list[str]:
    """The server's tablespaces besides PostgreSQL's own, as SQL writes their names.

    Raises:
        OperatorError: the server is down.
    """
    url = postgres.dsn(context.settings, context.home, BACKUP, "postgres")
    try:
        with waiting.connect(url, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT quote_ident(spcname) FROM pg_tablespace"
                " WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid"
            )
            return [name for (name,) in rows]
    except psycopg.Error as error:
        raise OperatorError(f"PostgreSQL: {str(error).strip()}") from None


def require_none(data: Path) -> None:
    """Refuse a base backup that is incomplete because its server had a tablespace.

    Raises:
        OperatorError: it had one.
    """
    if any((data / "pg_tblspc").glob("*")):
        raise OperatorError(
            f"{data} is incomplete: its server had a tablespace, whose tables it lacks. Restore an earlier"
            " base backup or a dump."
        )
