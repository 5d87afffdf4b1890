"""Settings never print secrets, and no log contains one, whatever the exception says."""

from __future__ import annotations

import base64
import copy
import os
import pickle
import pprint
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chitlaq import inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_faults, settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import Secret, SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.logs.rotation import LogFile
from chitlaq.stack.supervisor.supervisor import TEND_SECONDS
from tests.conftest import Stack, eventually

MARK = "planted-s3cr3t"


def planted() -> dict[str, str]:
    """A secret for every setting that holds one, as its variable in the environment."""
    found = {}
    for dotted, field in settings_loading.fields():
        if field.type is SecretUrl:
            scheme = settings_faults.URL_FIELDS[dotted][0]
            found[settings_loading.variable_of(dotted)] = f"{scheme}://u:{MARK}-{dotted}@h:1/x"
        elif field.type in (Secret, tuple[Secret, ...]):
            before = "https://h/" if dotted.endswith("_url") else ""
            found[settings_loading.variable_of(dotted)] = f"{before}{MARK}-{dotted}"
    assert len(found) >= 8
    return found


def fail_with(settings: Settings) -> None:
    smtp = settings.smtp
    raise ValueError(f"{settings} {smtp!r} {smtp.password} {settings.database_url}")


def test_settings_show_no_secret_in_any_form(tmp_path: Path) -> None:
    settings = settings_loading.load(Home(tmp_path), planted())
    assert MARK in settings.smtp.password.reveal()
    assert MARK in settings.operations.notify[0].reveal()
    texts: list[object] = [repr(settings), str(settings), pprint.pformat(settings), f"{settings!r}"]
    texts += [
        msgspec.json.encode(settings, enc_hook=str).decode(),
        msgspec.structs.asdict(settings),
    ]
    texts += [settings_loading.shown(settings.value_of(d)) for d, _ in settings_loading.fields()]
    try:
        fail_with(copy.deepcopy(settings))
    except ValueError as error:
        texts += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    for text in texts:
        assert MARK not in str(text)
    assert "postgres" in str(settings.database_url), "what is not secret in a URL is shown"
    for encode in (msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, pickle.dumps):
        with pytest.raises(TypeError) as refused:
            encode(settings)
        assert MARK not in str(refused.value)


OPEN = [
    (dotted, field.type)
    for dotted, field in settings_loading.fields()
    if field.type in (str, tuple[str, ...])
    and not dotted.startswith(("trusted_proxies", "limits.", "smtp.sender", "operations.report_to"))
]
"""Settings of free text, which are shown as they are."""


@pytest.mark.parametrize(("dotted", "kind"), OPEN, ids=[dotted for dotted, _ in OPEN])
@pytest.mark.parametrize(
    "url",
    [
        f"https://u:{MARK}@h/p",
        f"s3://{MARK}@bucket",
        f"https://h/?a=b&password={MARK}",
        f"https://u:{MARK}@[h",
    ],
)
def test_credentials_where_they_would_be_shown_are_refused(
    tmp_path: Path, dotted: str, kind: object, url: str
) -> None:
    variable = settings_loading.variable_of(dotted)
    several = f"https://h,{url}" if kind is not str else url
    with pytest.raises(OperatorError, match=rf"{dotted} .*{variable}") as refused:
        settings_loading.load(Home(tmp_path), {variable: several})
    assert MARK not in str(refused.value)


def test_secret_that_is_no_text_is_refused_without_it(tmp_path: Path) -> None:
    (tmp_path / "chitlaq.toml").write_text("[smtp]\npassword = 4711471147114711\n")
    with pytest.raises(Exception, match=r"smtp\.password") as refused:
        settings_loading.load(Home(tmp_path), {"X": "y"})
    assert "4711" not in str(refused.value)


PROCESS = """
import sys, logging, asyncio
from pathlib import Path
from chitlaq.core.http import server
from chitlaq.core.installation import settings_faults, settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import logs
home = Home.from_environment(); settings = settings_loading.load(home)
home.run.mkdir(parents=True, exist_ok=True)
server.prepare(sys.argv[1], settings, home)
said = [one.reveal() for one in (settings.smtp.password, settings.database_url, *settings.operations.notify)]
said += settings_loading.secrets_of(home, settings)
try:
    raise ConnectionError(said)
except ConnectionError as error:
    logs.get("test").error("failed", fault=error, detail=str(said))
    logging.getLogger("library").exception("in a library")
raise RuntimeError(said)
"""


