"""An operations database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def database(home: Home) -> Iterator[OpsDatabase]:
    with OpsDatabase(home) as database:
        yield database
