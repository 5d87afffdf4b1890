"""Bodies of settings and of subscriptions to pushes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from chitlaq.core.host import http_client
from chitlaq.core.http.schemas import Incoming
from chitlaq.services.websocket.notifications.channels import encryption, quiet_hours
from chitlaq.services.websocket.notifications.kinds import SECURITY, Kind

LONGEST_ENDPOINT = 1000
POINT_BYTES = 65
SECRET_BYTES = 16

ClockTime = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Rhythm = Literal["off", "daily", "weekly"]


class Channels(Incoming, frozen=True):
    """Where a kind is told. What is not told in the application is told nowhere."""

    in_app: bool = True
    push: bool = True
    mail: bool = True


class QuietHours(Incoming, frozen=True, rename={"begins": "from", "ends": "until"}):
    """When nothing is pushed, by the clocks of a time zone; from the evening to the morning, as a rule."""

    begins: ClockTime
    ends: ClockTime
    time_zone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.begins == self.ends:
            raise ValueError("until: must be another time than `from`")
        try:
            quiet_hours.zone(self.time_zone)
        except ValueError as error:
            raise ValueError(f"time_zone: {error}") from None

    @property
    def times(self) -> tuple[time, time]:
        """When they begin, and when they end."""
        return time.fromisoformat(self.begins), time.fromisoformat(self.ends)


class Settings(Incoming, frozen=True):
    """Where and when a member is told. What a body leaves out is as for a new member.

    ``mail`` is whether a digest counts the kind; ``digest`` is how often there is one. With
    ``filter_strangers``, what people do whom the member does not follow is kept apart.
    """

    kinds: Mapping[Kind, Channels] = {}
    quiet_hours: QuietHours | None = None
    digest: Rhythm = "off"
    filter_strangers: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind in sorted(SECURITY & self.kinds.keys()):
            if not (self.kinds[kind].in_app and self.kinds[kind].mail):
                raise ValueError(
                    f"kinds: {kind} concerns the account's security and is always told in the application"
                    " and by mail."
                )


class PushKeys(Incoming, frozen=True):
    p256dh: Annotated[str, msgspec.Meta(max_length=100)]
    auth: Annotated[str, msgspec.Meta(max_length=30)]

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            encryption.public_key(self.point)
        except ValueError:
            raise ValueError("p256dh: must be a public key of P-256 in base64url") from None
        try:
            is_secret = len(self.secret) == SECRET_BYTES
        except ValueError:
            is_secret = False
        if not is_secret:
            raise ValueError(f"auth: must be {SECRET_BYTES} bytes in base64url")

    @property
    def point(self) -> bytes:
        """The browser's public key.

        Raises:
            ValueError: it is not uncompressed, or not base64url.
        """
        raw = encryption.of_base64(self.p256dh)
        if len(raw) != POINT_BYTES:
            raise ValueError("must be an uncompressed point")
        return raw

    @property
    def secret(self) -> bytes:
        """The secret that browser and server share."""
        return encryption.of_base64(self.auth)


class PushSubscription(Incoming, frozen=True, rename="camel"):
    """What a browser's `PushSubscription.toJSON()` returns."""

    endpoint: Annotated[str, msgspec.Meta(max_length=LONGEST_ENDPOINT, pattern=r"^[!-~]+$")]
    keys: PushKeys
    expiration_time: float | None = None


class PushState(msgspec.Struct, frozen=True):
    """The key that a browser subscribes with (`applicationServerKey`), and whether this device has."""

    public_key: str
    is_subscribed: bool


def require_public(endpoint: str) -> None:
    """Refuse an endpoint that no push service on the internet has. A name is checked when it is resolved.

    Raises:
        ValueError: why.
    """
    try:
        parts = urlsplit(endpoint)
        is_url = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or parts.scheme != "https":
        raise ValueError("must be a URL of https")
    host = str(parts.hostname)
    try:
        is_public = http_client.is_public(ip_address(host))
    except ValueError:
        is_public = "." in host
    if not is_public:
        raise ValueError("must be on the internet")
