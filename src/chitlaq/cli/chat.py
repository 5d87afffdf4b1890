"""``chitlaq chat``: read and write as a member who takes part; nobody else's conversations can be read."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

import typer

from chitlaq.cli import installation, output
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.client import Conversation, Message, Session

T = TypeVar("T")

chat = typer.Typer(
    no_args_is_help=True,
    help="Read and write messages as a member, with a token of theirs or the demo password.",
)

Login = Annotated[
    str | None,
    typer.Option("--as", metavar="MEMBER", help="A demo member, who has the demo password."),
]
# Not as an argument: everybody on the machine sees those.
Token = Annotated[
    typer.FileText | None,
    typer.Option("--token", metavar="FILE", help="Holds a member's access token; - for stdin."),
]


def register(app: typer.Typer) -> None:
    app.add_typer(chat, name="chat")


@chat.command()
def tail(
    login: Login = None,
    lines: Annotated[
        int, typer.Option("-n", "--lines", min=0, max=100, help="Earlier messages of each.")
    ] = 0,
    token: Token = None,
) -> None:
    """Print messages of all conversations of a member as they arrive, until Ctrl-C.

    Example: chitlaq chat tail --as ada --lines 5
    """
    _run(_tail(login, token, lines))


@chat.command()
def send(
    to: Annotated[str, typer.Argument(metavar="USERNAME", help="To whom.")],
    text: Annotated[str, typer.Argument(help="What to say.")],
    login: Login = None,
    token: Token = None,
) -> None:
    """Send a message to another member, and wait until it is stored.

    Example: chitlaq chat send grace "Are you coming tonight?" --as ada
    """
    stored = _run(_send(login, token, to, text))
    typer.echo(f"stored as message {stored.seq} of conversation {stored.conversation_id}")


async def _tail(login: str | None, token: TextIO | None, lines: int) -> None:
    from chitlaq.client import Chat
    from chitlaq.core.formatting import count

    session = await _session(login, token)
    known: dict[object, Conversation] = {}

    async def show(message: Message) -> None:
        if message.conversation_id not in known:
            known.update({one.id: one async for one in session.conversations()})
        conversation = known.get(message.conversation_id)
        where = "" if conversation is None else _title(conversation)
        typer.echo(f"{output.local_time(message.sent_at)}  {where}  {_said(message)}")

    arrived: asyncio.Queue[Message] = asyncio.Queue()
    seen = {}
    async for one in session.conversations():
        known[one.id] = one
        seen[one.id] = max(one.last_seq - lines, 0)
    async with Chat(session, arrived.put_nowait, seen=seen).connected() as chat:
        await chat.online()
        # What was replayed came conversation by conversation.
        earlier = [arrived.get_nowait() for _ in range(arrived.qsize())]
        for message in sorted(earlier, key=lambda message: message.sent_at):
            await show(message)
        typer.echo(f"Following {count(len(known), 'conversation')}; Ctrl-C ends it.", err=True)
        while True:
            await show(await arrived.get())


async def _send(login: str | None, token: TextIO | None, to: str, text: str) -> Message:
    from chitlaq.client import ApiError

    session = await _session(login, token)
    try:
        conversation = await session.direct(to.removeprefix("@"))
    except ApiError as error:
        if "members" not in error.errors:
            raise
        raise OperatorError(
            f"No conversation with {to}: {error.errors['members']}. Take the username of another member who"
            " may be written to; `ada` and `grace` are in the demo."
        ) from None
    return await session.send(conversation.id, text)


async def _session(login: str | None, token: TextIO | None) -> Session:
    from chitlaq.client import ApiError, Session, Tokens
    from chitlaq.core.installation.secrets import Secrets

    home, settings = installation.current()
    address = settings.url_of("api-gateway")
    if token is not None:
        return Session(address, Tokens(token.read().strip()))
    if login is None:
        raise OperatorError("As whom? `--as MEMBER` for a demo member, `--token FILE` for others.")
    try:
        return await Session.sign_in(address, login, Secrets(home.secrets).demo_password)
    except ApiError as error:
        if error.status != HTTPStatus.UNAUTHORIZED:
            raise
        raise OperatorError(
            f"{login} is no demo member: the demo password does not sign them in. For others, `--token FILE`."
        ) from None


def _title(conversation: Conversation) -> str:
    names = ", ".join(member.username for member in conversation.members[:4])
    return f"[{conversation.name or names}]"


def _said(message: Message) -> str:
    """What a message says, or what a line of a group's history tells."""
    who = message.sender.username if message.sender else "(gone)"
    if message.event is None:
        return f"{who}: {message.text}"
    return " ".join(part for part in (who, message.event, message.subject, message.text) if part)


def _run(work: Coroutine[Any, Any, T]) -> T:
    from chitlaq.client import ClientError, UnreachableError

    try:
        return asyncio.run(work)
    except UnreachableError as error:
        raise OperatorError(f"{error}. `chitlaq ps` shows what runs.") from None
    except ClientError as error:
        raise OperatorError(str(error)) from None
