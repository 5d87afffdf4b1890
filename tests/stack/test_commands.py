"""How commands in messages are typed: where a supervisor, systemd or containers run the components."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from chitlaq.__main__ import UNFINISHED
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring import provisioning
from chitlaq.ops.checks import registry
from chitlaq.stack import commands, containers
from chitlaq.stack.commands import Keeper
from chitlaq.stack.install import systemd
from tests import commands as chitlaq

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    containers.mark(home)
    return home


@pytest.mark.parametrize(
    ("documented", "typed"),
    [
        ("chitlaq up", "docker compose up --detach"),
        ("chitlaq up --detach", "docker compose up --detach"),
        ("chitlaq down", "docker compose down"),
        ("chitlaq restart feed-service", "docker compose restart feed-service"),
        ("chitlaq stats", "docker stats --no-stream"),
        ("chitlaq ps", "docker compose exec ops-service chitlaq ps"),
        ("chitlaq upgrade", "docker compose up --detach --build"),
        ("chitlaq logs feed-service --tail 50", "docker compose logs feed-service --tail 50"),
        (
            "chitlaq logs {{ $labels.service }} --errors --since 5m",
            "docker compose logs {{ $labels.service }} --since 5m | grep -i error",
        ),
        (
            "chitlaq logs nginx --since 24h --grep 'ssl|tls'",
            "docker compose logs nginx --since 24h | grep -Ei 'ssl|tls'",
        ),
        (
            "chitlaq logs nginx --json --since 24h | jq -r .status",
            "docker compose logs nginx --no-log-prefix --since 24h | jq -r .status",
        ),
        (
            "chitlaq exec redis redis-cli client list",
            "docker compose exec redis redis-cli client list",
        ),
        (
            "chitlaq backup restore --resume",
            "docker compose run --rm --no-deps ops-service backup restore --resume",
        ),
        ("chitlaq backup run", "docker compose exec ops-service chitlaq backup run"),
        ("df -h", "df -h"),
    ],
)
def test_command_is_typed_to_the_engine_of_containers(
    home: Home, documented: str, typed: str
) -> None:
    assert commands.here(documented, home) == typed
    assert commands.in_text(f"See `{documented}`.", home) == f"See `{typed}`."


def test_command_is_typed_to_kubernetes_in_a_pod(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert (
        commands.here("chitlaq ps", home)
        == "kubectl exec operations-0 --container ops-service -- chitlaq ps"
    )
    assert (
        commands.here("chitlaq logs nginx --errors", home)
        == "kubectl logs operations-0 --container nginx | grep -i error"
    )


def test_stack_of_a_unit_is_started_and_stopped_by_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Restart=always` would start again what `chitlaq down` stops."""
    home = Home(tmp_path / "its own")
    monkeypatch.setattr(commands, "UNIT", tmp_path / systemd.UNIT)
    assert commands.keeper(home) is Keeper.SUPERVISOR
    commands.UNIT.write_text(systemd.unit(systemd.of(home, Settings())))
    assert commands.in_text("`chitlaq down`, then `chitlaq ps`", home) == (
        "`sudo systemctl stop chitlaq`, then `chitlaq ps`"
    )
    assert commands.keeper(Home(tmp_path / "another")) is Keeper.SUPERVISOR


def test_page_on_containers_has_each_way_to_type(home: Home) -> None:
    rows = re.findall(
        r"^\| `(chitlaq [^`]+)` \| `([^`]+)` \|", (DOCS / "containers.md").read_text(), re.M
    )
    assert len(rows) > 8
    for documented, typed in rows:
        words = [one.replace("\\|", "|").replace("…", "postgres") for one in (documented, typed)]
        assert commands.here(words[0], home) == words[1]


def test_no_remedy_or_alert_names_what_is_not_typed_in_containers(home: Home) -> None:
    """Of all checks and alerts: neither in a sentence nor as a command."""
    said = [commands.in_text(check.remedy, home) for check in registry.CHECKS.values()]
    for group in msgspec.json.decode(provisioning.rules(home))["groups"]:
        said += [text for rule in group["rules"] for text in rule.get("annotations", {}).values()]
    assert not [text for text in said if re.search("`chitlaq ", text)]
    assert any("`docker compose logs" in text for text in said)
    shown = [
        line
        for check in registry.CHECKS.values()
        for line in registry.commands(check, Settings(), home)
    ]
    assert not [line for line in shown if line.startswith("chitlaq ")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("up", "`docker compose up --detach`"),
        ("down", "`docker compose down`"),
        ("stats", "`docker stats --no-stream`"),
        ("restart feed-service", "`docker compose restart SERVICE`"),
        ("rotate", "the engine rotates its logs"),
        ("logs feed-service", "`docker compose logs feed-service`"),
    ],
)
def test_command_for_a_supervisor_says_what_to_type_instead(
    home: Home, words: str, said: str
) -> None:
    answer = chitlaq.run(tuple(words.split()), {"CHITLAQ_HOME": str(home.root)})
    assert (answer.returncode, said in answer.stderr) == (1, True), answer
    assert "`chitlaq " not in answer.stderr


def test_line_for_a_shell_leads_to_this_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, lines = Home(tmp_path / "a b"), ("chitlaq down", "chitlaq up")
    monkeypatch.delenv("CHITLAQ_HOME", raising=False)
    assert commands.pasted(lines, home) == "chitlaq down && chitlaq up"
    monkeypatch.setenv("CHITLAQ_HOME", str(home.root))
    at = f"CHITLAQ_HOME='{home.root}' chitlaq"
    assert commands.pasted(lines, home) == f"{at} down && {at} up"
    home.root.mkdir()
    containers.mark(home)
    typed = "docker compose down && docker compose up --detach"
    assert commands.pasted(lines, home) == typed


def test_lost_database_is_refused_in_the_words_of_containers(tmp_path: Path) -> None:
    """On a machine where nothing has run yet, too: the home knows of containers before anything refuses."""
    base = tmp_path / "backups" / "physical" / "chitlaq" / "base" / "20261127T000000"
    base.mkdir(parents=True)
    answer = chitlaq.run(
        ("config", "containers"),
        {"CHITLAQ_HOME": str(tmp_path), "CHITLAQ_BACKUPS_FOLDER": str(base.parents[3])},
    )
    assert answer.returncode == UNFINISHED
    assert "`docker compose run --rm --no-deps ops-service backup restore`" in answer.stderr


def test_authority_is_fetched_out_of_the_containers_before_it_is_trusted(tmp_path: Path) -> None:
    environment = {"CHITLAQ_HOME": str(tmp_path), "REDIS_URL": "redis://localhost"}
    made = chitlaq.run(
        ("config", "containers"),
        environment | {"DATABASE_URL": "postgresql://o:s@localhost/chitlaq"},
    )
    assert made.returncode == 0, made
    said = chitlaq.run(("certificates", "trust"), environment).stdout
    assert f"docker compose exec -T ops-service cat {tmp_path}/certificates/authority.crt >" in said
    assert "sudo cp authority.crt /" in said
    assert "sudo chitlaq" not in said
