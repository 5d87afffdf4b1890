"""Packages over a link that breaks: complete downloads are kept for the next attempt."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chitlaq.core.errors import MissingProgramError
from chitlaq.stack.install import apt_unpack

CONTROL = """\
Package: {}
Version: {}
Architecture: all
Maintainer: nobody <nobody@example.edu>
Description: x
"""


class Mirror:
    """A package archive that breaks off in the middle of a chosen file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken = ""
        self.asked: list[tuple[str, str]] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def add(self, name: str, version: str, content: bytes) -> None:
        _, _, upstream = version.rpartition(":")
        root = self.folder / "making" / f"{name}_{upstream}"
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN" / "control").write_text(CONTROL.format(name, version))
        (root / "usr" / "share").mkdir(parents=True)
        (root / "usr" / "share" / name).write_bytes(content)
        file = self.folder / f"{name}_{upstream}_all.deb"
        command = ["dpkg-deb", "--build", "--root-owner-group", "-Znone", str(root), str(file)]
        subprocess.run(command, check=True, capture_output=True)
        entry = (
            CONTROL.format(name, version)
            + f"Filename: ./{file.name}\nSize: {file.stat().st_size}\n"
            f"SHA256: {hashlib.sha256(file.read_bytes()).hexdigest()}\n\n"
        )
        with (self.folder / "Packages").open("a") as index:
            index.write(entry)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        file = self.folder / request.path.lstrip("./")
        beginning = request.headers.get("Range", "")
        self.asked.append((file.name, beginning))
        if not file.is_file():
            request.send_error(404)
            return
        content = file.read_bytes()
        first = int(beginning.removeprefix("bytes=").rstrip("-") or 0)
        request.send_response(206 if first else 200)
        request.send_header("Content-Length", str(len(content) - first))
        if first:
            request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        is_broken = bool(self.broken) and file.name.startswith(self.broken)
        request.wfile.write(content[first : len(content) // 2 if is_broken else None])


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("there is no package client on this machine")
    (tmp_path / "mirror").mkdir()
    mirror = Mirror(tmp_path / "mirror")
    sources = tmp_path / "sources.list"
    sources.write_text(f"deb [trusted=yes] http://127.0.0.1:{mirror.server.server_port}/ ./\n")
    configuration = tmp_path / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::sourcelist "{sources}"; Dir::Etc::sourceparts "/dev/null";'
        ' Acquire::http::Proxy "DIRECT";'
    )
    monkeypatch.setenv("APT_CONFIG", str(configuration))
    monkeypatch.delenv("http_proxy", raising=False)
    thread = threading.Thread(target=mirror.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()
    thread.join()


@pytest.mark.parametrize("with_missing", [False, True])
def test_next_attempt_keeps_completed_downloads(
    mirror: Mirror, tmp_path: Path, with_missing: bool
) -> None:
    mirror.add("chitlaq-small", "1:1", b"small")
    mirror.add("chitlaq-large", "1", b"large" * 100_000)
    names = ["chitlaq-small", "chitlaq-large"]
    folder = tmp_path / "packages"
    mirror.broken = "chitlaq-large"
    with pytest.raises(MissingProgramError):
        apt_unpack.unpack(folder, names, with_missing=with_missing)
    assert not (folder / apt_unpack.FETCHED).exists()
    before = len(mirror.asked)
    mirror.broken = ""
    apt_unpack.unpack(folder, names, with_missing=with_missing)
    assert (folder / "usr" / "share" / "chitlaq-small").read_bytes() == b"small"
    assert (folder / "usr" / "share" / "chitlaq-large").read_bytes() == b"large" * 100_000
    asked = [one for one in mirror.asked[before:] if one[0].endswith(".deb")]
    assert {name for name, _ in asked} == {"chitlaq-large_1_all.deb"}
    if with_missing:  # `apt-get download` restarts an incomplete file.
        assert all(beginning.startswith("bytes=") for _, beginning in asked)
    assert not (folder / "apt").exists()


def test_partial_package_of_an_old_version_is_not_unpacked(mirror: Mirror, tmp_path: Path) -> None:
    mirror.add("chitlaq-large", "1", b"older" * 100_000)
    mirror.broken = "chitlaq-large"
    with pytest.raises(MissingProgramError):
        apt_unpack.unpack(tmp_path / "packages", ["chitlaq-large"])
    mirror.broken = ""
    (mirror.folder / "Packages").unlink()
    mirror.add("chitlaq-large", "2", b"newer" * 100_000)
    apt_unpack.unpack(tmp_path / "packages", ["chitlaq-large"])
    content = (tmp_path / "packages" / "usr" / "share" / "chitlaq-large").read_bytes()
    assert content == b"newer" * 100_000
