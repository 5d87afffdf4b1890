"""What root types runs as the user that owns the home, so nothing of ours listens or writes as root.

A command that starts servers first hands a home that root owns to the service user. Every other command
acts as whoever owns the home, so it leaves no file there that the services cannot write. Both then start
over as that user: from here on, there is no root to give up.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import pwd
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from chitlaq import inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import reachable_code, users
from chitlaq.stack.supervisor import control

HELP = frozenset({"-h", "--help", "--version"})
STARTS_SERVERS = ("up", "supervise", "serve")
STARTS_CODE = (*STARTS_SERVERS, "upgrade")
"""What runs our code as it is now: `upgrade` has the supervisor of another version start it."""
STAYS_ROOT = (
    ("ops", "do", "updates"),
    ("config", "grafana"),
    ("config", "logrotate"),
    ("backup", "key"),
    ("install", "systemd"),
)
"""Commands for the machine outside the home: its packages, Grafana's files, a key to put away, a unit."""
FLAGS = frozenset({"--yes", "-y", "--"})
"""Options that may stand within these commands and take no value."""

OURS = frozenset(
    {
        "chitlaq.toml",
        "oncall.toml",
        "logs",
        "packages",
        "postgres",
        "redis",
        "nginx",
        "media",
        "uploads",
        "run",
        "secrets",
    }
    | {"backup", "backups", "ops"}
)
"""What a home has some of before it is started as root for the first time. Each alone is common: `/var`
has `run` and `backups`. So a folder is ours if it has nothing else, or has a whole sign."""
OUR_SIGN = frozenset({"run", "secrets", "logs"})
OUR_BACKUPS = frozenset({"physical", "records", "wals", "configuration"})
BACKUP_SIGN = frozenset({"physical", "records"})
OUR_PICTURES = frozenset({"pictures", "originals"})
NOBODYS = frozenset({"lost+found"})
"""What a file system of its own has from the start."""
MAX_HANDED_BYTES = 16_000_000
UNPRIVILEGED_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

CAP_NET_BIND_SERVICE = 10
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4
AT_EMPTY_PATH = 0x1000

AGAIN = (
    "import runpy, sys; sys.argv[0] = 'chitlaq'; runpy.run_module('chitlaq', run_name='__main__')"
)
"""As the script of the package: messages say `chitlaq`."""
_CLEAR = (PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
KEEP_RIGHTS = f"import ctypes; ctypes.CDLL(None).prctl(*map(ctypes.c_ulong, {_CLEAR})); "
"""What a command starts gets no right of it: the supervisor, which has none, could not see its mark."""

_libc = ctypes.CDLL(None, use_errno=True)


def leave_root(words: Sequence[str]) -> None:
    """Start this command over as the user that owns the home; return if it stays root.

    Root keeps only a command that changes the machine outside the home, and those of a home that
    root owns and whose stack was never started: there, nobody else has files.

    Raises:
        OperatorError: that user cannot be made, or cannot reach the home or our code.
    """
    if not words or _asks_for_help(words):
        return
    home = Home.from_environment()
    owner, starts = _owner(home), words[0] in STARTS_SERVERS
    if stays_root(words):
        if owner is not None:
            atexit.register(_hand_back, home, owner)
        return
    # Who lacks a right that a process has may not look at it: no mark is seen (ptrace(2)).
    keeps_low_ports = True
    if starts and not _is_running(home):
        settings = settings_loading.load(home)
        keeps_low_ports = needs_low_ports(settings)
        owner = owner or users.service_user()
        assert owner is not None
        _give(home, settings, owner)
    if owner is None:
        return
    given = [_handed_in(word, owner) for word in words]
    python, environment = reachable_code.launch(owner, is_refreshed=words[0] in STARTS_CODE)
    _become(owner, keeps_low_ports=keeps_low_ports)
    script = AGAIN if starts else KEEP_RIGHTS + AGAIN
    arguments = [python, "-P", "-c", script, *given]
    os.execve(python, arguments, environment_of(owner, home, os.environ) | environment)  # noqa: S606


def needs_low_ports(settings: Settings) -> bool:
    """Whether one of our servers listens on a port for which this machine asks for a right."""
    ports = [
        settings.value_of(f"ports.{port.setting}")
        for port in inventory.PORTS
        if settings.embeds(port.component.name)
    ]
    return bool(min(ports) < _first_unprivileged_port())


def stays_root(words: Sequence[str]) -> bool:
    """Whether a command's own words, not those of its options, name one that stays root."""
    named, rest = [], iter(words)
    for word in rest:
        if not word.startswith("-"):
            named.append(word)
        elif "=" not in word and word not in FLAGS:
            next(rest, None)
    return any(tuple(named[: len(command)]) == command for command in STAYS_ROOT)


def _asks_for_help(words: Sequence[str]) -> bool:
    """Whether a command only explains itself; what `chitlaq exec` runs has options of its own."""
    return not HELP.isdisjoint(words[:2] if words[0] == "exec" else words)


def hand_over(folder: int, owner: pwd.struct_passwd) -> None:
    """Give a user what root owns of an open folder and its content.

    Symbolic links are not followed, nor is another file system entered. The user may exchange anything
    meanwhile: what was looked at is what is given.
    """
    device = os.fstat(folder).st_dev
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    for _, folders, files, parent in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
                try:
                    now = os.fstat(place)
                    # Of a file with a second name, anybody may have made this one.
                    is_alone = now.st_nlink == 1 or stat.S_ISDIR(now.st_mode)
                    if now.st_uid == 0 and is_alone and now.st_dev == device:
                        _chown(place, owner)
                finally:
                    os.close(place)
        folders[:] = [name for name in folders if _device(name, parent) == device]


def _hand_back(home: Home, owner: pwd.struct_passwd) -> None:
    """Give the owner of the home what a command that stayed root has written there."""
    with _opened(home.root) as folder:
        if os.fstat(folder).st_uid == owner.pw_uid:
            hand_over(folder, owner)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)


