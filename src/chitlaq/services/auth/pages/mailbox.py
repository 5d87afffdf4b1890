"""Who may look into the mailbox that stands for a mail server on a first look."""

from __future__ import annotations

from typing import Any

from litestar import Request

from chitlaq.core.http.client_address import limited_address
from chitlaq.core.installation.settings import Settings

PATH = "/dev/mail"


def is_open(request: Request[Any, Any, Any], settings: Settings) -> bool:
    """Whether whoever asks may read all mails, and with their links become any member.

    Only on an installation that sends no mail, keeps its own database and has no address but localhost, and
    there only on this machine: for no other address, through no proxy, and by no name that the page of
    another site could have made to resolve to us (DNS rebinding).
    """
    is_first_look = (
        not settings.smtp.host and not settings.public_url and settings.embeds("postgres")
    )
    name = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    return is_first_look and limited_address(request) is None and name in settings.host_names
