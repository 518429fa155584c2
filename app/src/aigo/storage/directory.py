"""A directory as storage; hosts that share it must see the same files."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

_READ = 262_144
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NAME = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


class StorageFull(Exception):
    """There is no room for another file."""


class NoSuchFile(Exception):
    """Nothing is stored under that name."""


class DirectoryStorage:
    """Files named by UUIDs only, so that no name from outside ever becomes a path."""

    def __init__(self, directory: str, reserve: int) -> None:
        self._root, self._reserve = Path(directory), reserve

    async def put(self, name: UUID, data: AsyncIterator[bytes]) -> None:
        """Store a stream, completely or not at all; :raises StorageFull: when there is no room."""
        partial = self._root / "incoming" / f"{name}.{os.getpid()}"
        try:
            file = await asyncio.to_thread(self._begin, partial)
            try:
                async for chunk in data:
                    await asyncio.to_thread(_write, file, chunk)
                await asyncio.to_thread(self._complete, file, partial, self._path(name))
            finally:
                os.close(file)
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull(f"{self._root} is full") from error
            raise
        finally:
            partial.unlink(missing_ok=True)

    def read(self, name: UUID) -> Iterator[bytes]:
        """Return the stored bytes, a part at a time; :raises NoSuchFile: when there are none."""
        try:
            file = self._path(name).open("rb")
        except FileNotFoundError:
            raise NoSuchFile(str(name)) from None
        return _chunks(file)

    def delete(self, name: UUID) -> None:
        """Remove a file; it may be gone already."""
        self._path(name).unlink(missing_ok=True)

    def names(self, older_than: float) -> Iterator[UUID]:
        """Yield the names of files that have been there for so many seconds; remove half-written ones of that age."""
        limit = time.time() - older_than
        for path in self._root.glob("*/*"):
            try:
                old = path.stat().st_mtime < limit
            except FileNotFoundError:
                continue
            if old and path.parent.name == "incoming":
                path.unlink(missing_ok=True)
            elif old and _NAME.match(path.name):
                yield UUID(path.name)

    def _path(self, name: UUID) -> Path:
        text = str(name)
        # By the random end: the beginning is the time, which would put a day's files into one directory.
        return self._root / text[-2:] / text

    def _begin(self, partial: Path) -> int:
        partial.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        space = os.statvfs(self._root)
        if space.f_bavail * space.f_frsize < self._reserve:
            raise StorageFull(f"{self._root} has less than {self._reserve} bytes left")
        return os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)

    def _complete(self, file: int, partial: Path, path: Path) -> None:
        os.fsync(file)
        path.parent.mkdir(mode=0o750, exist_ok=True)
        partial.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_READ):
            yield chunk
