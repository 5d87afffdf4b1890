"""What browsers get of others' is committed, unchanged, with its licence."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from flit_core.wheel import WheelBuilder

from chitlaq.web import vendor
from chitlaq.web.vendor import PACKAGES, Package

ROOT = Path(__file__).parents[2]
FAKE_NPM = """#!/bin/sh
cp "$(dirname "$0")/packed.tgz" "$4/fake-1.0.0.tgz"
"""


@pytest.mark.parametrize("folder", sorted({package.folder for package in PACKAGES}))
def test_vendored_files_are_those_of_the_manifest(folder: str) -> None:
    packages = [package for package in PACKAGES if package.folder == folder]
    listed = vendor.manifest(ROOT / folder)
    assert {name: (one.version, one.licence, set(one.files)) for name, one in listed.items()} == {
        one.name: (one.version, one.licence, one.names) for one in packages
    }, "run `make vendor`"
    sums = {name: one for package in listed.values() for name, one in package.files.items()}
    present = {path.name: path for path in (ROOT / folder).iterdir()}
    assert set(present) == {*sums, vendor.MANIFEST}
    for name, expected in sums.items():
        content = present[name].read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected, f"{name} was changed by hand"
        assert b"sourceMappingURL" not in content


@pytest.mark.parametrize("package", PACKAGES, ids=lambda one: one.name)
def test_vendored_package_has_its_licence(package: Package) -> None:
    licences = [name for name in package.files.values() if "LICENSE" in name]
    texts = [(ROOT / package.folder / name).read_text() for name in licences]
    named = {
        "MIT": "Permission is hereby granted", "MPL-2.0": "Mozilla Public License",
        "Apache-2.0": "Apache License", "ISC": "ISC License",
    }  # fmt: skip
    assert any(named[package.licence] in text for text in texts)


def test_wheel_has_what_browsers_get() -> None:
    wheel = io.BytesIO()
    WheelBuilder.from_ini_path(ROOT / "pyproject.toml", wheel).build()
    packed = set(zipfile.ZipFile(wheel).namelist())
    web = ROOT / "src" / "chitlaq" / "web"
    files = [one for one in web.rglob("*") if one.is_file() and one.suffix != ".pyc"]
    assert {f"chitlaq/web/{one.relative_to(web)}" for one in files} <= packed
    assert "chitlaq/web/console/static/vendor/uplot.js" in packed


def test_fetched_file_names_neighbours_by_address_and_no_source_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b'import{h}from"preact";\n//# sourceMappingURL=fake.js.map\n'
    with tarfile.open(tmp_path / "packed.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("package/dist/fake.js")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    (tmp_path / "npm").write_text(FAKE_NPM)
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    fake = Package("fake", "1.0.0", "MIT", "here", {"dist/fake.js": "fake.js"})
    monkeypatch.setattr(vendor, "PACKAGES", (fake,))
    vendor.fetch(tmp_path)
    assert (tmp_path / "here" / "fake.js").read_bytes() == b'import{h}from"./preact.js";\n'
    (file,) = vendor.manifest(tmp_path / "here")["fake"].files.items()
    assert file == ("fake.js", hashlib.sha256(b'import{h}from"./preact.js";\n').hexdigest())
