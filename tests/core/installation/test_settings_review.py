"""All mistakes of a file of settings are named at once, each with its line and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from chitlaq.cli.app import app
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_forms, settings_loading
from chitlaq.core.installation.secret_values import HIDDEN, Secret
from chitlaq.core.installation.settings_review import reviewed

MISTAKES = """\
hots = "0.0.0.0"
body_bytes = 5
[limits]
body_bites = 7
address_connections = "many"
[ports]
auth = 3003
edge = 99999
[tls]
certificate = "/etc/own.pem"
[checks]
load_per_core = [nan, 1]
[media]
url = "pictures"
[smtp]
sender = "nobody"
[operations]
heartbeat_url = "ftp://example.edu/hunter2"
"""
FOUND = {
    1: ("hots", "host"),
    2: ("body_bytes", "limits.body_bytes"),
    4: ("limits.body_bites", "limits.body_bytes"),
    5: ("limits.address_connections", "4000"),
    7: ("ports.auth", "port of its own"),
    8: ("ports.edge", "8080"),
    10: ("tls.certificate", "both"),
    12: ("checks.load_per_core", "write one"),
    14: ("media.url", "s3://"),
    16: ("smtp.sender", "name@example.edu"),
    18: ("operations.heartbeat_url", "percent-encode"),
}


def test_every_mistake_has_its_line_and_its_remedy() -> None:
    found = {one.line: one for one in reviewed(MISTAKES)}
    assert {line: one.setting for line, one in found.items()} == {
        line: setting for line, (setting, _) in FOUND.items()
    }
    for line, (_, remedy) in FOUND.items():
        assert remedy in found[line].remedy


@pytest.mark.parametrize(
    ("dotted", "field"),
    settings_loading.fields(),
    ids=[one for one, _ in settings_loading.fields()],
)
def test_wrong_type_of_any_setting_is_found_on_its_line(dotted: str, field: object) -> None:
    section, _, name = dotted.rpartition(".")
    table = f"[{section}]\n" if section else ""
    (found,) = reviewed(f"# a comment\n{table}{name} = [[{{}}]]\n")
    assert (found.line, found.setting) == (3 if section else 2, dotted)
    assert found.remedy


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = \n", 1),
        ("demo = true\n\n[limits\nx = 1\n", 3),
        ("demo = '''\n\n", 3),
        ("a = 1\na = 2", 2),
    ],
)
def test_what_is_no_toml_is_found_on_its_line(text: str, line: int) -> None:
    (found,) = reviewed(text)
    assert found.line == line, found


@pytest.mark.parametrize(
    "text",
    ["limits = { body_bites = 7 }\n", "limits.body_bites = 7\n", '["limits"]\n"body_bites" = 7\n'],
)
def test_mistake_is_found_however_the_file_is_written(text: str) -> None:
    (found,) = reviewed(text)
    assert found.setting == "limits.body_bites"
    assert found.line == text.count("\n")


NO_FORM = {
    # Anything may be a name, a password or a path; what is not there is said where it is used.
    *(
        "backups.folder",
        "backups.s3_access_key_id",
        "backups.s3_region",
        "checks.reachable",
        "demo",
    ),
    *("media.s3_access_key_id", "media.s3_region", "monitoring.certificates", "monitoring.targets"),
    *("monitoring.fail2ban_database", "programs.nginx", "programs.postgres", "programs.valkey"),
    *("acme.names", "acme.root", "acme.dns_hook", "acme.account_hmac_key", "smtp.password"),
    *("backups.copy_to", "backups.recipients", "statuspage.copy_to", "site.servers"),
    *("media.s3_secret_access_key", "backups.s3_secret_access_key", "operations.notify"),
}


@pytest.mark.parametrize("dotted", [dotted for dotted, _ in settings_loading.fields()])
def test_text_in_no_form_is_found_on_its_line_unless_it_has_none(dotted: str) -> None:
    field = dict(settings_loading.fields())[dotted]
    if "str" not in str(field.type) and "Secret" not in str(field.type):
        return
    section, _, name = dotted.rpartition(".")
    bad = "not § valid; {}"
    written = msgspec.json.encode([bad] if "tuple" in str(field.type) else bad).decode()
    found = reviewed(f"[{section}]\n{name} = {written}" if section else f"\n{name} = {written}")
    # Or it is one that does not go together with the defaults.
    assert bool(found) == (dotted not in NO_FORM)
    assert all(one.line == 2 for one in found if one.setting == dotted)


@pytest.mark.parametrize(
    ("dotted", "valid", "invalid"),
    [
        (
            "public_url",
            "https://a.example.edu/ http://10.0.0.1:8080",
            "a.example.edu http://a/b http://",
        ),
        ("cors.allowed_origins", "https://a.example.edu", "https://a.example.edu/ *"),
        ("host", "0.0.0.0 :: db.example.edu", "999.1.1.1 a:80"),
        ("operations.timezone", "Europe/Vienna UTC", "Mars/Olympus Europe ../etc/passwd"),
        (
            "operations.monthly",
            "1_10:30 28_23:59 sun_00:00",
            "29_10:30 24:00 9:00 son_10:00 0_10:00",
        ),
        ("backups.at", "02:30", "2:30 02:60"),
        ("backups.full", "sun", "SUN sunday so"),
        ("backups.s3_endpoint", "http://localhost:9000", "s3.example.edu"),
    ],
)
def test_form_is_that_which_works(dotted: str, valid: str, invalid: str) -> None:
    fits = settings_forms.FORMS[dotted].fits
    assert [one for one in valid.split() if not fits(one.replace("_", " "))] == []
    assert [one for one in invalid.split() if fits(one.replace("_", " "))] == []


def test_section_that_is_written_as_a_setting_is_said_to_be_one() -> None:
    ((line, setting, what, remedy),) = reviewed("ports = 7\n")
    assert (line, setting, what) == (1, "ports", "it is a section")
    assert remedy.startswith("write [ports]")


def test_defaults_are_valid() -> None:
    lines = []
    for dotted, field in settings_loading.fields():
        section, _, name = dotted.rpartition(".")
        value = "" if isinstance(field.default, Secret) else field.default
        prefix = f"{section}." if section else ""
        lines.append(f"{prefix}{name} = {msgspec.json.encode(value).decode()}")
    assert reviewed("\n".join(lines)) == []


def test_command_names_all_and_fails(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text(MISTAKES)
    environment = {"CHITLAQ_HOME": str(tmp_path)}
    answer = CliRunner().invoke(app, ["config", "check", str(file)], env=environment)
    assert answer.exit_code == 1
    assert len(answer.output.splitlines()) == len(FOUND)
    assert f"{file}:4: limits.body_bites: there is no such setting" in answer.output
    assert "hunter2" not in answer.output
    file.write_text("[limits]\nbody_bytes = 7\n")
    answer = CliRunner().invoke(app, ["config", "check", str(file)], env=environment)
    assert (answer.exit_code, answer.output) == (0, f"{file} is valid.\n")


@pytest.mark.parametrize("command", ["check", "diff"])
@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda file: None, "There is no file"),
        (lambda file: file.mkdir(), "Is a directory"),
        (lambda file: file.symlink_to(file), "cannot be read by this user: Too many levels"),
        (os.mkfifo, "it is no regular file"),
        (lambda file: file.write_text("\n[limits]\n", encoding="utf-16"), "line 1 is not UTF-8"),
        (lambda file: file.write_bytes(b"#\n# caf\xe9\n"), "line 2 is not UTF-8"),
        (lambda file: file.write_text("#" * 2_000_000), "larger than 1 MB"),
    ],
)
def test_file_that_cannot_be_read_is_said_with_the_reason(
    tmp_path: Path, command: str, made: Callable[[Path], object], said: str
) -> None:
    file = tmp_path / "new.toml"
    made(file)
    answer = CliRunner().invoke(
        app, ["config", command, str(file)], env={"CHITLAQ_HOME": str(tmp_path)}
    )
    assert isinstance(answer.exception, OperatorError)
    assert said in str(answer.exception)
    assert "Errno" not in str(answer.exception)


def test_file_of_an_editor_that_marks_utf_8_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text("host = '127.0.0.1'\n", encoding="utf-8-sig")
    answer = CliRunner().invoke(
        app, ["config", "check", str(file)], env={"CHITLAQ_HOME": str(tmp_path)}
    )
    assert (answer.exit_code, answer.output) == (0, f"{file} is valid.\n")


def test_difference_without_a_stack_is_from_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text('[limits]\nbody_bytes = 7\n[smtp]\npassword = "hunter2"\n')
    answer = CliRunner().invoke(
        app, ["config", "diff", str(file), "--json"], env={"CHITLAQ_HOME": str(tmp_path)}
    )
    assert answer.exit_code == 0, answer.output
    rows = {row["setting"]: row for row in msgspec.json.decode(answer.stdout)}
    assert rows["limits.body_bytes"]["file"] == "7"
    assert rows["limits.body_bytes"]["default"] == "1048576"
    assert rows["smtp.password"]["file"] == HIDDEN
    assert "hunter2" not in answer.output
