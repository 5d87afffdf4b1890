"""Let the synthetic members write to each other, through the edge, as members do."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from uuid import UUID

import msgspec

from chitlaq.core.errors import UnknownResult
from chitlaq.core.host import http_client
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings

SIGN_IN_SECONDS = 2.0
DELIVERY_SECONDS = 5.0


class SyntheticMembers(msgspec.Struct):
    conversation_id: UUID
    tokens: Sequence[str]


async def measure(home: Home, settings: Settings) -> float:
    """Return the seconds from sending to arrival, in the slower of the two directions.

    Raises:
        UnknownResult: auth-service did not sign the synthetic members in.
        ClientError: a message did not arrive.
        OperatorError: the operators' token cannot be read.
    """
    from chitlaq.client.round_trip import round_trip

    members = await sign_in(home, settings)
    url = settings.url_of("nginx", "ws") + "/ws"
    return max(await round_trip(url, members.conversation_id, members.tokens, DELIVERY_SECONDS))


async def sign_in(home: Home, settings: Settings) -> SyntheticMembers:
    """Return access tokens of the synthetic members, and their conversation.

    Raises:
        UnknownResult: auth-service did not sign them in.
        OperatorError: the operators' token cannot be read.
    """
    try:
        answer = await http_client.request(
            "POST",
            settings.url_of("auth-service") + "/auth/synthetic",
            timeout_seconds=SIGN_IN_SECONDS,
            headers={"Authorization": f"Bearer {Secrets(home.secrets).ops_token}"},
        )
        if answer.status != HTTPStatus.OK:
            raise UnknownResult(f"auth-service answered {answer.status} to the synthetic members")
        return msgspec.json.decode(answer.body, type=SyntheticMembers)
    except (http_client.NoAnswerError, msgspec.DecodeError) as error:
        raise UnknownResult(f"the synthetic members are not signed in: {error}") from None
