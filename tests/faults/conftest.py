"""Pictures are tested where Pillow is installed, as the lock file says; `make` installs it."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("PIL") else ["test_media.py"]
