"""What tests of notifications share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.websocket.notifications.push_service import PushService, running


@pytest.fixture(scope="package")
def push_service() -> Iterator[PushService]:
    with running() as service:
        yield service
