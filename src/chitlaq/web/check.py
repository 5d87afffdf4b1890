"""Checks the members' modules: types by TypeScript, which reads their JSDoc (`make web-check`).

Nothing of it is part of what runs: TypeScript and the types of what is vendored are fetched with npm, once,
in the versions that are named here and in `vendor.py`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, programs
from chitlaq.web.vendor import PACKAGES, SITE

TYPESCRIPT = "7.0.2"
FETCH_SECONDS = 300.0
CHECK_SECONDS = 120.0
STATIC = "src/chitlaq/web/site/static"
_MODULES = {
    "preact": "preact",
    "hooks": "preact/hooks",
    "signals": "@preact/signals",
    "signals-core": "@preact/signals-core",
    "htm": "htm",
}
"""Vendored modules, and the packages that say what is in them."""
_OPTIONS = {
    "allowJs": True,
    "checkJs": True,
    "strict": True,
    "skipLibCheck": True,
    "noEmit": True,
    "target": "es2024",
    "module": "esnext",
    "moduleResolution": "bundler",
    "lib": ["esnext", "dom", "dom.iterable"],
    "types": [],
}


def check(root: Path, work: Path) -> str:
    """Return what TypeScript says of the modules below a repository's root; nothing if all is well.

    Args:
        root: of the repository.
        work: a folder for what is fetched; the next check finds it there.

    Raises:
        OperatorError: npm fails.
    """
    versions = {one.name: one.version for one in PACKAGES if one.folder == SITE}
    wanted = {"typescript": TYPESCRIPT} | {
        name: versions[name] for name in ("preact", "htm", "@preact/signals")
    }
    named = msgspec.json.encode({"private": True, "dependencies": wanted})
    package = work / "package.json"
    if not package.is_file() or package.read_bytes() != named:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        # No script of a package runs.
        fetch = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        fetch += [f"{name}@{version}" for name, version in wanted.items()]
        programs.run(fetch, timeout_seconds=FETCH_SECONDS, folder=work).checked()
        files.write(package, named)
    copy = work / "static"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root / STATIC, copy, ignore=shutil.ignore_patterns("vendor", "icons"))
    (copy / "vendor").mkdir()
    for module, source in _MODULES.items():
        default = f'export {{ default }} from "{source}";' if module == "htm" else ""
        text = default or f'export * from "{source}";'
        (copy / "vendor" / f"{module}.d.ts").write_text(f"{text}\n")
    include = ["static/app/**/*.js", "static/text.js", "static/sw.js"]
    settings = {"compilerOptions": _OPTIONS, "include": include}
    (work / "tsconfig.json").write_bytes(msgspec.json.encode(settings))
    result = programs.run(
        [str(work / "node_modules/.bin/tsc"), "--pretty", "false"],
        timeout_seconds=CHECK_SECONDS,
        folder=work,
    )
    return result.stdout.replace("static/", f"{STATIC}/") if result.code else ""


if __name__ == "__main__":
    try:
        found = check(Path(sys.argv[1]), Path(sys.argv[2]).absolute())
    except OperatorError as error:
        # Nothing else of the checks needs npm or a network.
        print(f"The types of the members' modules are not checked: {error}", file=sys.stderr)
    else:
        sys.exit(found or 0)
