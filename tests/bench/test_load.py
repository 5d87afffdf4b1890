"""The load generator counts answers, also those of a server behind TLS that it trusts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chitlaq.bench import load
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from tests.conftest import Stack


async def test_load_speaks_tls_with_whom_it_trusts_and_no_one_else(stack: Stack) -> None:
    page = load.get("/login")
    trusted = str(Home(stack.home).authority)
    encrypted = load.Load("127.0.0.1", stack.ports["edge_tls"], [page], 2, 0.2, authority=trusted)
    outcome = load.successful(await load.measure(encrypted))
    assert outcome.requests > 0
    stranger = str(Path(__file__).parents[1] / "certificates.py")
    for authority in (None, stranger):
        with pytest.raises(OperatorError):
            load.successful(
                await load.measure(msgspec.structs.replace(encrypted, authority=authority))
            )
