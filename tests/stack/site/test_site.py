"""The inventory of several machines: what is wrong is named, and each node gets what it reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner, Result

from chitlaq.cli.app import app
from chitlaq.core.data.valkey_connection import parse_sentinel_url
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.monitoring import prometheus_config
from chitlaq.stack import private_authority
from chitlaq.stack.servers import process_specs
from chitlaq.stack.site import certificates, engines, rendering
from chitlaq.stack.site import nodes as nodes_of_site

SITE = Path(__file__).parents[3] / "deploy" / "site.toml"


def chitlaq(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_inventory_of_the_documentation_is_right() -> None:
    answer = chitlaq("site", "check", SITE)
    assert answer.exit_code == 0, answer.output
    assert "db2   10.0.0.22" in answer.output


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"etcd", "sentinel"]\n\n[nodes.app2]', '"sentinel"]\n\n[nodes.app2]', "2 nodes have the role etcd"),
        ('"operations", ', "", "No node has the role operations"),
        ('roles = ["application"]', 'roles = ["aplication"]', "Did you mean application?"),
        ("10.0.0.22", "10.0.0.21", "2 nodes have the address 10.0.0.21"),
        ("10.0.0.22", "db2", "'db2' is no IP address"),
        ("s3://chitlaq/media", "/var/media", "media_url"),
        ("https://social", "http://social", "public_url"),
        ("[nodes.db2]", "[nodes.DB2]", "nodes.DB2"),
        ("public_url", "public", "unknown field `public`"),
        ("[nodes.db2]", "[nodes.db2", "is not valid TOML"),
        ('["application"]', '["application"]\ntargets = ["feed"]', "there is no target feed."),
        ('["postgres", "etcd"', '["etcd"', "1 nodes have the role postgres"),
        ('["application"]', '["application", "valkey-cluster"]', "1 nodes have the role valkey-cluster"),
        ('["application"]', '["application", "valkey-cluster"]', "role sentinel does not go with"),
        ('address = "10.0.0.21"', 'address = "10.0.0.21"\ntargets = ["websocket"]', "targets go with"),
    ],
)  # fmt: skip
def test_fault_of_an_inventory_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = SITE.read_text()
    assert old in text
    file = tmp_path / "site.toml"
    file.write_text(text.replace(old, new, 1))
    answer = chitlaq("site", "check", file)
    assert answer.exit_code != 0
    assert said in answer.output + str(answer.exception)


def test_nodes_get_what_they_read_and_keep_their_secrets(tmp_path: Path) -> None:
    for _ in range(2):
        assert chitlaq("site", "render", SITE, tmp_path / "site").exit_code == 0
    nodes = tmp_path / "site" / "nodes"
    settings = settings_loading.load(Home(nodes / "app2"), {"PATH": ""})
    sentinels, name = parse_sentinel_url(settings.redis_url.reveal())
    assert [one.host for one in sentinels] == ["10.0.0.11", "10.0.0.21", "10.0.0.22"]
    assert name == "chitlaq"
    assert not settings.operations.scheduled
    patroni = json.loads((nodes / "db1" / "patroni.yml").read_text())
    password = patroni["postgresql"]["authentication"]["superuser"]["password"]
    assert password in settings.database_url.reveal()
    assert (nodes / "app2" / "secrets" / "postgres-postgres").read_text().strip() == password
    dynamic = patroni["bootstrap"]["dcs"]
    # What Patroni demands, so that a primary gives up before another begins.
    assert dynamic["loop_wait"] + 2 * dynamic["retry_timeout"] <= dynamic["ttl"]
    assert dynamic["synchronous_mode"]
    assert not (nodes / "app2" / "patroni.yml").exists()
    assert "replicaof 10.0.0.21 6379" in (nodes / "db2" / "valkey.conf").read_text()
    assert (nodes / "db1" / "patroni.yml").stat().st_mode & 0o077 == 0


def test_node_of_operations_watches_all(tmp_path: Path) -> None:
    assert chitlaq("site", "render", SITE, tmp_path / "site").exit_code == 0
    nodes = tmp_path / "site" / "nodes"
    settings = settings_loading.load(Home(nodes / "app1"), {"PATH": ""})
    written = nodes / "app1" / Path(settings.monitoring.targets).name
    watched = {one["labels"]["job"]: one["targets"] for one in json.loads(written.read_text())}
    assert watched["patroni"] == ["10.0.0.21:8008", "10.0.0.22:8008"]
    assert watched["etcd"] == ["10.0.0.11:2379", "10.0.0.21:2379", "10.0.0.22:2379"]
    assert watched["feed-service"] == ["10.0.0.12:3003"], "it watches its own without the file"
    assert watched["node"] == ["10.0.0.12:9100", "10.0.0.21:9100", "10.0.0.22:9100"]
    configured = json.loads(prometheus_config.prometheus(Home(tmp_path), settings))
    own = "/etc/chitlaq/chitlaq.pem"
    assert {
        "job_name": "site",
        "scheme": "https",
        "tls_config": {
            "ca_file": "/etc/chitlaq/authority.pem",
            "cert_file": own,
            "key_file": own,
        },
        "file_sd_configs": [{"files": [settings.monitoring.targets]}],
    } in configured["scrape_configs"]
    assert {"10.0.0.21:5432", "10.0.0.12:3001"} <= {*settings.site.servers}
    other = settings_loading.load(Home(nodes / "app2"), {"PATH": ""})
    assert not other.monitoring.targets
    assert (settings.operations.takes_lease, other.operations.takes_lease) == (True, False)


def test_two_nodes_of_operations_watch_each_other(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(SITE.read_text().replace('["application"]', '["application", "operations"]'))
    assert chitlaq("site", "render", file, tmp_path / "site").exit_code == 0
    for node, other in (("app1", "10.0.0.12"), ("app2", "10.0.0.11")):
        folder = tmp_path / "site" / "nodes" / node
        settings = settings_loading.load(Home(folder), {"PATH": ""})
        assert settings.operations.takes_lease
        assert settings.operations.scheduled
        targets = json.loads((folder / Path(settings.monitoring.targets).name).read_text())
        watched = {one["labels"]["job"]: one["targets"] for one in targets}
        assert watched["feed-service"] == [f"{other}:3003"]


def test_nodes_have_certificates_of_one_authority_whose_key_stays(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    assert chitlaq("site", "render", SITE, folder).exit_code == 0
    before = certificates_of(folder)
    assert set(before) == {"app1", "app2", "db1", "db2"}
    key = private_authority.read(folder / "certificates" / certificates.AUTHORITY)
    assert key is not None
    for name, made in before.items():
        made.verify_directly_issued_by(key.certificate)
        assert private_authority.names_of(made)[1] == name
        uses = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert {*uses} == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    secret = (folder / "certificates" / certificates.AUTHORITY).read_text().partition("PRIVATE")[2]
    given = [path for path in (folder / "nodes").rglob("*") if path.is_file()]
    assert not [path for path in given if secret in path.read_text()]
    keys = [path for path in given if "PRIVATE" in path.read_text()]
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    # Another node joins: the others go on with what they have.
    more = tmp_path / "site.toml"
    more.write_text(
        f'{SITE.read_text()}\n[nodes.app3]\naddress = "10.0.0.13"\nroles = ["application"]\n'
    )
    assert chitlaq("site", "render", more, folder).exit_code == 0
    after = certificates_of(folder)
    assert {name: after[name] for name in before} == before
    assert after["app3"].issuer == before["app1"].issuer


def test_service_that_no_node_has_is_named(tmp_path: Path) -> None:
    file = apart(tmp_path, ["auth-service"], ["auth-service", "feed-service", "websocket"])
    answer = chitlaq("site", "check", file)
    assert answer.exit_code != 0
    assert "No node has the target search-service" in str(answer.exception)


def test_nodes_that_run_some_services_reach_the_others_where_they_are(tmp_path: Path) -> None:
    file = apart(tmp_path, ["auth-service", "websocket"], ["feed-service", "search-service"])
    assert chitlaq("site", "render", file, tmp_path / "site").exit_code == 0
    nodes = tmp_path / "site" / "nodes"
    one, two = (
        settings_loading.load(Home(nodes / name), {"PATH": ""}) for name in ("app1", "app2")
    )
    assert one.elsewhere("feed-service") == ["10.0.0.12:3003"]
    assert two.elsewhere("websocket") == ["10.0.0.11:3002"]
    for settings in (one, two):
        assert settings.embeds("api-gateway")
        assert settings.embeds("ops-service")
        home = Home(tmp_path)
        specs = process_specs.declare(home, settings, home.access_log)
        own = {name for name in nodes_of_site.TARGETS if settings.embeds(name)}
        assert {spec.service for spec in specs} & {*nodes_of_site.TARGETS} == own
        (nginx,) = [spec for spec in specs if spec.service == "nginx"]
        assert set(nginx.waits_for) & {*nodes_of_site.TARGETS} == own
    assert not {*one.site.elsewhere} & {*two.site.elsewhere}
    # Each is scraped where it is; its own a node scrapes anyway.
    watched = {
        row["labels"]["job"]: row["targets"]
        for row in json.loads((nodes / "app1" / rendering.TARGETS).read_text())
    }
    assert watched["feed-service"] == ["10.0.0.12:3003"]
    assert watched["api-gateway"] == ["10.0.0.12:3001"]
    assert "websocket" not in watched
    scraped = json.loads(prometheus_config.prometheus(Home(tmp_path), one))["scrape_configs"]
    assert "websocket" in {row["job_name"] for row in scraped}
    assert "feed-service" not in {row["job_name"] for row in scraped}


def apart(folder: Path, *targets: list[str]) -> Path:
    """The inventory of the documentation, whose application nodes run these services."""
    text = SITE.read_text()
    for role, named in zip(
        ('"etcd", "sentinel"]\n\n[nodes.app2]', '["application"]'), targets, strict=True
    ):
        before, found, after = text.partition(role)
        assert found
        line, newline, rest = found.partition("\n")
        text = f"{before}{line}\ntargets = {json.dumps(named)}{newline}{rest}{after}"
    path = folder / "apart.toml"
    path.write_text(text)
    return path


def test_certificate_is_renewed_when_two_thirds_of_its_life_are_over(tmp_path: Path) -> None:
    site, now = nodes_of_site.read(SITE), datetime.now(UTC)
    first = certificates.ensure(site, tmp_path, "db1", now)
    assert certificates.ensure(site, tmp_path, "db1", now + certificates.LIFE * 0.6) == first
    later = certificates.ensure(site, tmp_path, "db1", now + certificates.LIFE * 0.7)
    assert later.authority == first.authority
    assert later.certificate != first.certificate
    with pytest.raises(OperatorError, match="ends on"):
        certificates.ensure(
            site, tmp_path, "db1", now + private_authority.AUTHORITY_LIFE - certificates.LIFE / 2
        )
    (tmp_path / certificates.AUTHORITY).write_text("damaged")
    with pytest.raises(OperatorError, match="cannot be read"):
        certificates.ensure(site, tmp_path, "db1", now)


def certificates_of(folder: Path) -> dict[str, x509.Certificate]:
    """The certificate of each node, of which all its servers have the same."""
    found = {}
    for node in (folder / "nodes").iterdir():
        own = [path for path in node.glob("*.pem") if path.name != engines.AUTHORITY]
        (text,) = {path.read_bytes() for path in own}
        found[node.name] = x509.load_pem_x509_certificate(text)
    return found
