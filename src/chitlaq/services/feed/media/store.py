"""Where pictures are kept: a folder or a bucket, under names that nobody can guess."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, NamedTuple

import obstore
from obstore.exceptions import BaseError

from chitlaq.core.data.object_store import ObjectStore, first_line, open_store
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.services.feed.media.orders import FORMATS, SIZES, sizes_of

READ_BYTES = 1 << 18
LISTED_AT_ONCE = 1000
ORIGINALS = "originals"
PICTURES = "pictures"
# Members wait for it: one that does not answer is away.
_PATIENCE = {
    "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=8)},
    "client_options": {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(seconds=30)},
}


class Stored(NamedTuple):
    """An object, and when it was stored."""

    name: str
    stored_at: datetime


class StoreUnavailableError(Exception):
    """The folder or the bucket cannot be reached, or is full; nothing was lost."""


class MissingObjectError(Exception):
    """The store answers, and has no such object."""


class MediaStore:
    """The pictures' folder or bucket. Opened when first needed: a service starts without it.

    Args:
        home: with the folder, unless the settings name another.
        settings: with the bucket, if there is one.
    """

    def __init__(self, home: Home, settings: Settings) -> None:
        self._settings = settings.media
        self.folder = settings.media_folder(home)
        self._work = home.uploads

    @cached_property
    def _store(self) -> ObjectStore:
        url = str(self.folder) if self.folder is not None else self._settings.url
        return open_store(self._settings, url, is_made=True, **_PATIENCE)

    async def put(self, name: str, file: IO[bytes]) -> None:
        """Store a file, durably and as a whole.

        Raises:
            StoreUnavailableError: nothing is stored.
        """
        try:
            file.seek(0)
            await obstore.put_async(self._store, name, file)
            if self.folder is not None:
                await asyncio.to_thread(_flush, self.folder / name, self.folder)
        except (BaseError, OSError, OperatorError) as error:
            raise StoreUnavailableError(first_line(error)) from error

    @asynccontextmanager
    async def fetched(self, name: str) -> AsyncIterator[IO[bytes]]:
        """Fetch an object into a file without a name.

        Raises:
            MissingObjectError: there is none.
            StoreUnavailableError: it cannot be read now.
        """
        try:
            with files.unnamed(self._work) as file:
                async for piece in self.pieces(name):
                    file.write(piece)
                file.flush()
                file.seek(0)
                yield file
        except OSError as error:
            raise StoreUnavailableError(str(error)) from error

    async def pieces(self, name: str) -> AsyncIterator[bytes]:
        """Yield an object's bytes.

        Raises:
            MissingObjectError: there is none.
            StoreUnavailableError: it cannot be read now.
        """
        try:
            found = await obstore.get_async(self._store, name)
            async for piece in found.stream(min_chunk_size=READ_BYTES):
                yield bytes(piece)
        except FileNotFoundError:
            raise MissingObjectError(name) from None
        except (BaseError, OSError, OperatorError) as error:
            raise StoreUnavailableError(first_line(error)) from error

    async def listed(self) -> AsyncIterator[list[Stored]]:
        """Yield all objects, many at a time.

        Raises:
            StoreUnavailableError: they cannot be listed now.
        """
        try:
            for folder in (ORIGINALS, PICTURES):
                async for some in obstore.list(self._store, folder, chunk_size=LISTED_AT_ONCE):
                    yield [Stored(one["path"], one["last_modified"]) for one in some]
        except (BaseError, OSError, OperatorError) as error:
            raise StoreUnavailableError(first_line(error)) from error

    async def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are not there are deleted already.

        Raises:
            StoreUnavailableError: some may be left.
        """
        for name in names:
            try:
                await obstore.delete_async(self._store, name)
            except FileNotFoundError:
                continue
            except (BaseError, OSError, OperatorError) as error:
                raise StoreUnavailableError(first_line(error)) from error


def original_of(name: str) -> str:
    """The object of what was uploaded, until it is rendered."""
    return f"{ORIGINALS}/{name}"


def rendition_of(name: str, file: str) -> str:
    """The object of a rendition such as ``large.webp``."""
    return f"{PICTURES}/{name[:2]}/{name}-{file}"


def name_of(file: str) -> str:
    """The picture's name in that of one of its objects."""
    return file.rpartition("/")[2].partition("-")[0]


def objects_of(name: str) -> list[str]:
    """Every object that a picture can have."""
    sizes = dict.fromkeys(size for purpose in SIZES for size in sizes_of(purpose))
    files = [f"{size}.{kind}" for size in sizes for kind in FORMATS]
    return [original_of(name), *(rendition_of(name, file) for file in files)]


def _flush(path: Path, root: Path) -> None:
    """Wait until a file, and the names that lead to it, are on the disk."""
    files.sync(path)
    for folder in path.parents:
        files.sync(folder)
        if folder == root:
            return
