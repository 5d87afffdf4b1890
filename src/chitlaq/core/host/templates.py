"""Configuration files of other programs, rendered from templates."""

from __future__ import annotations

from functools import cache
from importlib import resources

import jinja2

from chitlaq.core.host import quoting


def rendered(package: str, name: str, /, **values: object) -> str:
    """Return the text of a package's template with these values; quoted is what it passes to a filter.

    Raises:
        jinja2.UndefinedError: the template names a value that is not there.
    """
    return _template(package, name).render(values)


@cache
def _template(package: str, name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - not HTML; every value is ours or a setting
    )
    environment.filters |= {"nginx": quoting.nginx, "nginx_json": quoting.nginx_json}
    return environment.from_string(resources.files(package).joinpath(name).read_text())
