"""Who may ask what is for operators only: programs of this installation, with its token."""

from __future__ import annotations

import hmac
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from chitlaq.core.http import problems
from chitlaq.core.http.service import Context
from chitlaq.core.installation.secrets import Secrets


async def operator(connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler) -> None:
    """Require the installation's operator token, before anything else of a request is read.

    Raises:
        Problem: 401.
    """
    context: Context = connection.app.state.context
    expected = f"Bearer {Secrets(context.home.secrets).ops_token}"
    if not hmac.compare_digest(
        connection.headers.get("authorization", "").encode(), expected.encode()
    ):
        raise problems.not_signed_in("This is for operators: send the token in secrets/ops-token.")


FOR_OPERATORS: Final[dict[str, Any]] = {
    "guards": [operator],
    "include_in_schema": False,
    "is_for_operators": True,
}
"""What a handler for operators declares, of a service that is for members."""