@pytest.mark.parametrize("service", ["auth-service", "ops-service"])
def test_exceptions_of_a_process_show_no_secret(
    tmp_path_factory: pytest.TempPathFactory, service: str
) -> None:
    """Attacks the log with exceptions that say everything: logged, in a library, and uncaught."""
    assert service in inventory.COMPONENTS
    home = tmp_path_factory.mktemp("h")  # A home's path must be short.
    folder = home / "secrets"
    folder.mkdir(mode=0o700)
    (folder / "redis").write_text(f'{MARK}-file"\\ü%/\n')
    environment = {key: value for key, value in os.environ.items() if "CHITLAQ" not in key}
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, service],
        env=environment | planted() | {"CHITLAQ_HOME": str(home)},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert b"RuntimeError" in said
    assert said.count(b"********") > 5
    assert MARK.encode() not in said


async def test_no_secret_reaches_a_log_through_any_component(stack: Stack) -> None:
    """PostgreSQL repeats what it cannot read; the supervisor writes its log, as everybody's."""
    # A signing key that another test has made is new to the supervisor for some seconds.
    folder = stack.home / "secrets"
    await eventually(lambda: time.time() - folder.stat().st_mtime > 2 * TEND_SECONDS)
    for file in (stack.home / "secrets").iterdir():
        for line in file.read_text().splitlines():
            if line and not line.startswith("-----"):
                with pytest.raises(Exception, match="invalid input syntax"):
                    await stack.sql(f"SELECT '{line}'::integer -- planted")
    log = stack.home / "logs" / "postgres.log"
    await eventually(lambda: '"********"' in log.read_text())
    for file in (stack.home / "secrets").iterdir():
        for line in file.read_text().splitlines():
            assert line.startswith("-----") or not line or line not in log.read_text()


def test_log_that_others_could_read_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    for name in ("x.log", "x.log.1", "x.log.2.gz"):
        (tmp_path / name).write_text("old")
        (tmp_path / name).chmod(0o666)

    def modes() -> set[str]:
        return {oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}

    log = LogFile(path, max_bytes=10, keep_files=3)
    assert modes() == {"0o640"}
    for _ in range(4):
        log.write(b"0123456789\n")
    log.close()
    assert modes() == {"0o640"}, "those that came since"


PUBLIC = {"packages", "nginx", "metrics"}
"""Folders of programs, configuration and figures."""


def is_private(home: Path, file: Path) -> bool:
    """Whether nobody but its owner and group can read a file: by its mode, or that of a folder above."""
    places = [
        file,
        *(folder for folder in file.parents if folder.is_relative_to(home) and folder != home),
    ]
    modes: list[Any] = [place.stat().st_mode for place in places]
    return not modes[0] & 0o027 or any(not mode & 0o007 for mode in modes[1:])


def test_file_with_private_contents_is_closed_to_others(stack: Stack) -> None:
    assert stack.command("rotate").returncode == 0
    open_ones = [
        str(file.relative_to(stack.home))
        for file in stack.home.rglob("*")
        if file.is_file() and not file.is_symlink() and file.stat().st_size
        and not PUBLIC.intersection(file.relative_to(stack.home).parts)
        and not is_private(stack.home, file)
    ]  # fmt: skip
    assert open_ones == []
    for file in (stack.home / "logs").iterdir():
        assert not file.stat().st_mode & 0o027, file


def test_hidden_secrets_are_found_in_each_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_hidden", ())
    logs.hide(['p"ä/\\s s', "short"])
    for text in (
        b'p"\xc3\xa4/\\s s',
        b'p\\"\\u00e4/\\\\s s',
        b'p\\"\xc3\xa4/\\\\s s',
        b"p%22%C3%A4%2F%5Cs%20s",
    ):
        assert logs.redacted(b"<" + text + b">") == b"<********>"
    for user in ("", "a", "ab", "mailer@example.edu"):
        # As SMTP's AUTH PLAIN and HTTP's Basic send it: servers repeat it in what they refuse.
        for private in (f'\0{user}\0p"ä/\\s s', f'{user}:p"ä/\\s s:after'):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                assert b"********" in logs.redacted(encode(private.encode())), private
    assert logs.redacted(b"short") == b"short"


def test_channels_of_the_roster_are_hidden_in_logs_even_if_it_is_not_valid(tmp_path: Path) -> None:
    (tmp_path / "oncall.toml").write_text(
        f'[people.ada]\nchanels = 1\nchannels = [{{ url = "slack://hooks.example.edu/{MARK}/b?x={MARK}2" }}]'
    )
    secrets = settings_loading.secrets_of(Home(tmp_path), Settings())
    assert {MARK, f"{MARK}2"} <= set(secrets)
    assert "hooks.example.edu" not in secrets
