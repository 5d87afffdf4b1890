"""An operations database in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase


@pytest.fixture
def database(tmp_path: Path) -> Iterator[OpsDatabase]:
    with OpsDatabase(Home(tmp_path)) as database:
        yield database
