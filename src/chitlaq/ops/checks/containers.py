"""Docker containers on this machine, ChitLaq's and others."""

from __future__ import annotations

import msgspec

from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import count
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
    worst,
)
from chitlaq.ops.checks.sources.system import SystemView


class _Container(msgspec.Struct, rename="pascal"):
    """A container as a line of JSON; Docker before 23 prints it only for `{{json .}}`."""

    names: str
    image: str
    state: str
    status: str

    @property
    def verdict(self) -> Verdict:
        """Exit code 0 means that its work is done; a restart loop means that none is."""
        if self.state == "restarting" or "(unhealthy)" in self.status:
            return Verdict.CRITICAL
        ended_badly = self.state == "exited" and not self.status.startswith("Exited (0)")
        return Verdict.WARNING if ended_badly or self.state in {"dead", "paused"} else Verdict.OK


@check(
    "services.containers",
    "Containers",
    section=Section.SERVICES,
    looks_at="the Docker daemon: every container, running or not",
    commands=("sudo systemctl status docker", "docker ps -a", "docker stats --no-stream"),
    remedy="`docker logs NAME` shows why. For the daemon itself: `sudo journalctl -u docker -e`.",
)
async def containers(system: SystemView) -> CheckOutcome:
    try:
        text = await system.run("docker", "ps", "-a", "--format", "{{json .}}", package="docker.io")
    except UnknownResult as error:
        if "Cannot connect to the Docker daemon" in str(error) and system.settings.embeds(
            "postgres"
        ):
            raise NotApplicable(
                "no Docker daemon runs here, and the embedded stack needs none"
            ) from None
        raise
    try:
        found = [msgspec.json.decode(line, type=_Container) for line in text.splitlines()]
    except msgspec.DecodeError as error:
        raise UnknownResult(f"unexpected output from docker: {error}") from None
    bad = [one for one in found if one.verdict != Verdict.OK]
    running = sum(one.state == "running" for one in found)
    return outcome(
        "; ".join(f"{one.names}: {one.status or one.state}" for one in bad)
        or f"{running} of {count(len(found), 'container')} running, none unhealthy",
        {"containers": Value(len(found)), "running": Value(running), "bad": Value(len(bad))},
        Table(
            "containers",
            ["name", "image", "state", "status"],
            [[one.names, one.image, one.state, one.status] for one in found],
        ),
        least=worst((Verdict.OK, *(one.verdict for one in bad))),
    )
