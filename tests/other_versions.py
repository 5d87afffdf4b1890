"""Our code as another installed version, in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import chitlaq

LATER = "999.0.0"


def later_version(
    folder: Path, migration: str = "", *edits: tuple[str, str, str]
) -> dict[str, str]:
    """Copy our code as a later version; return the variables that select it.

    Args:
        folder: where it is put.
        migration: what it does to the database, if anything.
        edits: a file of the package, and a text in it with what takes its place.
    """
    package = folder / "chitlaq"
    # With what is compiled: nobody compiles all of it again.
    shutil.copytree(Path(chitlaq.__file__).parent, package)
    changes = [("__init__.py", f'"{chitlaq.__version__}"', f'"{LATER}"'), *edits]
    for name, before, after in changes:
        file = package / name
        text = file.read_text()
        assert before in text, f"{name} has no {before}"
        file.write_text(text.replace(before, after))
    if migration:
        (package / "migrations" / "9999_later.sql").write_text(migration)
    return {"PYTHONPATH": str(folder)}
