"""A database with every migration, made once for a run: stacks begin with a copy of its data directory.

To make one takes three seconds of a core, and fifty stacks want one. `chitlaq up` without `Stack.up` still
makes its own, as do the runs of a single test.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.core.installation import secrets, settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.stack.install import privileges, reachable_code, users
from chitlaq.stack.servers import postgres
from tests import commands

SECONDS = 120.0
OTHERS = ("DATABASE_URL", "CHITLAQ_PROGRAMS_POSTGRES")
"""With these, the data is another server's."""


def give(environment: Mapping[str, str], run: Path) -> bool:
    """Give a home what root gives it for a start; one that was never started also the data for that.

    Args:
        environment: of the stack.
        run: the folder of the run, which its workers share.

    Returns:
        Whether root has nothing left to do for a start: the whole home is the service user's.
    """
    home = Home(Path(environment["CHITLAQ_HOME"]))
    if any(name in environment for name in OTHERS):
        return False
    if not home.secrets.exists():
        prepared = Home(run / "prepared")
        with _locked(run / "prepared.lock"):
            if not prepared.postgres_data.exists():
                _make(prepared, environment)
        for folder in (prepared.postgres_data, prepared.secrets):
            subprocess.run(["cp", "-a", folder, home.root], check=True)
    return _is_handed_over(home, environment)


def _is_handed_over(home: Home, environment: Mapping[str, str]) -> bool:
    """Do what root does for a start, but for starting over as another user; leave what is special to it."""
    try:
        settings = settings_loading.load(home, environment)
        user = users.service_user()
        if user is None or privileges.needs_low_ports(settings):
            return False
        privileges._give(home, settings, user)
    except OperatorError:
        return False  # the command says why
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(prepared: Home, environment: Mapping[str, str]) -> None:
    """Migrate an empty database; nothing else of a stack has seen it."""
    draft = Home(prepared.root.with_name("draft"))
    draft.run.mkdir(parents=True)
    mine = {
        **environment,
        "CHITLAQ_HOME": str(draft.root),
        "CHITLAQ_DEMO": "false",
        "CHITLAQ_BACKUPS_ARCHIVE": "off",
    }
    settings = settings_loading.load(draft, mine)
    secrets.ensure(draft)
    postgres.prepare(draft, settings)
    if (user := users.service_user()) is not None:
        # As a start does: the migrations of this very code.
        reachable_code.launch(user, is_refreshed=True)
        for path in (draft.root, *draft.root.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)
    with (draft.root / "log").open("wb") as log:
        server = programs.start(postgres.command(draft, settings), output=log.fileno(), user=user)
        try:
            _migrate(mine)
        finally:
            programs.stop(server, signal.SIGINT, SECONDS)
    for secret in draft.secrets.iterdir():
        if not secret.name.startswith("postgres-"):
            secret.unlink()
    draft.root.rename(prepared.root)


def _migrate(environment: Mapping[str, str]) -> None:
    deadline = time.monotonic() + SECONDS
    while (answer := commands.run(("migrate", "--provision"), environment)).returncode != 0:
        assert time.monotonic() < deadline, answer.stderr
        time.sleep(0.1)
