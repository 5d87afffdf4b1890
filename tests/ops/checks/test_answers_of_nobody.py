"""Every check, where no server is itself: each is dead, hangs, answers nonsense, or is another one.

Whatever is green although all are dead looks at files, the supervisor or the machine; nothing else may be
green whatever takes the servers' places.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from chitlaq.ops.checks import runner
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.registry import CHECKS
from tests.conftest import PORTS, Stack, free_ports, short_form
from tests.ops.checks.conftest import answering, system_of

BODIES = {
    "nonsense": b"<h1>It works!</h1>",
    "nothing": b"",
    "an empty object": b"{}",
    "an empty list": b"[]",
    "no samples": b'{"status":"success","data":{"resultType":"vector","result":[]}}',
    "an empty page": b'{"items":[],"page":1,"limit":10,"next_cursor":null}',
    "somebody healthy": b'{"service":"another","status":"healthy","uptime":1,"version":"1","checks":{}}',
}


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield server.getsockname()[1]


async def judged(stack: Stack, ports: dict[str, int]) -> dict[str, Verdict]:
    """What the checks say where these ports are the servers'."""
    variables = {f"CHITLAQ_PORTS_{name.upper()}": str(port) for name, port in ports.items()} | {
        "REDIS_URL": f"redis://127.0.0.1:{ports['redis']}",
        "PROMETHEUS_URL": f"http://127.0.0.1:{ports['prometheus']}",
        "ALERTMANAGER_URL": f"http://127.0.0.1:{ports['alertmanager']}",
    }
    # Those that use much CPU look at the machine.
    looked_at = [one for one in CHECKS.values() if not one.is_heavy]
    system = system_of(stack, **variables)
    try:
        done = await runner.run(system, "all", looked_at, "a test")
    finally:
        await system.close()
    return {one.check: one.verdict for one in done.results}


async def green(stack: Stack, ports: dict[str, int]) -> set[str]:
    """The checks that are OK where these ports are the servers'."""
    found = await judged(stack, ports)
    return {check for check, verdict in found.items() if verdict is Verdict.OK}


@pytest.fixture(scope="module")
async def of_no_server(stack: Stack) -> set[str]:
    """What is green although every server is dead, or sees the machine, which is busy at one time only."""
    verdicts = await judged(stack, dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))
    found = {check for check, verdict in verdicts.items() if verdict is Verdict.OK}
    assert not {name for name in found if name.startswith(("database.", "redis.", "api.", "feed."))}
    looked = {check for check, verdict in verdicts.items() if verdict is not Verdict.UNKNOWN}
    return found | {check for check in looked if check.startswith("host.")}


@pytest.mark.parametrize("what", short_form([*BODIES, "silence"], "nonsense", "an empty page"))
async def test_nothing_is_green_that_asked_something_else(
    stack: Stack, of_no_server: set[str], what: str
) -> None:
    with ExitStack() as held:
        ports = {
            name: held.enter_context(silent())
            if what == "silence"
            else int(held.enter_context(answering(BODIES[what])))
            for name in PORTS
        }
        found = await green(stack, ports)
    assert found <= of_no_server


async def test_nothing_is_green_where_each_is_another(stack: Stack, of_no_server: set[str]) -> None:
    """As after two ports were taken for each other: each answers well, as somebody else."""
    shifted = [*PORTS[1:], PORTS[0]]
    others = {name: stack.ports[other] for name, other in zip(PORTS, shifted, strict=True)}
    assert await green(stack, others) <= of_no_server
