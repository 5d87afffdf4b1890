"""What systemd starts on a node: each unit is valid, and node-exporter answers machines of the site alone.

No systemd has run them: systemd-analyze has read them.
"""

from __future__ import annotations

import re
import shlex
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from chitlaq.stack.site import certificates, nodes, rendering
from chitlaq.stack.site.engines import Places
from chitlaq.stack.site.nodes import Node, Site
from tests.conftest import eventually
from tests.debian_programs import unpacked
from tests.observers import tool

SITE = nodes.read(Path(__file__).parents[3] / "deploy" / "site.toml")
UNITS = ("etcd", "patroni", "valkey", "sentinel", "node-exporter")
ADDRESS = "127.0.0.31"


def rendered(folder: Path, name: str, *, program: str = "") -> str:
    """A unit of a node that has all; of systemd, which looks whether they are there, with another program."""
    text = (folder / "nodes" / "db1" / f"chitlaq-{name}.service").read_text()
    return re.sub(r"(?<=^ExecStart=)\S+", program, text, flags=re.M) if program else text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("site")
    rendering.render_node(SITE, found, "db1")
    return found


@pytest.mark.parametrize("name", UNITS)
def test_unit_is_valid(folder: Path, tmp_path: Path, name: str) -> None:
    program = unpacked("systemd", "systemd-analyze", "usr/bin/systemd-analyze")

    def said(text: str) -> str:
        unit = tmp_path / f"chitlaq-{name}.service"
        unit.write_text(text)
        answer = subprocess.run(
            [str(program.path), "verify", str(unit)],
            env=dict(program.environment),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        # What else it says is of this machine's other units.
        return "\n".join(line for line in answer.stderr.splitlines() if unit.name in line)

    text = rendered(folder, name, program="/bin/true")
    assert said(text) == ""
    assert said(text.replace("Restart=always", "Restart=ever")) != ""


async def test_node_exporter_answers_machines_of_the_site_alone(tmp_path: Path) -> None:
    site = Site("", "", {"db1": Node(ADDRESS, ("postgres",)), "app1": Node("127.0.0.32", ())})
    own = rendering.render_node(site, tmp_path, "db1", Places(str(tmp_path / "nodes" / "db1")))
    _, _, command = rendered(tmp_path, "node-exporter").partition("ExecStart=")
    _, *words = shlex.split(command.splitlines()[0])
    asking, other = tmp_path / "app1.pem", tmp_path / "other.pem"
    asking.write_text(certificates.ensure(site, tmp_path / "certificates", "app1").certificate)
    other.write_text(certificates.ensure(site, tmp_path / "other", "app1").certificate)

    async def asked(certificate: Path | None) -> str:
        context = ssl.create_default_context(cafile=str(own / "authority.pem"))
        if certificate is not None:
            context.load_cert_chain(certificate)
        async with httpx.AsyncClient(verify=context, timeout=10) as client:
            return (await client.get(f"https://{ADDRESS}:9100/metrics")).text

    server = subprocess.Popen(
        [tool("node-exporter"), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert "node_filesystem_avail_bytes" in await eventually(lambda: asked(asking))
        for certificate in (None, other):
            with pytest.raises((httpx.HTTPError, ssl.SSLError)):
                await asked(certificate)
    finally:
        server.terminate()
        server.wait(20)
