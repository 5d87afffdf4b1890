"""deploy/helm: what Helm renders is valid for three versions of Kubernetes, confined, probed and fenced in.

No cluster runs here: what Kubernetes makes of it has not been seen (docs/kubernetes.md).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import helm_python
import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from chitlaq import inventory
from chitlaq.cli.metrics import declared_metrics
from chitlaq.core.data import postgres
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import Secret, SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.servers import nginx
from chitlaq.web.console.status import pages
from tests.conftest import Stack, eventually, free_ports
from tests.deploy import chart
from tests.deploy.chart import VALUES, VERSIONS, containers, manifests, of_kind, pods

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES = [row.name for row in inventory.SERVICES]
ALL = pytest.mark.parametrize("values", VALUES)
HOME, PORT = "/var/lib/chitlaq", "9464"
SECRETS = [
    dotted
    for dotted, field in settings_loading.fields()
    if any(one in str(field.type) for one in (Secret.__name__, SecretUrl.__name__))
]


def test_lint_finds_nothing() -> None:
    found = helm_python.lint(str(chart.CHART))
    assert not found["errors"]
    assert {one["error"] for one in found["messages"]} <= {"icon is recommended"}


@ALL
@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_valid(values: str, version: str) -> None:
    found = [one for one in manifests(values) if one["kind"] not in chart.WITHOUT_SCHEMA]
    assert found
    faults = {
        f"{one['kind']} {one['metadata']['name']}": chart.faults(one, version) for one in found
    }
    assert not {name: said for name, said in faults.items() if said}


@ALL
def test_every_container_is_confined_and_pinned(values: str) -> None:
    for name, pod in pods(manifests(values)).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        # Of a Service chitlaq-…, a variable would be read as a setting, and refused.
        assert spec["enableServiceLinks"] is False, name
        for container in containers(pod):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, container["name"]
            assert context["allowPrivilegeEscalation"] is False, container["name"]
            assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]
            assert container["resources"]["limits"]["memory"], container["name"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, container["name"]
            assert re.search(r":v?\d+\.\d+|@sha256:[0-9a-f]{64}$", container["image"])


def test_images_are_those_of_compose() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    used = {
        one["name"]: one["image"] for one in containers(pods(manifests("by default"))["operations"])
    }
    assert used["nginx"] == used["metrics"] == compose["nginx"]["image"]
    assert used["feed-service"].endswith(f"/{compose['feed-service']['image']}")


@ALL
def test_every_server_has_probes_and_a_budget(values: str) -> None:
    found = manifests(values)
    served = of_kind(found, "Deployment", "StatefulSet")
    assert served.keys() == {"application", "operations"}
    budgets = [
        one["spec"]["selector"]["matchLabels"]
        for one in of_kind(found, "PodDisruptionBudget").values()
    ]
    for name, workload in served.items():
        pod = workload["spec"]["template"]
        labels = pod["metadata"]["labels"].items()
        assert sum(budget.items() <= labels for budget in budgets) == 1, name
        for container in pod["spec"]["containers"]:
            probes = {"startupProbe", "readinessProbe", "livenessProbe"}
            assert probes <= container.keys(), container["name"]


def test_containers_are_the_services_by_their_names() -> None:
    found = pods(manifests("by default"))
    named = {
        name: {one["name"]: one.get("args") for one in pod["spec"]["containers"]}
        for name, pod in found.items()
    }
    services = {name: ["serve", name] for name in SERVICES}
    rest: dict[str, Any] = {"nginx": None, "metrics": None}
    assert named["operations"] == services | rest
    del services["ops-service"]
    assert named["application"] == services | rest
    assert {*SERVICES, "nginx"} <= of_kind(manifests("by default"), "Service").keys()


def test_there_is_one_ops_service() -> None:
    operations = of_kind(manifests("everything"), "StatefulSet")["operations"]
    assert operations["spec"]["replicas"] == 1
    with pytest.raises(helm_python.HelmError):
        chart.rendered({"operations": {"replicas": 2}})


@ALL
def test_secrets_are_files_and_nothing_else(values: str) -> None:
    found = manifests(values)
    assert not of_kind(found, "Secret"), "they are made by `chitlaq config secrets`"
    for pod in pods(found).values():
        assert not [one["name"] for one in containers(pod) if {"env", "envFrom"} & one.keys()]
    for name, one in of_kind(found, "ConfigMap").items():
        settings = tomllib.loads(one["data"]["chitlaq.toml"])
        # The schema of the values refuses passwords in these two.
        public = {"prometheus_url", "alertmanager_url"}
        assert not set(_dotted(settings)) & set(SECRETS) - public, name


@pytest.mark.parametrize("setting", SECRETS)
def test_secret_setting_is_refused_among_the_values(setting: str) -> None:
    with pytest.raises(helm_python.HelmError):
        chart.rendered({"settings": {setting: "redis://:hunter2@host"}})


@pytest.mark.parametrize("name", ["prometheusUrl", "alertmanagerUrl"])
def test_password_in_a_url_is_refused_among_the_values(name: str) -> None:
    with pytest.raises(helm_python.HelmError):
        chart.rendered({"monitoring": {name: "http://operator:hunter2@host:9090"}})


@ALL
def test_settings_are_ours(values: str, tmp_path: Path) -> None:
    for one in of_kind(manifests(values), "ConfigMap").values():
        path = tmp_path / "chitlaq.toml"
        path.write_text(
            one["data"]["chitlaq.toml"]
            + 'database_url = "postgresql://o:s@h/c"\nredis_url = "redis://h"\n'
        )
        settings = settings_loading.load(Home(tmp_path), {}, path)
        assert settings.media_folder(Home(tmp_path)) is None, "pods share no disk"
        assert not any(settings.embeds(row.name) for row in (*inventory.OBSERVERS,))


def _flows(found: tuple[dict[str, Any], ...], pod: dict[str, Any]) -> dict[str, set[object]]:
    """The ports on which the policies let a pod be reached and reach others."""
    labels = pod["metadata"]["labels"].items()
    flows: dict[str, set[object]] = {}
    for policy in of_kind(found, "NetworkPolicy").values():
        spec = policy["spec"]
        if not spec["podSelector"]["matchLabels"].items() <= labels:
            continue
        for direction in spec["policyTypes"]:
            ports = flows.setdefault(direction, set())
            for rule in spec.get(direction.lower(), []):
                ports |= {
                    one["port"] if one["protocol"] == "TCP" else f"{one['port']}/{one['protocol']}"
                    for one in rule["ports"]
                }
    return flows


@pytest.mark.parametrize(
    ("values", "everywhere", "for_members", "operations"),
    [
        ("by default", {5432, 6379}, {443}, set()),
        ("external", {6432, 6379, 26379}, {443, 9000}, set()),
        ("operators", {5432, 6379}, {443}, set()),
        ("everything", {5432, 6379}, {443, 465}, {9090, 443}),
    ],
)
def test_pods_reach_what_the_settings_name_and_nothing_else(
    values: str, everywhere: set[object], for_members: set[object], operations: set[object]
) -> None:
    found = manifests(values)
    flows = {name: _flows(found, pod) for name, pod in pods(found).items()}
    reached: set[object] = {"http", "metrics"}
    everywhere = everywhere | {53, "53/UDP"}
    assert flows == {
        "migrate": {"Ingress": set(), "Egress": everywhere},
        "application": {"Ingress": reached, "Egress": everywhere | for_members},
        "operations": {"Ingress": reached, "Egress": everywhere | for_members | operations},
    }


def test_policies_of_databases_let_our_pods_in() -> None:
    found = manifests("operators")
    policies = of_kind(found, "NetworkPolicy")
    ours = of_kind(found, "Deployment")["application"]["spec"]["template"]["metadata"]["labels"]
    for name, kind, label in (
        ("postgres", "Cluster", "cnpg.io/cluster"),
        ("redis", "ValkeyCluster", "valkey.io/cluster"),
    ):
        (made,) = of_kind(found, kind)
        spec = policies[name]["spec"]
        assert spec["podSelector"]["matchLabels"] == {label: made}
        peers = spec["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
        assert peers.items() <= ours.items()
        to = [
            peer
            for rule in policies["all"]["spec"]["egress"]
            for peer in rule["to"]
            if peer.get("podSelector", {}).get("matchLabels") == {label: made}
        ]
        assert to, f"our pods may not reach {made}"


def test_policy_is_there_before_the_first_pod() -> None:
    found = manifests("by default")
    job = of_kind(found, "Job")["migrate"]["metadata"]["annotations"]
    weights = {
        name: int(one["metadata"]["annotations"]["helm.sh/hook-weight"])
        for name, one in {
            "policy": of_kind(found, "NetworkPolicy")["all"],
            "configuration": of_kind(found, "ConfigMap")["migrate"],
        }.items()
    }
    assert max(weights.values()) < int(job["helm.sh/hook-weight"])


@pytest.mark.parametrize(
    ("values", "hooks"),
    [("by default", "pre-install,pre-upgrade"), ("operators", "post-install,pre-upgrade")],
)
def test_migrations_come_before_the_new_version(values: str, hooks: str) -> None:
    job = of_kind(manifests(values), "Job")["migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == hooks
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate", "--provision"]


def test_autoscaler_asks_for_what_the_services_measure() -> None:
    (scaler,) = of_kind(manifests("everything"), "HorizontalPodAutoscaler").values()
    asked = {one["pods"]["metric"]["name"] for one in scaler["spec"]["metrics"]}
    adapter = yaml.safe_load((DEPLOY / "helm" / "prometheus-adapter.yaml").read_text())
    rules = {rule["name"]["as"]: rule for rule in adapter["rules"]["custom"]}
    assert asked == rules.keys()
    measured = {one.name for one in declared_metrics()}
    for rule in rules.values():
        series = rule["seriesQuery"].partition("{")[0]
        assert series in measured
        assert series in rule["metricsQuery"]
        assert re.fullmatch(rule["name"]["matches"], series)
    deployment = of_kind(manifests("everything"), "Deployment")["application"]
    assert "replicas" not in deployment["spec"], "each upgrade would undo what the autoscaler did"


def test_operators_database_has_connections_for_all_pods() -> None:
    found = manifests("everything")
    (scaler,) = of_kind(found, "HorizontalPodAutoscaler").values()
    (cluster,) = of_kind(found, "Cluster").values()
    # One more during an update, and the one of operations.
    most = (scaler["spec"]["maxReplicas"] + 2) * len(SERVICES) * postgres.POOL_SIZE
    assert int(cluster["spec"]["postgresql"]["parameters"]["max_connections"]) > most
    # The name that CloudNativePG gives the Secret of the owner.
    sources = pods(found)["application"]["spec"]["volumes"]
    named = str([one for one in sources if one["name"] == "settings"])
    assert f"{cluster['metadata']['name']}-app" in named


def test_status_page_is_that_of_ops_service() -> None:
    (ingress,) = of_kind(manifests("by default"), "Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    paths = {
        one["path"]: (one["pathType"], one["backend"]["service"]["name"])
        for one in rule["http"]["paths"]
    }
    for page in pages.FILES:
        place = [
            name
            for path, (kind, name) in paths.items()
            if page == path or (kind == "Prefix" and page.startswith(f"{path}/"))
        ]
        assert place == ["status-page"], page
    assert paths["/"] == ("Prefix", "nginx")
    annotations = ingress["metadata"]["annotations"]
    largest = (
        int(annotations["nginx.ingress.kubernetes.io/proxy-body-size"].removesuffix("m")) * 2**20
    )
    assert largest > Settings().media.upload_bytes
    services = of_kind(manifests("by default"), "Service")
    assert services["status-page"]["spec"]["publishNotReadyAddresses"] is True


def test_gateway_leads_where_the_ingress_does() -> None:
    found = manifests("everything")
    (ingress,) = of_kind(found, "Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    by_ingress = {
        (one["pathType"], one["path"], one["backend"]["service"]["name"])
        for one in rule["http"]["paths"]
    }
    (route,) = of_kind(found, "HTTPRoute").values()
    by_route = {
        (match["path"]["type"].removeprefix("Path"), match["path"]["value"], backend["name"])
        for one in route["spec"]["rules"]
        for match in one["matches"]
        for backend in one["backendRefs"]
    }
    assert by_route == by_ingress
    assert ("Prefix", "/ops", "status-page") in by_route
    assert route["spec"]["hostnames"] == [rule["host"]]
    assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "gateways"}]
    ports = {
        name: {port["port"] for port in one["spec"]["ports"]}
        for name, one in of_kind(found, "Service").items()
    }
    for one in route["spec"]["rules"]:
        assert all(backend["port"] in ports[backend["name"]] for backend in one["backendRefs"])
    with pytest.raises(helm_python.HelmError, match="name the Gateway"):
        chart.rendered({"httpRoute": {"enabled": True}})


async def test_metrics_are_reached_and_nothing_else_of_the_services(
    stack: Stack, tmp_path: Path
) -> None:
    found = manifests("by default")
    (port,) = free_ports(1)
    text = of_kind(found, "ConfigMap")["configuration"]["data"]["metrics.conf"]
    text = text.replace(HOME, str(stack.home)).replace(
        f"listen {PORT};", f"listen 127.0.0.1:{port};"
    )
    configuration = tmp_path / "metrics.conf"
    configuration.write_text(text.replace("/tmp/", f"{tmp_path}/"))
    server = subprocess.Popen(
        [nginx.wheel(), "-p", tmp_path, "-c", configuration, "-g", "daemon off; user root;"]
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def alive() -> bool:
                try:
                    return (await client.get("/-/alive")).is_success
                except httpx.TransportError:
                    return False

            await eventually(alive, 20)
            for name, service in of_kind(found, "Service").items():
                annotations = service["metadata"].get("annotations")
                assert bool(annotations) == (name in SERVICES)
                if annotations:
                    assert annotations["prometheus.io/port"] == PORT
                    answer = await client.get(annotations["prometheus.io/path"])
                    assert answer.status_code == 200, name
                    assert "service_processes_unable" in answer.text, name
            assert (await client.get("/feed-service/health")).status_code == 404
            assert (await client.post("/feed-service/metrics")).status_code == 403
            assert (await client.post("/alerts", json={"alerts": []})).status_code == 401
            assert (await client.get("/alerts")).status_code == 403
    finally:
        server.terminate()
        server.wait(20)


def _prepared(root: Path, given: Path, *without: str) -> subprocess.CompletedProcess[str]:
    """Run the chart's script ``prepare`` with the folders of a pod below another root."""
    script = of_kind(manifests("by default"), "ConfigMap")["configuration"]["data"]["prepare"]
    settings = of_kind(manifests("by default"), "ConfigMap")["configuration"]["data"][
        "chitlaq.toml"
    ]
    home, own = root / "home", root / "private"
    for folder in (home / "run", home / "logs", home / "nginx", home / "certificates", own):
        folder.mkdir(parents=True, exist_ok=True)
    (given / "settings").mkdir(exist_ok=True)
    (given / "settings" / "public.toml").write_text(settings)
    (given / "settings" / "database_url").write_text("postgresql://o:s%22@db/chitlaq\n")
    (given / "settings" / "redis_url").write_text("redis://cache")
    (given / "settings" / "private.toml").write_text('media.s3_secret_access_key = "hunter2"\n')
    for name in without:
        (given / "secrets" / name).unlink()
    places = {"/etc/chitlaq": given, "/run/chitlaq": own, HOME: home}
    for place, there in places.items():
        script = script.replace(f"={place}", f"={there}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", script],
        env={
            "PATH": path,
            "CHITLAQ_HOME": str(home),
            "CHITLAQ_PORTS_EDGE_TLS": str(free_ports(1)[0]),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_pod_reads_its_files(tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.mkdir()
    made = subprocess.run(
        [sys.executable, "-m", "chitlaq", "config", "secrets"],
        env={"CHITLAQ_HOME": str(given), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    answer = _prepared(tmp_path, given)
    assert answer.returncode == 0, answer.stderr
    home = tmp_path / "home"
    settings = settings_loading.load(Home(home), {"PATH": ""})
    assert settings.database_url.reveal() == "postgresql://o:s%22@db/chitlaq"
    assert settings.media.s3_secret_access_key.reveal() == "hunter2"
    assert (home / "nginx" / "nginx.conf").is_file()
    assert (home / "secrets" / "sealing-key").read_text() == (
        given / "secrets" / "sealing-key"
    ).read_text()
    assert not (home / "postgres").exists(), "PostgreSQL is elsewhere"
    assert {path.stat().st_mode & 0o077 for path in (home / "secrets").iterdir()} == {0}

    answer = _prepared(tmp_path / "no", given, "sealing-key")
    assert answer.returncode == 1
    assert "the Secret lacks sealing-key" in answer.stderr


def _dotted(settings: dict[str, Any], prefix: str = "") -> list[str]:
    return [
        name
        for key, value in settings.items()
        for name in (
            _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
        )
    ]
