"""``chitlaq WORDS`` as a process of its own, forked from one that has everything loaded.

Most of what a command costs is loading modules, and the tests run a thousand of them. A forked process
has its own memory, environment, streams and exit code, as any other; only the start of Python and the
imports are shared. All workers of a run ask the same process, which ends with the run.
"""

from __future__ import annotations

import fcntl
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
from functools import cache
from pathlib import Path

from chitlaq.core.host import programs
from chitlaq.core.installation.home import Home
from chitlaq.stack.install import privileges, reachable_code

USED = ("cli", "backups", "logs", "monitoring", "ops")
STAYS = {"serve", "up"}
"""What stays for as long as the stack runs starts as it does for an operator."""

_lock = threading.Lock()
_connections: dict[int, socket.socket] = {}
"""To the process of each user that commands run as."""
_started: list[subprocess.Popen[bytes]] = []


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
    streams = [os.memfd_create(name) for name in ("order", "stdin", "stdout", "stderr")]
    status, theirs = os.pipe()
    try:
        order = {"words": list(words), "environment": dict(environment), "killed_at": killed_at}
        os.pwrite(streams[0], json.dumps(order).encode(), 0)
        os.pwrite(streams[1], input.encode(), 0)
        with _lock:
            socket.send_fds(_opened(owner), [b"!"], [*streams, theirs])
        os.close(theirs)
        pid = struct.unpack("!q", os.read(status, 8))[0]
        if not select.select([status], [], [], timeout)[0]:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(command, timeout)
        code = struct.unpack("!q", os.read(status, 8))[0]
        out, err = map(_content, streams[2:])
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
    python, variables = _launch(owner)
    return python, privileges.environment_of(owner, home, environment) | variables


@cache
def _launch(owner: pwd.struct_passwd) -> tuple[str, dict[str, str]]:
    """As each start finds it: it looks at every folder of modules."""
    return reachable_code.launch(owner, is_refreshed=False)


def _opened(owner: pwd.struct_passwd | None) -> socket.socket:
    """This worker's connection to the process that forks a user's commands."""
    number = owner.pw_uid if owner else os.geteuid()
    if number not in _connections:
        address = Path(os.environ["TESTS_RUN_FOLDER"], f"commands-{number}")
        with address.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not address.exists():
                _start(owner, address)
        _connections[number] = socket.socket(socket.AF_UNIX)
        _connections[number].connect(str(address))
    return _connections[number]


def _start(owner: pwd.struct_passwd | None, address: Path) -> None:
    python, environment = sys.executable, dict(os.environ)
    if owner is not None:
        python, variables = _launch(owner)
        environment |= variables
    root = Path(__file__).parents[1]
    found = [str(root), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        listening.listen()
        process = programs.start(
            [python, "-m", "tests.commands", str(listening.fileno()), str(run)],
            output=1,
            errors=2,
            environment={**environment, "PYTHONPATH": os.pathsep.join(found)},
            folder=root,
            user=owner,
            # It ends with the run; the worker that asks first may end before.
            death_signal=None,
            keep_open=[listening.fileno()],
        )
    _started.append(process)


def _serve(listening: socket.socket, run: int) -> None:
    """Fork a process for each order, until the process of the run is gone."""
    for top in USED:
        package = importlib.import_module(f"chitlaq.{top}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    ended = os.pidfd_open(run)
    workers: set[socket.socket] = set()
    running = selectors.DefaultSelector()
    running.register(ended, selectors.EVENT_READ)
    running.register(listening, selectors.EVENT_READ)
    while True:
        for key, _ in running.select():
            if key.fileobj == ended:
                return
            if key.fileobj is listening:
                worker, _ = listening.accept()
                workers.add(worker)
                running.register(worker, selectors.EVENT_READ)
            elif key.fileobj in workers:
                worker = next(one for one in workers if one is key.fileobj)
                message, descriptors, _, _ = socket.recv_fds(worker, 1, 5)
                if not message:
                    running.unregister(worker)
                    workers.remove(worker)
                    worker.close()
                    continue
                order = json.loads(_content(descriptors[0]))
                pid = os.fork()
                if pid == 0:
                    running.close()
                    for one in (listening, *workers):
                        one.close()
                    if order["killed_at"]:
                        _die_at(*order["killed_at"])
                    _become(order["words"], order["environment"], descriptors)
                *files, status = descriptors
                for descriptor in files:
                    os.close(descriptor)
                os.write(status, struct.pack("!q", pid))
                running.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))
            else:
                pid, status = key.data
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                running.unregister(key.fileobj)
                os.close(key.fd)
                with suppress(BrokenPipeError):  # the killed command has no reader
                    os.write(status, struct.pack("!q", code))
                os.close(status)


def _content(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


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
        for target, source in enumerate(descriptors[1:4]):
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
    _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
