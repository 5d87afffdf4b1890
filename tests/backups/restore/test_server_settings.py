"""A restored server has the settings of this machine, and room for what it restores."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chitlaq.backups.context import BackupContext, chown_to_postgres
from chitlaq.backups.restore import server_settings
from chitlaq.core.installation import secrets
from chitlaq.stack.servers import postgres as server
from tests.backups.machines import machine

LOCAL, AUTOMATIC = "local.conf", "postgresql.auto.conf"
NEEDED = {"max_connections": 150, "max_prepared_transactions": 5}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BackupContext:
    """An installation with a data directory, as `initdb` makes it."""
    root = tmp_path_factory.mktemp("home")
    context = machine(root)
    context.home.run.mkdir()
    secrets.ensure(context.home)
    server.prepare(context.home, context.settings)
    return context


@pytest.fixture
def target(made: BackupContext) -> Path:
    """A restored data directory, whose backup had settings of its own."""
    target = made.home.restoring_data
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(made.home.postgres_data, target)
    (target / LOCAL).write_text("work_mem = '9MB'\n")
    (target / AUTOMATIC).write_text("max_prepared_transactions = 3\n")
    chown_to_postgres(target)
    return target


def test_current_settings_replace_those_of_the_backup(made: BackupContext, target: Path) -> None:
    live = made.home.postgres_data
    (live / LOCAL).write_text("max_prepared_transactions = 7\n")
    (live / AUTOMATIC).write_text("work_mem = '11MB'\n")
    # An operator may have lowered the others.
    assert server_settings.keep(made, target, NEEDED) == []
    assert [(target / name).read_text() for name in (LOCAL, AUTOMATIC)] == [
        "max_prepared_transactions = 7\n",
        "work_mem = '11MB'\n",
    ]


@pytest.mark.parametrize("name", [LOCAL, AUTOMATIC])
def test_room_for_prepared_transactions_is_kept_wherever_it_was_lowered(
    made: BackupContext, target: Path, name: str
) -> None:
    for one in (LOCAL, AUTOMATIC):
        (made.home.postgres_data / one).unlink(missing_ok=True)
    (made.home.postgres_data / name).write_text("max_prepared_transactions = 1\n")
    (said,) = server_settings.keep(made, target, NEEDED)
    assert "has max_prepared_transactions = 5, as" in said
    assert server_settings._in_effect(made, target, "max_prepared_transactions") == 5


def test_what_was_raised_after_the_backup_outlives_the_machine(
    made: BackupContext, target: Path, tmp_path: Path
) -> None:
    made.home.postgres_data.rename(tmp_path / "lost")
    try:
        (said,) = server_settings.keep(made, target, NEEDED)
        assert "has max_connections = 150, max_prepared_transactions = 5, as" in said
        assert (target / LOCAL).read_text() == "work_mem = '9MB'\n"
        for name, value in NEEDED.items():
            assert server_settings._in_effect(made, target, name) == value
    finally:
        (tmp_path / "lost").rename(made.home.postgres_data)
