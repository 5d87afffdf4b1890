"""What a test restore leaves behind: a database on the live server that says whose accounts it held.

The runbook counts the users of ``chitlaq_test`` after a test restore. Nothing of members' is kept but the IDs
of their accounts, until the next test restore.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from chitlaq.backups import waiting
from chitlaq.backups.context import BackupContext
from chitlaq.backups.postgres.scratch import ScratchServer
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError

_OURS = "The accounts of the last test restore, kept by `chitlaq backup drill`."
_OWNER = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"


def keep(context: BackupContext, server: ScratchServer, database: str) -> str:
    """Keep the IDs of the restored accounts in a database of the live server, with a view ``users``.

    Returns:
        What was kept, or why nothing was: that says nothing about the backup.
    """
    held = "accounts"
    try:
        with server.connect() as restored:
            ids = restored.execute("SELECT id FROM auth.accounts WHERE NOT is_synthetic").fetchall()
        held = f"{len(ids):,} accounts"
        if not context.settings.embeds("postgres"):
            return f"{held}, not kept as users of {database}, because PostgreSQL is not ours"
        _make(context, database)
        url = postgres.dsn(context.settings, context.home, "postgres", database)
        with waiting.connect(url) as live:
            live.execute("CREATE TABLE restored_accounts (id uuid PRIMARY KEY)")
            live.execute("CREATE VIEW users AS SELECT id FROM restored_accounts")
            with live.cursor().copy("COPY restored_accounts FROM STDIN") as copy:
                for row in ids:
                    copy.write_row(row)
    except (OperatorError, psycopg.Error) as error:
        return f"{held}, not kept as users of {database}: {str(error).strip()}"
    return f"{held} kept as users of {database}"


def _make(context: BackupContext, database: str) -> None:
    """Make an empty database in place of that of the last test restore.

    Raises:
        OperatorError: there is another one of that name.
    """
    name = sql.Identifier(database)
    with waiting.connect(
        postgres.dsn(context.settings, context.home, "postgres", "postgres"), autocommit=True
    ) as live:
        known = live.execute(_OWNER, [database]).fetchone()
        if known is not None and known[0] != _OURS:
            raise OperatorError("there is a database of that name which no test restore made")
        live.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        live.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
        live.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM public").format(name))
        live.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(_OURS)))
