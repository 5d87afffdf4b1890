"""``chitlaq exec``: the servers' clients, as the runbook calls them."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated, Any

import typer

from chitlaq.cli import installation
from chitlaq.core.errors import OperatorError


def register(app: typer.Typer) -> None:
    app.command(
        context_settings={
            "allow_extra_args": True,
            "ignore_unknown_options": True,
            "allow_interspersed_args": False,
            "help_option_names": ["--help"],
        }
    )(exec_)
    app.registered_commands[-1].name = "exec"


def exec_(
    service: Annotated[str, typer.Argument(help="postgres or redis.")],
    words: Annotated[
        list[str], typer.Argument(help="The client and its arguments, passed unchanged.")
    ],
) -> None:
    """Run a client of PostgreSQL or Valkey against the server of this installation.

    Examples: chitlaq exec postgres psql -U postgres -c "SELECT 1;"

    chitlaq exec postgres pg_isready -U postgres

    chitlaq exec redis redis-cli info memory
    """
    if service == "postgres":
        _exec_postgres(words)
    elif service == "redis":
        _exec_redis(words)
    else:
        raise OperatorError(f"There is no client for {service}; there are postgres and redis.")


def _exec_postgres(words: list[str]) -> None:
    from urllib.parse import parse_qsl, unquote, urlsplit

    from chitlaq.core.data import postgres_hosts
    from chitlaq.core.installation.secrets import POSTGRES_ROLES, Secrets
    from chitlaq.stack.servers import postgres

    home, settings = installation.current()
    program = postgres.programs(settings) / words[0]
    if "/" in words[0] or not program.is_file():
        known = ", ".join(sorted(path.name for path in postgres.programs(settings).iterdir()))
        raise OperatorError(f"PostgreSQL has no program {words[0]}; it has {known}.")
    environment = dict(os.environ)
    if settings.database_url:
        url = urlsplit(settings.database_url.reveal())
        hosts = postgres_hosts.hosts_of(settings.database_url.reveal())
        environment |= {
            "PGHOST": ",".join(host or "localhost" for host, _ in hosts),
            "PGPORT": ",".join(str(port) for _, port in hosts),
            "PGUSER": unquote(url.username or "postgres"),
            "PGPASSWORD": unquote(url.password or ""),
            "PGDATABASE": url.path.lstrip("/"),
            # sslmode is PGSSLMODE, target_session_attrs is PGTARGETSESSIONATTRS.
            **{f"PG{name.replace('_', '').upper()}": value for name, value in parse_qsl(url.query)},
        }
    else:
        user = _user_in(words) or "postgres"
        environment |= {
            "PGHOST": str(home.postgres_socket),
            "PGPORT": str(settings.port_of("postgres")),
            "PGUSER": user,
        }
        if user in POSTGRES_ROLES:
            environment["PGPASSWORD"] = Secrets(home.secrets).postgres_password(user)
    sys.stdout.flush()
    os.execve(program, words, environment)  # noqa: S606


def _user_in(words: list[str]) -> str | None:
    """The role that the client's arguments name: ``-U NAME``, ``-UNAME``, ``--username=NAME``."""
    for index, word in enumerate(words):
        if word in {"-U", "--username"} and index + 1 < len(words):
            return words[index + 1]
        if word.startswith("--username="):
            return word.partition("=")[2]
        if word.startswith("-U") and len(word) > 2:
            return word[2:]
    return None


def _exec_redis(words: list[str]) -> None:
    from chitlaq.core.data import valkey
    from chitlaq.core.data.valkey_connection import ValkeyReplyError, ValkeyUnavailableError

    if words[0] not in {"redis-cli", "valkey-cli"}:
        raise OperatorError(f"Valkey's client is redis-cli, not {words[0]}.")
    if not words[1:]:
        raise OperatorError("Give a command, such as `chitlaq exec redis redis-cli ping`.")
    home, settings = installation.current()
    url = valkey.url(settings, home)
    try:
        reply = asyncio.run(_ask(url, words[1:]))
    except ValkeyUnavailableError as error:
        raise OperatorError(f"Valkey does not answer ({error}): see `chitlaq ps`.") from None
    except ValkeyReplyError as error:
        typer.echo(f"(error) {error}")
        raise typer.Exit(1) from None
    typer.echo(shown(reply, raw=not sys.stdout.isatty()))


async def _ask(url: str, words: list[str]) -> Any:
    from chitlaq.core.data.valkey import Valkey

    client = Valkey(url)
    try:
        return await client.execute(*words)
    finally:
        await client.close()


def shown(reply: Any, *, raw: bool, indent: str = "") -> str:
    """Format a reply as redis-cli does: numbered lists and types for people, plain text for pipes."""
    if isinstance(reply, list):
        if not reply:
            return "" if raw else "(empty array)"
        texts = []
        for number, item in enumerate(reply, start=1):
            head = "" if raw else f"{number}) "
            text = shown(item, raw=raw, indent=indent + " " * len(head))
            texts.append(f"{indent if number > 1 and not raw else ''}{head}{text}")
        return "\n".join(texts)
    if reply is None:
        return "" if raw else "(nil)"
    if isinstance(reply, int):
        return str(reply) if raw else f"(integer) {reply}"
    return reply.decode(errors="replace").rstrip("\r\n") if isinstance(reply, bytes) else str(reply)
