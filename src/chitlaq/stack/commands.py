"""How a command of ours is typed here: by itself, to systemd, or to the engine that runs the containers.

Messages, remedies and alerts name commands as they are typed where `chitlaq up` runs everything, within
backticks. What shows them to a person lets `in_text` put this machine's in their place.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

from chitlaq.core.host import quoting
from chitlaq.core.installation.home import Home

UNIT = Path("/etc/systemd/system/chitlaq.service")

ENGINE_HAS_IT = (
    "A container engine runs the components here, so there is no supervisor: type `chitlaq up`,"
    " `chitlaq down`, `chitlaq restart SERVICE` or `chitlaq stats` outside of the containers. Settings apply"
    " with `chitlaq reload`, and the engine rotates its logs."
)
"""What a command says that only a supervisor can follow, before `in_text`."""


class Keeper(Enum):
    """What keeps the components running."""

    SUPERVISOR = "supervisor"
    SYSTEMD = "systemd"
    COMPOSE = "compose"
    KUBERNETES = "kubernetes"


Rules = Sequence[tuple[str, str]]

_IN_POD = "kubectl exec operations-0 --container ops-service --"

RULES: Mapping[Keeper, Rules] = {
    Keeper.SUPERVISOR: (),
    # It would start again what only the supervisor is told to stop.
    Keeper.SYSTEMD: (
        (r"up\b.*", "sudo systemctl start chitlaq"),
        (r"down\b.*", "sudo systemctl stop chitlaq"),
    ),
    Keeper.COMPOSE: (
        (r"up\b.*", "docker compose up --detach"),
        (r"(down|restart\b.*|exec (?:postgres|redis) .*)", r"docker compose \1"),
        (r"reload\b.*", "docker compose up --detach --force-recreate"),
        (r"upgrade(?! --check)\b.*", "docker compose up --detach --build"),
        (r"stats\b.*", "docker stats --no-stream"),
        (r"(logs\b.*)", r"docker compose \1"),
        # These also have to work while nothing runs.
        (
            r"((?:backup (?:restore|fetch|list|discard|take-over)|config|doctor)\b.*)",
            r"docker compose run --rm --no-deps ops-service \1",
        ),
        (r"(.*)", r"docker compose exec ops-service chitlaq \1"),
    ),
    Keeper.KUBERNETES: (
        (r"up\b.*", "kubectl scale --replicas=1 deployment/application statefulset/operations"),
        (r"down\b.*", "kubectl scale --replicas=0 deployment/application statefulset/operations"),
        (
            r"(?:restart|reload)\b.*",
            "kubectl rollout restart deployment/application statefulset/operations",
        ),
        (r"upgrade(?! --check)\b.*", "helm upgrade chitlaq deploy/helm/chitlaq --values own.yaml"),
        (r"stats\b.*", "kubectl top pod --containers"),
        (r"logs ([a-z{].*)", r"kubectl logs operations-0 --container \1"),
        (r"logs\b(.*)", r"kubectl logs operations-0 --all-containers\1"),
        (r"(.*)", rf"{_IN_POD} chitlaq \1"),
    ),
}
"""What is typed in place of the words after `chitlaq`: the first pattern that matches all of them."""

# An engine has the lines and nothing that reads them.
_OF_LOGS: Rules = (
    (r" --errors\b(.*)", r"\1 | grep -i error"),
    (r" --slow\b(.*)", r"\1 | grep -i slow"),
    (r" (?:--grep|--search) ('[^']*'|\S+)(.*)", r"\2 | grep -Ei \1"),
)
_NAMED = re.compile(r"(?<=`)chitlaq ([^`]+)(?=`)|(?<=<code>)chitlaq ([^<]+)(?=</code>)")


def keeper(home: Home) -> Keeper:
    """Return what keeps the components of this home running."""
    if home.containers.exists():
        is_pod = "KUBERNETES_SERVICE_HOST" in os.environ
        return Keeper.KUBERNETES if is_pod else Keeper.COMPOSE
    return Keeper.SYSTEMD if _is_in_unit(home) else Keeper.SUPERVISOR


def here(line: str, home: Home) -> str:
    """Return a command line as it is typed here; one that is not of ours as it is."""
    return _typed(line, keeper(home))


def pasted(lines: Sequence[str], home: Home) -> str:
    """Return commands of ours as a line for any shell here, also one that has no ``CHITLAQ_HOME``."""
    named = shlex.quote(str(home.root)) if os.environ.get("CHITLAQ_HOME") else ""
    prefix = f"CHITLAQ_HOME={named} " if named else ""
    typed = [here(line, home) for line in lines]
    return " && ".join(f"{prefix}{one}" if one.startswith("chitlaq ") else one for one in typed)


def in_text(text: str, home: Home) -> str:
    """Return a text, or a page, with the commands in it as they are typed here."""
    if "chitlaq " not in text:
        return text
    by = keeper(home)
    return _NAMED.sub(lambda found: _typed(found[0], by), text)


def fetch(path: str, home: Home) -> str:
    """Return the command that copies a file out of the containers; nothing where there are none."""
    by = keeper(home)
    if by not in {Keeper.COMPOSE, Keeper.KUBERNETES}:
        return ""
    engine = "docker compose exec -T ops-service" if by is Keeper.COMPOSE else _IN_POD
    return f"{engine} cat {shlex.quote(path)} >{Path(path).name}"


def _typed(line: str, by: Keeper) -> str:
    program, _, words = line.partition(" ")
    if program != "chitlaq":
        return line
    for pattern, typed in RULES[by]:
        if found := re.fullmatch(pattern, words, re.DOTALL):
            made = found.expand(typed)
            return _of_engine(made, by) if words.startswith("logs") else made
    return line


def _of_engine(line: str, by: Keeper) -> str:
    """The options of `chitlaq logs` as an engine's command has them."""
    command, *pipes = line.split(" | ")
    for pattern, typed in _OF_LOGS:
        command = re.sub(pattern, typed, command)
    plain = " --no-log-prefix" if by is Keeper.COMPOSE else ""
    return " | ".join([command.replace(" --json", plain), *pipes])


def _is_in_unit(home: Home) -> bool:
    """Whether the unit that `chitlaq install systemd` writes is there, for this home."""
    try:
        return f"Environment={quoting.systemd(f'CHITLAQ_HOME={home.root}')}\n" in UNIT.read_text()
    except (OSError, UnicodeDecodeError):
        return False
