"""Uploads, downloads and searches."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import PurePosixPath
from uuid import UUID

import structlog
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from aigo.agent.context import Passage
from aigo.config import Settings
from aigo.db import Database, Row
from aigo.documents.embedder import EmbedderAway
from aigo.documents.extract import BY_SUFFIX, READERS
from aigo.documents.indexing import Indexing
from aigo.documents.search import OwnLibrary, Search
from aigo.documents.store import DocumentStore, over_quota
from aigo.ids import new_id
from aigo.problems import Problem, unavailable
from aigo.storage import NoSuchFile, StorageFull, Unreadable

log = structlog.get_logger()
_UNKNOWN = ("", "application/octet-stream")


class Documents:
    """What the API and the agent do with documents."""

    def __init__(self, settings: Settings, db: Database, indexing: Indexing) -> None:
        self.store = DocumentStore(db)
        self.search = Search(db, indexing.embedder)
        self.embedder = indexing.embedder.name
        self._bounds, self._indexing = settings.documents, indexing

    async def upload(self, user_id: UUID, name: str, declared: str, body: AsyncIterator[bytes]) -> Row:
        """Store a document and queue it for the index.

        :raises Problem: 409 while the site has no key for files, 413 when it is too large, 415 for a type that can't
            be read, 507 when there is no room, 503 when the storage can't be written.
        """
        if self._indexing.keys.active is None:
            raise Problem(409, "storage_off", "This site stores no documents: it has no key to encrypt them with.")
        media_type = _media_type(name, declared)
        if await self.store.used(user_id) >= self._bounds.user_bytes:
            raise over_quota(self._bounds.user_bytes)
        document_id, measured = new_id(), _Measured(body, self._bounds.max_bytes)
        try:
            await self._indexing.storage.put(document_id, self._indexing.keys.seal(str(document_id), measured.stream()))
        except StorageFull as error:
            log.error("no room for documents", error=str(error))
            raise Problem(507, "storage_full", "There is no room for documents at the moment.") from None
        except OSError as error:
            log.error("the storage can't be written", error=str(error))
            raise unavailable("Documents can't be stored at the moment.", 60) from None
        try:
            row = await self.store.create(
                user_id, document_id, name, media_type, measured.size, measured.digest, self._bounds.user_bytes
            )
        except (Problem, DatabaseError, PoolTimeout):
            await asyncio.to_thread(self._indexing.storage.delete, document_id)
            raise
        await self._indexing.put(document_id)
        return row

    async def content(self, document_id: UUID) -> Iterator[bytes]:
        """Return a document's bytes; :raises Problem: 410 when its file is gone, 503 when it can't be opened."""
        try:
            plain = self._indexing.keys.open(
                str(document_id), await asyncio.to_thread(self._indexing.storage.read, document_id)
            )
            first = await asyncio.to_thread(next, plain, b"")
        except NoSuchFile:
            raise Problem(410, "gone", "The document's file is gone.") from None
        except (Unreadable, OSError) as error:
            log.error("a stored file can't be read", document_id=str(document_id), error=str(error))
            raise unavailable("The document's file can't be read at the moment.", 60) from None
        return _chained(first, plain)

    async def delete(self, user_id: UUID, document_id: UUID) -> None:
        """Remove a document, its passages and its file; :raises Problem: 404."""
        await self.store.delete(user_id, document_id)
        await asyncio.to_thread(self._indexing.storage.delete, document_id)

    async def find(self, user_id: UUID, query: str, limit: int) -> list[Passage]:
        """Search somebody's documents; :raises Problem: 503 when the embedder is away."""
        try:
            return await self.search.find(user_id, query, limit)
        except EmbedderAway:
            raise unavailable("The search is not available at the moment.", 10) from None

    async def library(self, user_id: UUID) -> OwnLibrary | None:
        """Return what the agent may search for somebody, if there is anything."""
        return OwnLibrary(self.search, user_id) if await self.search.has_any(user_id) else None

    async def close(self) -> None:
        """Close the embedder's connections."""
        await self._indexing.embedder.close()


class _Measured:
    """Counts and hashes a stream while it passes, and stops one that is too long."""

    def __init__(self, body: AsyncIterator[bytes], limit: int) -> None:
        self._body, self._limit, self._hash = body, limit, hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    async def stream(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self.size += len(chunk)
            if self.size > self._limit:
                raise Problem(413, "too_large", f"A document may have {self._limit} bytes.", {"Connection": "close"})
            self._hash.update(chunk)
            yield chunk
        if self.size == 0:
            raise Problem(422, "empty", "The document is empty.")


def _media_type(name: str, declared: str) -> str:
    kind = declared.partition(";")[0].strip().lower()
    if kind in _UNKNOWN:
        kind = BY_SUFFIX.get(PurePosixPath(name.lower()).suffix, "")
    if kind not in READERS:
        raise Problem(415, "unsupported_type", f"Documents can be of these types: {', '.join(sorted(READERS))}.")
    return kind


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
