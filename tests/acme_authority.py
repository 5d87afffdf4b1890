"""Let's Encrypt's own ACME server for tests, Pebble, with a DNS server that tests write to."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.certificates import self_signed
from tests.conftest import free_ports
from tests.debian_programs import unpacked

NAME = "chat.example.edu"
DNS_HOOK = """\
#!/usr/bin/env python3
import json, sys, urllib.request
word, name, value = sys.argv[1:]
body = {{"host": name}} | ({{"value": value}} if word == "present" else {{}})
path = "set-txt" if word == "present" else "clear-txt"
urllib.request.urlopen("http://127.0.0.1:{port}/" + path, json.dumps(body).encode()).read()
with open({log!r}, "a") as log:
    print(word, name, file=log)
"""


@dataclass
class Authority:
    """A running ACME server.

    Args:
        directory: its URL.
        root: the file of the root of its own HTTPS.
        folder: its own, for what belongs to it.
        dns_port: where its DNS server takes records, by HTTP.
    """

    directory: str
    root: Path
    folder: Path
    dns_port: int

    def dns_hook(self) -> Path:
        """A hook that publishes records there, and writes down what it was asked for."""
        path = self.folder / "hook"
        path.write_text(DNS_HOOK.format(port=self.dns_port, log=str(self.folder / "hook.log")))
        path.chmod(0o755)
        return path


@contextmanager
def running(
    folder: Path,
    http_port: int,
    *,
    days: float = 90,
    keys: Mapping[str, str] | None = None,
    of: Authority | None = None,
) -> Iterator[Authority]:
    """Run an authority whose DNS says that every name is this machine.

    Args:
        folder: where its files are put.
        http_port: what it takes for port 80.
        days: for how long its certificates are good.
        keys: the external accounts' MAC keys by their IDs; with any, an account needs one.
        of: another one, whose root vouches for this one's HTTPS too.
    """
    package = unpacked("pebble", "pebble", "usr/bin/pebble")
    port, management, dns, dns_port = free_ports(4)
    folder.mkdir(exist_ok=True)
    root = of.root if of else self_signed(folder / "tls.pem", days=30)[0]
    config = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(root),
        "privateKey": str(root.with_suffix(".key")),
        "httpPort": http_port,
        "tlsPort": 1,
        "certificateValidityPeriod": int(days * 86_400),
        "externalAccountBindingRequired": bool(keys),
        "externalAccountMACKeys": keys or {},
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    # It would refuse good nonces by chance, and a client asks again only once.
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    commands = [
        [
            str(package.path.with_name("pebble-challtestsrv")),
            *("-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{dns_port}"),
            *("-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""),
        ],
        [
            str(package.path),
            *("-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"),
        ],
    ]
    started: list[subprocess.Popen[bytes]] = []
    with (folder / "log").open("wb") as log:
        try:
            started += [
                subprocess.Popen(command, stdout=log, stderr=log, env=environment)
                for command in commands
            ]
            url = f"https://localhost:{port}/dir"
            _wait_for(url, root)
            yield Authority(url, root, folder, dns_port)
        finally:
            for one in started:
                one.terminate()
            for one in started:
                one.wait(timeout=10)


def _wait_for(url: str, root: Path) -> None:

    trusting = ssl.create_default_context(cafile=root)
    ends = time.monotonic() + 20
    while True:
        with suppress(httpx.HTTPError):
            httpx.get(url, verify=trusting).raise_for_status()
            return
        assert time.monotonic() < ends, "Pebble does not answer"
        time.sleep(0.05)
