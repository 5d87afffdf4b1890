"""`chitlaq config check` names files that nothing could be started with, before anything is."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from chitlaq.cli.app import app
from chitlaq.core.installation.settings_review import Problem, reviewed
from chitlaq.stack import private_authority
from chitlaq.stack.private_authority import Pair

NOW = datetime.now(UTC)


class Files:
    """Certificates of an authority in a folder, and what a check says of settings that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = private_authority.founded("test", NOW, ["localhost"])
        self.write("authority.crt", private_authority.public(self.authority.certificate))
        for name in ("one", "two"):
            pair = self.issue(self.authority)
            self.write(f"{name}.crt", private_authority.public(pair.certificate))
            self.write(f"{name}.key", private(pair))
            self.write(f"{name}.pem", private(pair), private_authority.public(pair.certificate))

    @staticmethod
    def issue(authority: Pair) -> Pair:
        return private_authority.issued(authority, "test", ["localhost"], NOW, timedelta(days=9))

    def write(self, name: str, *parts: str) -> None:
        (self.folder / name).write_text("".join(parts))

    def check(self, section: str, **named: str) -> list[Problem]:
        lines = [
            f"{name} = {msgspec.json.encode(str(self.folder / file)).decode()}"
            for name, file in named.items()
        ]
        extra = 'host = "10.0.0.1"\n' if section == "site" else ""
        return reviewed(f"{extra}[{section}]\n" + "\n".join(lines), has_files=True)


def private(pair: Pair, password: bytes = b"") -> str:
    return pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


def test_files_that_belong_together_are_valid(files: Files) -> None:
    assert files.check("tls", certificate="one.crt", key="one.key") == []
    assert files.check("tls", certificate="one.pem", key="one.pem") == []
    assert files.check("site", authority="authority.crt", certificate="one.pem") == []


@pytest.mark.parametrize(
    ("named", "line", "setting", "said"),
    [
        ({"certificate": "none.crt", "key": "one.key"}, 2, "tls.certificate", "there is no file"),
        ({"certificate": "one.crt", "key": "none.key"}, 3, "tls.key", "there is no file"),
        ({"certificate": "one.crt", "key": "."}, 3, "tls.key", "is a folder"),
        ({"certificate": "one.key", "key": "one.key"}, 2, "tls.certificate", "no certificate"),
        ({"certificate": "one.crt", "key": "one.crt"}, 3, "tls.key", "no private key"),
        ({"certificate": "one.crt", "key": "secret.key"}, 3, "tls.key", "no private key"),
        ({"certificate": "one.crt", "key": "two.key"}, 3, "tls.key", "is not that of"),
    ],
)
def test_each_mistake_is_said_on_its_line(
    files: Files, named: dict[str, str], line: int, setting: str, said: str
) -> None:
    files.write("secret.key", private(files.issue(files.authority), b"hunter2"))
    (found,) = files.check("tls", **named)
    assert (found.line, found.setting) == (line, setting)
    assert said in found.what
    assert found.remedy


def test_certificate_of_another_site_is_named(files: Files) -> None:
    other = private_authority.founded("test", NOW, ["localhost"])
    files.write("other.crt", private_authority.public(other.certificate))
    (found,) = files.check("site", authority="other.crt", certificate="one.pem")
    assert (found.setting, "has not made" in found.what) == ("site.certificate", True)


def in_list(path: Path) -> str:
    return f'[monitoring]\ncertificates = ["{path}", "db.example.edu:5432"]\n'


@pytest.mark.parametrize(
    "text",
    [
        in_list,
        lambda path: f'[monitoring]\ntargets = "{path}"\n',
        lambda path: f'[acme]\nroot = "{path}"\n',
        lambda path: f'[acme]\ndns_hook = "{path}"\n',
        lambda path: f'[programs]\nnginx = "{path}"\n',
        lambda path: f'\ndatabase_url = "postgresql://a@b/c?sslrootcert={path}"\n',
        lambda path: f'\nredis_url = "rediss://b?ssl_ca_certs={path}"\n',
    ],
)
def test_file_of_any_setting_that_is_not_there_is_named(
    tmp_path: Path, text: Callable[[Path], str]
) -> None:
    (found,) = reviewed(text(tmp_path / "none"), has_files=True)
    assert (found.line, found.what) == (2, f"there is no file {tmp_path / 'none'}")


def test_hook_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\n")
    text = f'[acme]\ndns_hook = "{hook}"\n'
    (found,) = reviewed(text, has_files=True)
    assert found.remedy == f"make it a program: chmod a+x {hook}"
    hook.chmod(0o755)
    assert reviewed(text, has_files=True) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_file_that_may_not_be_read_is_named(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes((files.folder / "one.key").read_bytes())
    path.chmod(0)
    (found,) = files.check("tls", certificate="one.crt", key=str(path))
    assert "may not read" in found.what


def test_command_names_the_file_and_fails(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text('[tls]\ncertificate = "/none.crt"\nkey = "/none.key"\n')
    answer = CliRunner().invoke(
        app, ["config", "check", str(file)], env={"CHITLAQ_HOME": str(tmp_path)}
    )
    assert answer.exit_code == 1
    assert f"{file}:3: tls.key: there is no file /none.key" in answer.output
