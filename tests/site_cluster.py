"""A site of three machines: etcd, PostgreSQL under Patroni, and Valkey under Sentinel.

All of it runs from the files that ``chitlaq site render`` writes.
"""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from chitlaq.core.data import postgres_hosts, valkey
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import SUPERUSER, Secrets
from chitlaq.stack.install import reachable_code, users
from chitlaq.stack.site import certificates, engines, rendering
from chitlaq.stack.site.engines import Places
from chitlaq.stack.site.nodes import Node, Site, found
from chitlaq.stack.supervisor import control
from tests.conftest import Stack, eventually, remove_home, run_folder, start_stack
from tests.debian_programs import unpacked
from tests.postgres_with_tls import postgres_with_tls
from tests.site_network import Network
from tests.valkey_with_tls import valkey_with_tls

SERVERS = ("etcd", "postgres", "valkey", "sentinel")
EVERY = ("postgres", "etcd", "valkey", "sentinel")
HERE = "app"
DATABASES = ("db1", "db2")


class SiteCluster:
    """The machines; a test kills, freezes or cuts off any, or single servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._user = users.service_user()
        self.network = Network((HERE, *DATABASES), self._user)
        self.site = Site(
            public_url="https://social.example.edu",
            media_url="s3://chitlaq/media",
            postgres_programs=str(postgres_with_tls()),
            nodes={
                HERE: Node(
                    self.network.address(HERE), ("application", "operations", "etcd", "sentinel")
                ),
                **{name: Node(self.network.address(name), EVERY) for name in DATABASES},
            },
        )
        assert list(found(self.site)) == []
        self.secrets = Secrets(Home(folder).secrets)
        self._valkey = valkey_with_tls()
        self._processes: dict[tuple[str, str], subprocess.Popen[bytes]] = {}

    @property
    def database_url(self) -> str:
        return rendering.database_url(self.site, self.secrets, self._places(HERE))

    @property
    def redis_url(self) -> str:
        return rendering.redis_url(self.site, self.secrets, self._places(HERE))

    def url_of(self, node: str) -> str:
        """The URL of one machine's PostgreSQL, whatever it is at the moment."""
        address = self.site.nodes[node].address
        url = postgres_hosts.with_host(self.database_url, address, engines.POSTGRES)
        return url.replace("target_session_attrs=read-write", "target_session_attrs=any")

    def valkey_url_of(self, node: str, port: int = engines.VALKEY) -> str:
        """The URL of one machine's Valkey, or of its Sentinel."""
        places, address = self._places(HERE), self.site.nodes[node].address
        own = places.certificate("application")
        return (
            f"rediss://:{self.secrets.redis_password}@{address}:{port}"
            f"?ssl_ca_certs={places.authority}&ssl_certfile={own}"
        )

    @property
    def authority(self) -> str:
        """The file of the certificate of the site's authority."""
        return self._places(HERE).authority

    def tls(self) -> ssl.SSLContext:
        """As the application node asks the others."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self._places(HERE).certificate("application"))
        return context

    def data(self, node: str, server: str) -> Path:
        return self.folder / "data" / node / server

    def start(self) -> None:
        for name in self.site.nodes:
            rendering.render_node(self.site, self.folder, name, self._places(name))
            for server in SERVERS:
                self.data(name, server).mkdir(mode=0o700, parents=True)
            for server in ("valkey", "sentinel"):
                # As the units do it.
                file = self.folder / "nodes" / name / f"{server}.conf"
                if file.exists():
                    text = self._valkey.configuration(file.read_text())
                    (self.data(name, server) / file.name).write_text(text)
        if self._user is not None:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        for name, node in self.site.nodes.items():
            self.start_servers(name, *(server for server in SERVERS if server in node.roles))

    def _places(self, node: str) -> Places:
        return Places(str(self.folder / "nodes" / node), str(self.folder / "data" / node))

    def renew_certificate(self, node: str) -> None:
        """Give a machine another certificate, and tell those who do not look by themselves."""
        kept = Home(self.folder).certificates
        (kept / f"{node}.pem").unlink()
        made = certificates.ensure(self.site, kept, node)
        for name in {*engines.CERTIFICATES.values()}:
            path = self.folder / "nodes" / node / name
            if path.exists():
                path.write_text(made.certificate)
        self._processes[node, "postgres"].send_signal(signal.SIGHUP)

    def start_servers(self, node: str, *servers: str) -> None:
        for server in servers:
            words, environment = self._command(node, server)
            with (self.folder / f"{node}-{server}.log").open("ab") as log:
                self._processes[node, server] = subprocess.Popen(
                    self.network.at(node, words),
                    env=environment,
                    cwd=self.folder / "data" / node,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def _command(self, node: str, server: str) -> tuple[Sequence[str], Mapping[str, str]]:
        places = self._places(node)
        if server == "etcd":
            etcd = unpacked("etcd-server", "etcd", "usr/bin/etcd")
            words = [str(etcd.path), "--config-file", f"{places.configuration}/etcd.yml"]
            return words, etcd.environment
        if server == "postgres":
            python, more = sys.executable, dict[str, str]()
            if self._user is not None:
                python, more = reachable_code.launch(self._user, is_refreshed=True)
            words = [python, "-m", "patroni", f"{places.configuration}/patroni.yml"]
            # Else replication finds the machine's libpq, which may be older.
            library = Path(self.site.postgres_programs).parent / "lib"
            return words, {**os.environ, **more, "LD_LIBRARY_PATH": str(library)}
        words = [str(self._valkey.path), f"{places.data}/{server}/{server}.conf"]
        if server == "sentinel":
            words.append("--sentinel")
        return words, self._valkey.environment

    def signal(self, node: str, *servers: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to all processes of a machine's servers."""
        for server in servers:
            process = self._processes[node, server]
            if process.poll() is None:
                signal_family(psutil.Process(process.pid), number)
            if number == signal.SIGKILL:
                process.wait()
            if server == "postgres":
                with suppress(LookupError):
                    signal_family(self.postmaster(node), number)

    def signal_patroni(self, node: str, number: int) -> None:
        """Send a signal to Patroni alone: PostgreSQL goes on."""
        self._processes[node, "postgres"].send_signal(number)

    def log(self, node: str, server: str) -> str:
        return (self.folder / f"{node}-{server}.log").read_text()

    def postmaster(self, node: str) -> psutil.Process:
        """The first process of a machine's PostgreSQL.

        Raises:
            LookupError: it does not run.
        """
        file = self.data(node, "postgres") / "data" / "postmaster.pid"
        with suppress(OSError, psutil.NoSuchProcess):
            found = psutil.Process(int(file.read_text().split()[0]))
            if found.name().startswith("postgres"):
                return found
        raise LookupError(f"{node} has no PostgreSQL")

    async def views(self) -> list[dict[str, Any]]:
        """What each Patroni that answers says of each role."""
        found = []
        async with httpx.AsyncClient(timeout=2, verify=self.tls()) as client:
            for node in self.site.having("postgres").values():
                with suppress(httpx.HTTPError):
                    answer = await client.get(f"https://{node.address}:{engines.PATRONI}/cluster")
                    found.append({one["role"]: one for one in answer.json()["members"]})
        return found

    async def primary(self) -> str:
        """The name of the primary, once a synchronous standby follows it and all agree.

        A Patroni that was cut off tells for a moment what was so before.
        """

        async def followed() -> str:
            views = await self.views()
            leaders = {
                view["leader"]["name"]
                if "leader" in view and view.get("sync_standby", {}).get("state") == "streaming"
                else ""
                for view in views
            }
            return leaders.pop() if len(views) == len(DATABASES) and len(leaders) == 1 else ""

        return await eventually(followed, 90)

    async def leader(self) -> str:
        """The name of the primary as the first Patroni that answers says, whoever follows it."""

        async def leading() -> str:
            return next(
                (view["leader"]["name"] for view in await self.views() if "leader" in view), ""
            )

        return await eventually(leading)

    async def sql(self, statement: str, *args: object) -> list[Any]:
        """Ask the primary."""
        connection = await postgres_hosts.connect(self.database_url, timeout=10)
        try:
            return await connection.fetch(statement, *args)
        finally:
            await connection.close()

    async def valkey_primary(self) -> str:
        """The name of Valkey's primary, as a majority of the Sentinels tells it."""
        names = {node.address: name for name, node in self.site.nodes.items()}

        async def agreed() -> str:
            said: list[str] = []
            for node in self.site.having("sentinel"):
                client = Valkey(self.valkey_url_of(node, engines.SENTINEL))
                try:
                    found = await client.execute(
                        "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.site.name
                    )
                    said.append(names[found[0].decode()])
                except valkey.UNAVAILABLE:
                    continue
                finally:
                    await client.close()
            return next((one for one in said if said.count(one) > 1), "")

        return await eventually(agreed)

    async def valkey_takes_writes(self) -> bool:
        """Whether a service that asks the Sentinels can write."""
        client = Valkey(self.redis_url)
        try:
            return bool(await client.execute("SET", "site:written", "1") == b"OK")
        except valkey.UNAVAILABLE:
            return False
        finally:
            await client.close()

    async def valkey_at(self, node: str, *command: str) -> Any:
        """Send a command to one machine's Valkey."""
        client = Valkey(self.valkey_url_of(node))
        try:
            return await client.execute(*command)
        finally:
            await client.close()

    async def is_valkey_replica(self, node: str) -> bool:
        with suppress(*valkey.UNAVAILABLE):
            return b"master_link_status:up" in await self.valkey_at(node, "INFO", "replication")
        return False

    async def etcd_leader(self) -> str:
        """The name of the node whose etcd leads."""

        async def leading() -> str:
            async with httpx.AsyncClient(timeout=2, verify=self.tls()) as client:
                for name, node in self.site.having("etcd").items():
                    with suppress(httpx.HTTPError):
                        url = f"https://{node.address}:{engines.ETCD}/v3/maintenance/status"
                        status = (await client.post(url, json={})).json()
                        if status.get("leader") == status["header"]["member_id"]:
                            return name
            return ""

        return await eventually(leading)

    def stop(self) -> None:
        for node, server in self._processes:
            if server == "postgres":
                self._shut_down_postgres(node)
            self.signal(node, server)
        self.network.close()

    def _shut_down_postgres(self, node: str) -> None:
        """If it were killed, it would leave its shared memory behind."""
        self._processes[node, "postgres"].kill()
        with suppress(LookupError, psutil.Error):
            postmaster = self.postmaster(node)
            signal_family(postmaster, signal.SIGCONT)
            postmaster.send_signal(signal.SIGQUIT)
            postmaster.wait(10)