def _chown(place: int, owner: pwd.struct_passwd) -> None:
    """Give away what a descriptor stands for, whatever bears its name now."""
    if _libc.fchownat(place, b"", owner.pw_uid, owner.pw_gid, AT_EMPTY_PATH) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _device(name: str, parent: int) -> int | None:
    with suppress(FileNotFoundError):
        return os.stat(name, dir_fd=parent, follow_symlinks=False).st_dev
    return None


def _is_running(home: Home) -> bool:
    try:
        control.Connection(home).close()
    except control.NotRunningError:
        return False
    return True


def _owner(home: Home) -> pwd.struct_passwd | None:
    """The user that owns the home; None if that is root, or there is no home yet."""
    try:
        number = home.root.stat().st_uid
        return pwd.getpwuid(number) if number else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except KeyError:
        raise OperatorError(
            f"{home.root} belongs to the user {number}, which this machine does not know:"
            f" give it to one that it knows with `chown -R NAME {home.root}`."
        ) from None


def _give(home: Home, settings: Settings, owner: pwd.struct_passwd) -> None:
    """Give a user the home, and the folders that backups are written to.

    Once the home is the user's, so are the settings in it: what they name is not made or given by root,
    or whoever takes over a service could have any folder.
    """
    is_roots = _owner(home) is None
    _give_folder(home.root, owner, OURS, OUR_SIGN, "CHITLAQ_HOME")
    named = {"backups.folder": (settings.backup_folder(home), OUR_BACKUPS, BACKUP_SIGN)}
    copies = settings.backups.copy_to
    if copies and "://" not in copies:
        named["backups.copy_to"] = (Path(copies).expanduser(), OUR_BACKUPS, BACKUP_SIGN)
    if (pictures := settings.media_folder(home)) is not None:
        named["media.url"] = (pictures, OUR_PICTURES, OUR_PICTURES)
    for setting, (folder, ours, sign) in named.items():
        if folder.resolve().is_relative_to(home.root.resolve()):
            continue
        if is_roots:
            _give_folder(folder, owner, ours, sign, setting)
        elif not (folder.is_dir() and users.can_write(folder, owner)):
            place = shlex.quote(str(folder))
            raise OperatorError(
                f"The user {owner.pw_name}, under which ChitLaq runs, cannot write to {folder}, which"
                f" the setting {setting} names: `mkdir -p {place}`, then `chown {owner.pw_name} {place}`."
            )


