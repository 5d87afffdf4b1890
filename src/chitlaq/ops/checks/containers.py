"""Containers of this machine, where Docker runs any: ours, and those of others beside us."""

from __future__ import annotations

import msgspec

from chitlaq.core.formatting import count
from chitlaq.core.unseen import NotHere, Unseen
from chitlaq.ops.checks.model import Outcome, Section, Table, Value, Verdict, check, outcome, worst
from chitlaq.ops.checks.system import SystemView


class _Container(msgspec.Struct, rename="pascal"):
    """A container as a line of JSON, which Docker before 23 gives by `{{json .}}` alone."""

    names: str
    image: str
    state: str
    status: str

    @property
    def verdict(self) -> Verdict:
        """What ended with 0 has done its work; what is being started again and again does none."""
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
    remedy="`docker logs NAME` says why; the daemon itself: `sudo journalctl -u docker -e`.",
)
async def containers(system: SystemView) -> Outcome:
    try:
        text = await system.run("docker", "ps", "-a", "--format", "{{json .}}", package="docker.io")
    except Unseen as error:
        if "Cannot connect to the Docker daemon" in str(error) and system.settings.embeds(
            "postgres"
        ):
            raise NotHere(
                "no Docker daemon runs here, and ChitLaq needs none: it runs its own stack"
            ) from None
        raise
    try:
        found = [msgspec.json.decode(line, type=_Container) for line in text.splitlines()]
    except msgspec.DecodeError as error:
        raise Unseen(f"docker does not answer as it should: {error}") from None
    bad = [one for one in found if one.verdict != Verdict.OK]
    running = sum(one.state == "running" for one in found)
    return outcome(
        "; ".join(f"{one.names}: {one.status or one.state}" for one in bad)
        or f"{running} of {count(len(found), 'container')} running, and none in trouble",
        {"containers": Value(len(found)), "running": Value(running), "bad": Value(len(bad))},
        Table(
            "containers",
            ["name", "image", "state", "status"],
            [[one.names, one.image, one.state, one.status] for one in found],
        ),
        least=worst((Verdict.OK, *(one.verdict for one in bad))),
    )
