"""What commands print reaches a terminal through here: nothing that somebody else wrote acts on it.

Members' texts, log lines, reasons of failed jobs and names of files are printed by many commands. So
the streams themselves escape what is not visible, whoever writes to them: Typer, tracebacks, prompts.
Only styles of our own pass, in `console` and `write_styled`. They also let what we say name commands as
they are typed here; JSON and log lines, in `write_styled`, stay as they are.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from chitlaq.core.errors import OperatorError
from chitlaq.core.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

_COLOUR = re.compile(r"(\x1b\[\d{1,2}m)")


class VisibleStream(io.TextIOBase):
    """A text stream that escapes what is not visible. It has no ``buffer``, which would not."""

    def __init__(self, styled: TextIO) -> None:
        self.styled = styled
        """The stream behind it, for text that is escaped already."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.styled.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.styled.errors

    def write(self, text: str | bytes) -> int:
        # Typer hands bytes to a stream without a buffer.
        if isinstance(text, bytes):
            text = text.decode(errors="backslashreplace")
        self.styled.write(visible(typed_here(text)))
        return len(text)

    def flush(self) -> None:
        self.styled.flush()

    def fileno(self) -> int:
        return self.styled.fileno()

    def isatty(self) -> bool:
        return self.styled.isatty()

    def writable(self) -> bool:
        return True


def protect() -> None:
    """Let everything that this process prints pass a `VisibleStream`."""
    sys.stdout, sys.stderr = VisibleStream(sys.stdout), VisibleStream(sys.stderr)


def typed_here(text: str) -> str:
    """Return a text with the commands in it as they are typed where this home's components run."""
    if "chitlaq " not in text:
        return text
    from chitlaq.core.installation.home import Home
    from chitlaq.stack import commands

    try:
        return commands.in_text(text, Home.from_environment())
    except OperatorError:  # about the home itself
        return text


def write_styled(text: str) -> None:
    """Write a text with colours of our own; whatever is a stranger's in it is escaped already."""
    parts = _COLOUR.split(text)
    parts[::2] = map(visible, parts[::2])
    _styled(sys.stdout).write("".join(parts))


def console(*, to_errors: bool = False, width: int | None = None) -> Console:
    """Return a console: texts are literal, without markup, and styles are only those of the program."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class VisibleConsole(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else visible(text), style, control)

    file = _styled(sys.stderr if to_errors else sys.stdout)
    return VisibleConsole(file=file, width=width, markup=False, emoji=False, highlight=False)


def _styled(stream: TextIO) -> TextIO:
    return stream.styled if isinstance(stream, VisibleStream) else stream