def _give_folder(
    folder: Path,
    owner: pwd.struct_passwd,
    ours: frozenset[str],
    sign: frozenset[str],
    setting: str,
) -> None:
    """Create a folder, or take it over from root if it is ours.

    Raises:
        OperatorError: it holds other things too, or cannot be reached or changed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _opened(folder) as opened:
            now, names = os.fstat(opened), {one.name for one in os.scandir(opened)}
            others = {name for name in names - NOBODYS if not _is_ours(name, ours)}
            is_shared = bool(now.st_mode & stat.S_ISVTX) or (others and not sign <= names)
            if now.st_uid == 0 and is_shared:
                raise OperatorError(
                    f"{setting} is {folder}, which belongs to root and holds other things: name a"
                    f" folder of its own, or give it away with `chown {owner.pw_name} {folder}`."
                )
            if now.st_uid in {0, owner.pw_uid}:
                hand_over(opened, owner)
    except OSError as error:
        raise OperatorError(
            f"{folder} cannot be written or given to the user {owner.pw_name}, under which ChitLaq"
            f" runs ({error.strerror}): set {setting} to another folder, or start ChitLaq as its owner."
        ) from None
    if not users.can_reach(folder / "any", owner):
        raise OperatorError(
            f"The user {owner.pw_name}, under which ChitLaq runs, cannot enter {folder}: allow it"
            f" with `chmod a+x` on each folder above, or name another ({setting})."
        )


def _is_ours(name: str, ours: frozenset[str]) -> bool:
    return name in ours or name.startswith("chitlaq_")


def _handed_in(word: str, owner: pwd.struct_passwd) -> str:
    """An argument; a file that only root may read becomes a copy in memory, which the user may read."""
    option, is_option, name = word.partition("=") if word.startswith("--") else ("", "", word)
    file = Path(name)
    try:
        if not file.is_file() or (users.can_reach(file, owner) and users.can_read(file, owner)):
            return word
        if file.stat().st_size > MAX_HANDED_BYTES:
            return word  # the command says that it cannot be read
        copy = os.memfd_create(file.name)
        with file.open("rb") as source, open(copy, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target)
    except (OSError, ValueError):
        return word  # not a name of a file
    os.set_inheritable(copy, True)
    return f"{option}{is_option}/proc/self/fd/{copy}"


def _first_unprivileged_port() -> int:
    try:
        return int(UNPRIVILEGED_PORTS.read_text())
    except OSError:
        return 1024


def _become(owner: pwd.struct_passwd, *, keeps_low_ports: bool) -> None:
    """Become a user for good; the one right that may stay is to listen on ports such as 443.

    Raises:
        OperatorError: the kernel refuses.
    """
    try:
        os.initgroups(owner.pw_name, owner.pw_gid)
        os.setgid(owner.pw_gid)
        if keeps_low_ports:
            _prctl(PR_SET_KEEPCAPS, 1)
        os.setuid(owner.pw_uid)
        if keeps_low_ports:
            _keep_only(CAP_NET_BIND_SERVICE)
    except OSError as error:
        raise OperatorError(
            f"ChitLaq runs as the user {owner.pw_name}, and root cannot become that user here"
            f" ({error.strerror}): start it as that user."
        ) from None


def _keep_only(capability: int) -> None:
    """Keep one capability, also over the start of other programs (capabilities(7), ambient set)."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << capability
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if _libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *values) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def environment_of(
    owner: pwd.struct_passwd, home: Home, environment: Mapping[str, str]
) -> dict[str, str]:
    """Root's environment for another user: without what names root's own folders."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("XDG_")
        and not (name in {"TMPDIR", "TEMP", "TMP"} and not os.access(value, os.W_OK))
    }
    # psql and others keep their histories and settings there.
    place = owner.pw_dir if Path(owner.pw_dir).is_dir() else str(home.root)
    return {
        # Who typed it, for the record of actions.
        "SUDO_USER": "root",
        **kept,
        "CHITLAQ_HOME": str(home.root),
        "HOME": place,
        "USER": owner.pw_name,
        "LOGNAME": owner.pw_name,
    }
