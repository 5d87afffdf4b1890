"""The unit with which systemd runs the whole stack on one machine."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import chitlaq
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs, templates
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import privileges, users

UNIT = "chitlaq.service"
FOLDER = Path("/etc/systemd/system")
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
    """

    home: Path
    user: str
    needs_low_ports: bool


def of(home: Home, settings: Settings) -> Installation:
    """Return what the unit of a home is for. Its owner runs it; if root owns it, the service user."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        owner = home.root.stat().st_uid if home.root.exists() else 0
        user = pwd.getpwuid(owner).pw_name if owner else users.NAME
    return Installation(home.root, user, privileges.needs_low_ports(settings))


def unit(installation: Installation) -> str:
    """Return the unit."""
    home = installation.home
    is_in_a_home = any(home.is_relative_to(one) for one in ("/home", "/root", "/run/user"))
    return templates.rendered(
        "chitlaq.stack.install",
        "chitlaq.service.j2",
        unit=UNIT,
        watchdog=WATCHDOG_SECONDS,
        user=installation.user,
        home=str(home),
        python=sys.executable,
        capabilities=LOW_PORTS if installation.needs_low_ports else "",
        protect_home="no" if is_in_a_home else "yes",
        quoted=_quoted,
    )


def _quoted(text: str) -> str:
    """Return one word as systemd reads it (systemd.syntax(7)); a specifier begins with a percent sign."""
    for one, escaped in (("\\", r"\\"), ('"', r"\""), ("%", "%%")):
        text = text.replace(one, escaped)
    return f'"{text}"'


def write(installation: Installation, folder: Path = FOLDER) -> Path:
    """Make ready what the unit needs, write it, and have systemd check it where it is installed.

    Raises:
        OperatorError: its user cannot read our code or write in the home, the unit cannot be written, or
            systemd does not accept it: then what was there before stays.
    """
    _make_ready(installation)
    path = folder / UNIT
    fresh = folder / f".{UNIT}.new" / UNIT
    try:
        fresh.parent.mkdir(exist_ok=True)
        fresh.write_text(unit(installation))
        _verify(fresh)
        fresh.replace(path)
    except OSError as error:
        raise OperatorError(f"Cannot write {path}: {error.strerror}. Root may.") from None
    finally:
        shutil.rmtree(fresh.parent, ignore_errors=True)
    return path


def _make_ready(installation: Installation) -> None:
    """Give the user a home, if there is none."""
    home, user = installation.home, users.service_user()
    if user is None or user.pw_name != installation.user:
        user = pwd.getpwnam(installation.user)
    code = Path(chitlaq.__file__).parent
    if not (users.can_reach(Path(sys.executable), user) and users.can_reach(code, user)):
        raise OperatorError(
            f"{user.pw_name} cannot read {code}, where ChitLaq is installed: install it where everybody may"
            " read it, such as /opt/chitlaq, and write the unit from there."
        )
    if not home.exists():
        home.mkdir(mode=0o750, parents=True)
        os.chown(home, user.pw_uid, user.pw_gid)
    if not users.can_write(home, user):
        raise OperatorError(
            f"{user.pw_name} cannot write in {home}: start ChitLaq there once as root, with `chitlaq up"
            " --detach` and `chitlaq down`, which gives the folder to that user."
        )


def _verify(path: Path) -> None:
    program = programs.find("systemd-analyze")
    if program is None:
        return
    checked = programs.run([program, "verify", str(path)], timeout_seconds=VERIFY_SECONDS)
    if checked.code != 0:
        raise OperatorError(f"systemd does not accept the unit: {checked.reason}.")
