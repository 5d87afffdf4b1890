"""Object stores: a folder, or a bucket of any S3, through obstore."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.secret_values import Secret

ObjectStore = Any
"""One of obstore's stores; they have no common class."""


class S3Settings(Protocol):
    """The settings of a section that names an object store."""

    @property
    def s3_endpoint(self) -> str: ...
    @property
    def s3_region(self) -> str: ...
    @property
    def s3_access_key_id(self) -> str: ...
    @property
    def s3_secret_access_key(self) -> Secret: ...


def open_store(
    settings: S3Settings, url: str, *, is_made: bool = False, **options: Any
) -> ObjectStore:
    """Open an object store.

    Args:
        settings: the S3 settings.
        url: ``s3://bucket/prefix`` or a folder.
        is_made: create a folder that does not exist.
        options: more of obstore's for an S3.

    Raises:
        OperatorError: it is neither, does not exist, or cannot be created.
    """
    if url.startswith("s3://"):
        options["region"] = settings.s3_region
        if settings.s3_endpoint:
            options |= {
                "endpoint": settings.s3_endpoint,
                "virtual_hosted_style_request": False,
                "client_options": {
                    **options.get("client_options", {}),
                    "allow_http": settings.s3_endpoint.startswith("http://"),
                },
            }
        if settings.s3_access_key_id:
            options |= {
                "access_key_id": settings.s3_access_key_id,
                "secret_access_key": settings.s3_secret_access_key.reveal(),
            }
        try:
            return S3Store.from_url(url, **options)
        except BaseError as error:
            raise OperatorError(f"{url} cannot be used: {first_line(error)}") from None
    path = Path(url).expanduser()
    if not path.is_absolute():
        raise OperatorError(
            f"The location {url!r} is invalid: write /a/folder or s3://bucket/prefix."
        )
    try:
        if is_made:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not path.is_dir():
            raise OperatorError(f"There is no folder {path}.")
    except OSError as error:
        raise OperatorError(f"{path} cannot be created: {error.strerror}.") from None
    return LocalStore(str(path))


def first_line(error: Exception) -> str:
    """What an object store said, without its details."""
    return str(error).strip().splitlines()[0]
