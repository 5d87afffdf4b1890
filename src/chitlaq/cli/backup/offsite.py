"""``chitlaq backup key``, ``fetch`` and ``take-over``: encrypted off-site copies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chitlaq.cli import history_db, output
from chitlaq.cli.backup.session import current, exit_for, print_outcome, session
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.settings_faults import has_credentials


def key(file: Annotated[Path, typer.Argument(help="Where to write the private key.")]) -> None:
    """Create a key pair for encrypted copies: the private key for you, the public one for this machine.

    Example: chitlaq backup key /media/stick/chitlaq-backup.key
    """
    from chitlaq.backups.offsite import encryption

    public = encryption.write_key_file(file)
    typer.echo(
        f"""\
The private key is in {file}. Keep two copies of it away from this machine, such as on a USB
stick in a safe and in a password manager. It decrypts every copy that is made from now on. It is not
needed to make them and should not stay on this machine.

Put the public key into {current().home.settings_file}; it is not secret:

    [backups]
    recipients = ["{public}"]
"""
    )


def fetch(
    source: Annotated[
        str, typer.Argument(help="Where the copies are: /a/folder, or s3://bucket/prefix.")
    ],
    identity: Annotated[Path, typer.Option("--identity", help="The file with the private key.")],
    is_all: Annotated[
        bool, typer.Option("--all", help="Also fetch backups older than a restore needs.")
    ] = False,
    operator: history_db.Operator = None,
) -> None:
    """Fetch off-site copies, and settings and secrets that are missing here.

    Fetches the newest base backup with its WAL, the newest dump and configuration; the copies stay
    unchanged. What cannot be fetched is reported (exit code 3) and replaced by the next newest.

    Example: chitlaq backup fetch s3://vault/chitlaq --identity /media/stick/chitlaq-backup.key
    """
    from chitlaq.backups.offsite.fetch import fetch

    if has_credentials(source):
        raise OperatorError(
            "The URL has a user or a password, and the history shows it. Remove them; S3 keys are"
            " settings of their own: backups.s3_access_key_id and backups.s3_secret_access_key."
        )
    with session(f"fetch {source}", operator, is_urgent=True) as (context, record):
        fetched = fetch(context, source, identity, print_outcome, is_all=is_all)
        record(fetched.outcomes)
    typer.echo(f"{len(fetched.backups)} backups are in {fetched.context.folder}.")
    if fetched.files:
        typer.echo(f"Put back {len(fetched.files)} missing files of settings and secrets.")
    typer.echo("Next: `chitlaq backup restore`.")
    if destination := fetched.context.settings.backups.copy_to:
        typer.echo(
            f"Nothing is copied from here to {destination}, which belongs to another machine. If this"
            " machine replaces it for good: `chitlaq backup take-over`."
        )
    exit_for(fetched.outcomes)


def take_over(yes: output.Yes = False, operator: history_db.Operator = None) -> None:
    """Make the off-site location this machine's own, when it replaces the previous machine.

    Until then nothing is copied or deleted there, so that a rehearsal cannot touch the copies of the
    live machine.

    Example: chitlaq backup take-over
    """
    from chitlaq.backups.context import wal_lock
    from chitlaq.backups.offsite import copies

    destination = current().settings.backups.copy_to
    if not destination:
        raise OperatorError("No off-site location is set: backups.copy_to.")
    typer.echo(f"The machine that has copied to {destination} so far will be refused there.")
    if not yes and not typer.confirm("Is it gone for good?", default=False):
        raise typer.Exit(1)
    with session("take-over", operator) as (context, record):
        with wal_lock(context.home):
            copies.take_over(context)
        record([])
    typer.echo(f"{destination} is this machine's. Next: `chitlaq backup run`.")


def archive(
    send: Annotated[
        bool, typer.Option("--send", help="Also ship the current segment, although it is not full.")
    ] = False,
    operator: history_db.Operator = None,
) -> None:
    """Move received WAL into the archive and copy it off-site; ops-service runs this."""
    from chitlaq.backups.context import BusyError
    from chitlaq.backups.wal import shipping

    try:
        archived, copied = shipping.ship(current(), is_segment_switched=send)
    except BusyError as busy:
        # The other process ships it.
        typer.echo(str(busy))
        return
    typer.echo(f"{archived} archived, {copied} copied, by {history_db.operator(operator)}")