def signal_family(root: psutil.Process, number: int) -> None:
    """Send a signal to a process and its descendants; to the root first, so that it starts no other."""
    with suppress(psutil.NoSuchProcess):
        children = set(root.children(recursive=True))
        root.send_signal(number)
        for one in children | set(root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                one.send_signal(number)


@contextmanager
def site_cluster() -> Iterator[SiteCluster]:
    folder = Path(tempfile.mkdtemp(prefix="site-", dir=run_folder()))
    folder.chmod(0o755)
    cluster = SiteCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class SiteStack(Stack):
    """An application node: its database is the site's."""

    database_url: str = ""

    def dsn(self, role: str = SUPERUSER, database: str = "chitlaq") -> str:
        password = (self.home / "secrets" / f"postgres-{role}").read_text().strip()
        return f"postgresql://{role}:{password}@{self.database_url.rpartition('@')[2]}"

    async def sql(self, statement: str, *args: object, role: str = SUPERUSER) -> list[Any]:
        connection: asyncpg.Connection[asyncpg.Record]
        connection = await postgres_hosts.connect(self.dsn(role), timeout=10)
        try:
            return await connection.fetch(statement, *args)
        finally:
            await connection.close()

    def signal(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all processes of the machine."""
        supervisor = control.supervisor_pid(Home(self.home))
        assert supervisor is not None
        signal_family(psutil.Process(supervisor), number)


@contextmanager
def application(cluster: SiteCluster) -> Iterator[SiteStack]:
    """The services of an application node."""
    started = start_stack(
        DATABASE_URL=cluster.database_url,
        REDIS_URL=cluster.redis_url,
        CHITLAQ_PROGRAMS_POSTGRES=cluster.site.postgres_programs,
        CHITLAQ_READS_ON_STANDBYS_SECONDS=str(rendering.LATE_SECONDS),
        # All nodes take each other's access tokens.
        CHITLAQ_PUBLIC_URL=cluster.site.public_url,
    )
    stack = SiteStack(started.home, started.environment, started.ports, cluster.database_url)
    shutil.copytree(cluster.secrets.folder, stack.home / "secrets")
    try:
        stack.up()
        yield stack
    finally:
        stack.command("down")
        remove_home(stack.home)
