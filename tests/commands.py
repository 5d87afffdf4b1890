"""``chitlaq WORDS`` as a process of its own, forked from one that has everything loaded.

Most of what a command costs is loading modules, and the tests run a thousand of them. A forked process
has its own memory, environment, streams and exit code, as any other; only the start of Python and the
imports are shared.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import pwd
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from chitlaq.core.host import programs
from chitlaq.core.installation.home import Home
from chitlaq.stack.install import privileges, reachable_code

USED = ("cli", "backups", "logs", "monitoring", "ops")
STAYS = {"serve", "up"}
"""What stays for as long as the stack runs starts as it does for an operator."""

_lock = threading.Lock()
_servers: dict[int, tuple[subprocess.Popen[bytes], socket.socket]] = {}
"""One for each user that commands run as."""


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    input: str = "",  # noqa: A002 — as subprocess.run calls it
    timeout: float = 120,
    killed_at: tuple[str, str] | None = None,
    is_handed_over: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return its code and what it wrote.

    Args:
        is_handed_over: root has nothing left to do for a start: the home and our code are its owner's.
        killed_at: a system call such as ``os.rename`` and a part of a path: the command kills itself,
            and not its children, when it is about to call that.

    Raises:
        subprocess.TimeoutExpired: it was not done in time, and was killed.
    """
    command = [sys.executable, "-m", "chitlaq", *words]
    is_loaded = environment.get("PYTHONPATH") == os.environ.get("PYTHONPATH")
    if not is_loaded or (STAYS.intersection(words[:1]) and "--detach" not in words):
        return subprocess.run(
            command,
            env=environment,
            input=input,
            timeout=timeout,
            check=False,
            capture_output=True,
            text=True,
        )
    leaves_root_itself = words[:1] and words[0] in privileges.STARTS_SERVERS and not is_handed_over
    is_root = leaves_root_itself or privileges.stays_root(words)
    owner = None if is_root else owner_of_home(environment)
    _, environment = python_of(owner, environment)
    streams = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    status, theirs = os.pipe()
    try:
        os.pwrite(streams[0], input.encode(), 0)
        order = json.dumps(
            {"words": list(words), "environment": dict(environment), "killed_at": killed_at}
        ).encode()
        with _lock:
            server = _opened(owner)
            socket.send_fds(server, [struct.pack("!q", len(order))], [*streams, theirs])
            server.sendall(order)
        os.close(theirs)
        pid = struct.unpack("!q", os.read(status, 8))[0]
        if not select.select([status], [], [], timeout)[0]:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(command, timeout)
        code = struct.unpack("!q", os.read(status, 8))[0]
        out, err = (os.pread(stream, os.fstat(stream).st_size, 0) for stream in streams[1:])
        return subprocess.CompletedProcess(command, code, out.decode(), err.decode())
    finally:
        for descriptor in (*streams, status):
            os.close(descriptor)


def owner_of_home(environment: Mapping[str, str]) -> pwd.struct_passwd | None:
    """The user that a command of ours runs as if we are root."""
    try:
        number = Path(environment["CHITLAQ_HOME"]).stat().st_uid
    except (KeyError, FileNotFoundError, NotADirectoryError):
        return None
    return pwd.getpwuid(number) if os.geteuid() == 0 and number else None


def python_of(
    owner: pwd.struct_passwd | None, environment: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """The Python that a user can run, and the environment of a command of that user."""
    if owner is None:
        return sys.executable, dict(environment)
    home = Home(Path(environment["CHITLAQ_HOME"]))
    python, variables = reachable_code.launch(owner, is_refreshed=False)
    return python, privileges.environment_of(owner, home, environment) | variables


def _opened(owner: pwd.struct_passwd | None) -> socket.socket:
    number = owner.pw_uid if owner else os.geteuid()
    process, ours = _servers.get(number, (None, None))
    if ours is None or process is None or process.poll() is not None:
        ours, theirs = socket.socketpair()
        python, environment = sys.executable, dict(os.environ)
        if owner is not None:
            python, variables = reachable_code.launch(owner, is_refreshed=False)
            environment |= variables
        root = Path(__file__).parents[1]
        found = [str(root), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
        process = programs.start(
            [python, "-m", "tests.commands", str(theirs.fileno())],
            output=1,
            errors=2,
            environment={**environment, "PYTHONPATH": os.pathsep.join(found)},
            folder=root,
            user=owner,
            # It ends when we close the socket; the thread that asks first may end before.
            death_signal=None,
            keep_open=[theirs.fileno()],
        )
        theirs.close()
        _servers[number] = process, ours
    return ours


def _serve(orders: socket.socket) -> None:
    """Fork a process for each order, until whoever orders is gone."""
    for top in USED:
        package = importlib.import_module(f"chitlaq.{top}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    running = selectors.DefaultSelector()
    running.register(orders, selectors.EVENT_READ)
    while True:
        for key, _ in running.select():
            if key.fileobj is orders:
                header, descriptors, _, _ = socket.recv_fds(orders, 8, 4)
                if not header:
                    return
                order = json.loads(_exactly(orders, struct.unpack("!q", header)[0]))
                pid = os.fork()
                if pid == 0:
                    orders.close()
                    running.close()
                    if order["killed_at"]:
                        _die_at(*order["killed_at"])
                    _become(order["words"], order["environment"], descriptors)
                for descriptor in descriptors[:3]:
                    os.close(descriptor)
                os.write(descriptors[3], struct.pack("!q", pid))
                running.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, descriptors[3]))
            else:
                pid, status = key.data
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                running.unregister(key.fileobj)
                os.close(key.fd)
                with suppress(BrokenPipeError):  # the killed command has no reader
                    os.write(status, struct.pack("!q", code))
                os.close(status)


def _exactly(orders: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += orders.recv(size - len(received))
    return received


def _die_at(call: str, part: str) -> None:
    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == call and any(part in str(one) for one in arguments):
            os.kill(os.getpid(), signal.SIGKILL)

    # Python raises an audit event before each call that touches a file.
    sys.addaudithook(hear)


def _become(words: list[str], environment: dict[str, str], descriptors: list[int]) -> None:
    """Run the command and end as it ends."""
    code = 1
    try:
        for target, source in enumerate(descriptors[:3]):
            os.dup2(source, target)
        for descriptor in descriptors:
            os.close(descriptor)
        os.lseek(0, 0, os.SEEK_SET)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        sys.argv = ["chitlaq", *words]
        sys.modules["__main__"].__package__ = None  # so that the usage says chitlaq
        from chitlaq.__main__ import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
