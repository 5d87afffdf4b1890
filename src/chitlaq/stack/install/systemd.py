"""The unit with which systemd runs the whole stack on one machine."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import chitlaq
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs, quoting, templates
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack import commands
from chitlaq.stack.install import privileges, users

FOLDER, UNIT = commands.UNIT.parent, commands.UNIT.name
VERIFY_SECONDS = 30.0

WATCHDOG_SECONDS = 30.0
LOW_PORTS = "CAP_NET_BIND_SERVICE"


@dataclass(frozen=True, slots=True)
class Installation:
    """What the unit is for.

    Args:
        home: the installation's folder.
        user: who runs it.
        needs_low_ports: whether a port below 1024 is among the settings.
        folders: the folders outside the home in which it writes.
    """

    home: Path
    user: str
    needs_low_ports: bool
    folders: tuple[Path, ...] = ()


def of(home: Home, settings: Settings) -> Installation:
    """Return what the unit of a home is for. Its owner runs it; if root owns it, the service user.

    Raises:
        OperatorError: the one who would run it has no name here.
    """
    user, owner = users.NAME, os.geteuid()
    if owner == 0 and home.root.exists():
        owner = home.root.stat().st_uid
    if os.geteuid() != 0 or owner != 0:
        try:
            user = pwd.getpwuid(owner).pw_name
        except KeyError:
            raise OperatorError(
                f"Nobody here has the user id {owner}, which {home.root} would run as: make that user, or"
                " give the folder to another."
            ) from None
    folders = tuple(settings.folders_elsewhere(home))
    return Installation(home.root, user, privileges.needs_low_ports(settings), folders)


def unit(installation: Installation) -> str:
    """Return the unit."""
    used = (installation.home, *installation.folders, Path(sys.executable), _code())
    is_in_a_home = any(
        path.is_relative_to(one) for path in used for one in ("/home", "/root", "/run/user")
    )
    return templates.rendered(
        "chitlaq.stack.install",
        "chitlaq.service.j2",
        unit=UNIT,
        watchdog=WATCHDOG_SECONDS,
        user=installation.user,
        home=str(installation.home),
        folders=installation.folders,
        python=sys.executable,
        capabilities=LOW_PORTS if installation.needs_low_ports else "",
        protect_home="no" if is_in_a_home else "yes",
        quoted=quoting.systemd,
        quoted_command=quoting.systemd_command,
    )


def write(installation: Installation, folder: Path = FOLDER) -> Path:
    """Make ready what the unit needs, write it, and have systemd check it where it is installed.

    Raises:
        OperatorError: its user cannot read our code or write in the home, the unit cannot be written, or
            systemd does not accept it: then what was there before stays.
    """
    path = folder / UNIT
    if not os.access(folder, os.W_OK):
        why = "only root may" if folder.is_dir() else "there is no such folder, so no systemd"
        raise OperatorError(
            f"Cannot write {path}: {why}. `chitlaq install systemd` prints the unit for another place."
        )
    _make_ready(installation)
    fresh = folder / f".{UNIT}.new" / UNIT
    try:
        fresh.parent.mkdir(exist_ok=True)
        fresh.write_text(unit(installation))
        _verify(fresh)
        fresh.replace(path)
    except OSError as error:
        raise OperatorError(f"Cannot write {path}: {error.strerror}.") from None
    finally:
        shutil.rmtree(fresh.parent, ignore_errors=True)
    return path


def _code() -> Path:
    return Path(chitlaq.__file__).parent


def _make_ready(installation: Installation) -> None:
    """Give the user a home, if there is none.

    Raises:
        OperatorError: there is no such user, it cannot read our code, or has no folder to write in.
    """
    user, code = _user(installation.user), _code()
    if not (users.can_reach(Path(sys.executable), user) and users.can_reach(code, user)):
        raise OperatorError(
            f"{user.pw_name} cannot read {code}, where ChitLaq is installed: install it where everybody may"
            " read it, such as /opt/chitlaq, and write the unit from there."
        )
    home = installation.home
    if not home.exists():
        try:
            home.mkdir(mode=0o750, parents=True)
            os.chown(home, user.pw_uid, user.pw_gid)
        except OSError as error:
            raise OperatorError(f"Cannot make {home}: {error.strerror}.") from None
    if not users.can_write(home, user):
        raise OperatorError(
            f"{user.pw_name} cannot write in {home}: start ChitLaq there once as root, with `chitlaq up"
            " --detach` and `chitlaq down`, which gives the folder to that user."
        )
    for folder in installation.folders:
        if not (folder.is_dir() and users.can_write(folder, user)):
            raise OperatorError(
                f"{user.pw_name} cannot write in {folder}, which the settings name:"
                f" `install -d -o {user.pw_name} -m 750 {shlex.quote(str(folder))}` makes it that user's."
            )


def _user(name: str) -> pwd.struct_passwd:
    service = users.service_user() if name == users.NAME else None
    if service is not None and service.pw_name == name:
        return service
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise OperatorError(
            f"There is no user {name} here: make one with `useradd --system {name}`."
        ) from None


def _verify(path: Path) -> None:
    program = programs.find("systemd-analyze")
    if program is None:
        return
    checked = programs.run([program, "verify", str(path)], timeout_seconds=VERIFY_SECONDS)
    if checked.code != 0:
        raise OperatorError(f"systemd does not accept the unit: {checked.reason}.")
