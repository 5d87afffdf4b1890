"""The Helm chart, rendered by Helm's own library, and checked against Kubernetes's schemas."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import helm_python
import yaml  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "chitlaq"
VERSIONS = ("1.35.0", "1.36.0", "1.37.0")
"""Those that Kubernetes's maintainers support together."""
OPERATORS = {"database": {"operator": {"enabled": True}}, "valkey": {"operator": {"enabled": True}}}
VALUES: dict[str, dict[str, Any]] = {
    "by default": {},
    "external": {
        "database": {"secret": {"name": "pg", "key": "url"}, "port": 6432},
        "valkey": {"secret": {"name": "sentinels", "key": "url"}, "ports": [6379, 26379]},
        "networkPolicy": {
            "database": [{"ipBlock": {"cidr": "10.1.0.0/24"}}],
            "valkey": [{"ipBlock": {"cidr": "10.2.0.0/24"}}],
            "objectStore": {"peers": [{"ipBlock": {"cidr": "10.3.0.0/24"}}], "port": 9000},
        },
    },
    "operators": OPERATORS,
    "minimal": {
        "application": {"replicas": 1},
        "ingress": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "settingsSecret": {"name": ""},
    },
    "everything": OPERATORS
    | {
        "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": [{"name": "registry"}]},
        "settings": {"smtp.host": "mail.example.edu", "smtp.port": 465, "operations.public": True},
        "application": {"autoscaling": {"enabled": True}},
        "monitoring": {
            "prometheusUrl": "http://prometheus.monitoring:9090",
            "alertmanagerUrl": "https://alertmanager.example.edu",
            "serviceMonitor": {"enabled": True, "labels": {"release": "monitoring"}},
        },
        "ingress": {"className": "traefik"},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "chitlaq", "operator": "Exists"}],
    },
}
WITHOUT_SCHEMA = {"Cluster", "HTTPRoute", "ValkeyCluster", "ServiceMonitor"}
"""Kinds of operators and of the Gateway API, which Kubernetes itself does not know."""

Manifest = dict[str, Any]


def rendered(values: dict[str, Any]) -> list[Manifest]:
    """Return what Helm would send to Kubernetes."""
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(values, name="chitlaq", namespace="chitlaq")
    return [
        found
        for name, text in texts.items()
        if name.endswith(".yaml")
        for found in yaml.load_all(text, yaml.CSafeLoader)
        if found
    ]


@cache
def manifests(name: str) -> tuple[Manifest, ...]:
    """Return what is rendered of one of `VALUES`."""
    return tuple(rendered(VALUES[name]))


def of_kind(found: tuple[Manifest, ...], *kinds: str) -> dict[str, Manifest]:
    """Return the manifests of some kinds, by name."""
    return {one["metadata"]["name"]: one for one in found if one["kind"] in kinds}


def pods(found: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """Return the templates of all pods, by the name of what makes them."""
    workloads = of_kind(found, "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
    return {name: one["spec"]["template"] for name, one in workloads.items()}


def containers(pod: Manifest) -> list[Manifest]:
    """Return a pod's containers, those first that run before the others."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


@cache
def _validator(kind: str, api: str, version: str) -> Draft202012Validator:
    """What validates a kind; unknown fields are refused."""
    group, _, of_group = api.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.split(".")[0], of_group) if part)
    return Draft202012Validator(_read(version, name), registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    definitions: Resource[Any] = Resource.from_contents(_read(version, "_definitions"))
    found: Registry[Any] = Registry().with_resource(
        "https://kubernetes.io/api/_definitions.json", definitions
    )
    return found


def _read(version: str, name: str) -> Any:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}-local-strict"
    return json.loads((folder / f"{name}.json").read_text())


@cache
def _faults(text: str, version: str) -> tuple[str, ...]:
    manifest = json.loads(text)
    validator = _validator(manifest["kind"], manifest["apiVersion"], version)
    return tuple(
        f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(manifest)
    )


def faults(manifest: Manifest, version: str) -> tuple[str, ...]:
    """Return what a version of Kubernetes does not take of a manifest."""
    return _faults(json.dumps(manifest), version)
