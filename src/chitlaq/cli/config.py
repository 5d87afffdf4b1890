"""``chitlaq config``: the settings as they are, and the files that are made from them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chitlaq.cli import output

config = typer.Typer(no_args_is_help=True, help="Settings, and nginx's configuration.")


def register(app: typer.Typer) -> None:
    app.add_typer(config, name="config")


@config.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List every setting with its value and the variable that changes it; secrets are hidden.

    Example: chitlaq config show
    """
    from chitlaq.core import settings as configuration
    from chitlaq.core.home import Home

    home = Home.from_environment()
    settings = configuration.load(home)
    rows = []
    for dotted, field in configuration.fields():
        value = _value(settings, dotted)
        rows.append(
            {
                "setting": dotted,
                "value": configuration.shown(dotted, value),
                "is_default": value == field.default,
                "variable": configuration.variable_of(dotted),
            }
        )
    if as_json:
        output.print_json({"home": str(home.root), "settings": rows})
        return
    typer.echo(f"home: {home.root} (CHITLAQ_HOME)\nfile: {home.settings_file}\n")
    output.print_table(
        ["setting", "value", "", "variable"],
        [
            [row["setting"], row["value"], "" if row["is_default"] else "changed", row["variable"]]
            for row in rows
        ],
    )


@config.command()
def nginx(
    write: Annotated[
        bool, typer.Option("--write", help="Put it where the embedded nginx reads it.")
    ] = False,
) -> None:
    """Print nginx's configuration, made from the routes that the services declare.

    Example: chitlaq config nginx > /etc/nginx/nginx.conf
    """
    from chitlaq import services
    from chitlaq.core import routes
    from chitlaq.core import settings as configuration
    from chitlaq.core.home import Home
    from chitlaq.services.gateway import nginx as generator
    from chitlaq.stack import users

    home = Home.from_environment()
    settings = configuration.load(home)
    user = users.service_user()
    declared = {name: routes.declared(services.load(name)) for name in services.PACKAGES}
    text = generator.render(home, settings, declared, user.pw_name if user else None)
    if write:
        typer.echo(f"wrote {generator.write(home, text)}")
    else:
        typer.echo(text, nl=False)


def _value(settings: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        settings = getattr(settings, name)
    return settings
